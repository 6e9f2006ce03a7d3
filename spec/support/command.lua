-- The `veo` command in a process of its own, against a simulator.

local helper = require "spec.support.helper"
local simulator = require "veo.simulator"

local M = {}

function M.quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end
function M.plain(text) return (text:gsub("%p", "%%%0")) end

---What the examples of a describe work with: `sim` and `folder` once they run.
---@param busted table  setup, teardown, before_each: busted gives them to spec files alone
function M.world(busted)
  local world = {}

  busted.setup(function()
    world.sim = simulator.start { speed = 1000, rate = false }
    world.folder = helper.folder()
    helper.write(world.folder .. "/veo", 'require "veo.main"\n')
    os.execute("mkdir " .. world.folder .. "/here")
  end)
  busted.teardown(function()
    world.sim:stop()
    helper.sweep()
  end)
  busted.before_each(function()
    world.sim:reset()
    local folder = world.folder
    os.execute(("rm -rf %s/*.mp4* %s/*.db* %s/state %s/here/*"):format(folder, folder, folder, folder))
  end)

  -- The ledger that it keeps by itself stands in the folder too; nothing is left where the specs run.
  function world.command(arguments, environment)
    local phrases = { "env -u KIE_API_KEY -u KIE_BASE_URL -u VEO_LEDGER -u VEO_LOG XDG_STATE_HOME=" .. world.folder
      .. "/state" }
    if not (environment and environment.KIE_API_KEY == false) then
      phrases[#phrases + 1] = "KIE_API_KEY=" .. world.sim.api_key .. " KIE_BASE_URL=" .. world.sim.url
    end
    for name, value in pairs(environment or {}) do
      if value then phrases[#phrases + 1] = name .. "=" .. M.quote(value) end
    end
    -- The shell becomes it, so that a signal to the shell's process is one to it.
    phrases[#phrases + 1] = ([[sh -c 'cd "$0" && exec "$@"' %s/here %s %s/veo]]):format(world.folder, helper.lua(),
      world.folder)
    for _, argument in ipairs(arguments) do phrases[#phrases + 1] = M.quote(argument) end
    return table.concat(phrases, " ")
  end

  -- Exit code, standard output, standard error.
  function world.shell(text)
    local code = helper.output(("{ %s; } >%s/out 2>%s/err; echo $?"):format(text, world.folder, world.folder))
    return tonumber(code), helper.read(world.folder .. "/out"), helper.read(world.folder .. "/err")
  end

  -- Starts it and lets it run: `send` gives it a signal, `finish` waits for its end.
  function world.start(arguments, environment)
    local folder = world.folder
    local line = "cd %s; rm -f pid code out err; (%s </dev/null >out 2>err & echo $! >pid; wait $!; echo $? >code) &"
    os.execute(line:format(folder, world.command(arguments, environment)))
  end
  function world.send(name)
    os.execute(("kill -%s $(cat %s/pid)"):format(name, world.folder))
  end
  function world.until_said(text)
    world.wait_for(function() return (helper.read(world.folder .. "/err") or ""):find(text, 1, true) end)
  end
  function world.finish()
    local folder = world.folder
    world.wait_for(function() return (helper.read(folder .. "/code") or ""):find("\n") end)
    return tonumber((helper.read(folder .. "/code"))), helper.read(folder .. "/out"), helper.read(folder .. "/err")
  end
  function world.wait_for(check)
    local deadline = helper.now() + 120
    while not check() do
      if helper.now() > deadline then error("nothing came of it in 120 s", 2) end
      os.execute "sleep 0.02"
    end
  end

  function world.veo(arguments, environment)
    return world.shell(world.command(arguments, environment) .. " </dev/null")
  end

  function world.extend(prompt, ...)
    return { "extend", world.sim.source, prompt, "--interval", "0.2", ... }
  end

  return world
end

---Whether LuaDBI is there; an example that needs it is pending without.
function M.has_ledger()
  local said = helper.output(helper.lua() .. [[ -e 'require "DBI" print(pcall(require, "dbd.sqlite3"))']])
  return said:find("true", 1, true)
end

return M
