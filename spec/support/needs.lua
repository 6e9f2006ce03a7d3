--- What some specs need and not everybody has: PostgreSQL, nginx, ffmpeg, the rights of root. Who lacks it skips them;
--- side_by_side.sh tells so at the end. `make test-full` (VEO_FULL) skips nothing that a package would bring.
local M = {}

-- A command that works where it is there, and what would bring it.
local THINGS = {
  postgresql = { "ls /usr/lib/postgresql/*/bin/initdb", "PostgreSQL", "apt-get install postgresql" },
  nginx = { "PATH=$PATH:/usr/sbin command -v nginx", "nginx", "apt-get install nginx" },
  nginx_lua = { "ls /usr/lib/nginx/modules/ngx_http_lua_module.so && PATH=$PATH:/usr/sbin command -v nginx",
    "nginx with Lua", "apt-get install nginx libnginx-mod-http-lua", optional = true },
  nghttpd = { "command -v nghttpd", "nghttpd", "apt-get install nghttp2-server" },
  ffmpeg = { "command -v ffmpeg", "ffmpeg", "apt-get install ffmpeg" },
  root = { "test $(id -u) = 0", "root", "sudo make test-full", optional = true },
  namespaces = { "unshare --pid --fork --mount-proc true", "PID namespaces", "sudo make test-full", optional = true },
}

---Nil, or why a spec is skipped here.
function M.lacks(name)
  local thing = THINGS[name]
  if not thing or os.getenv "VEO_FULL" and not thing.optional then return nil end
  if thing.here == nil then
    local status = os.execute("unset LD_PRELOAD; (" .. thing[1] .. ") >/dev/null 2>&1")
    thing.here = status == true or status == 0
  end
  return not thing.here and ("needs %s (%s)"):format(thing[2], thing[3]) or nil
end

---`describe` or `it`, or what takes their place here and is skipped. Names of nothing that is looked for need nothing.
function M.block(name, block)
  local why = M.lacks(name)
  if not why then return block end
  return function(title) require("busted").pending(title .. " " .. why) end
end

return M
