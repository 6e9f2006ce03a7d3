-- A Neovim command: extends a video in the background while you write; `:VeoExtend out.mp4 TASK_ID a prompt` saves the
-- result. A libuv poll handle on the client's one descriptor steps it whenever something is to be done; where there is no
-- such descriptor (macOS, BSD), a timer does.
--
--   KIE_API_KEY=… nvim -c "luafile examples/neovim/veo.lua"          then :VeoExtend out.mp4 TASK_ID it rains
--   VEO_SIMULATE=1 nvim -c "luafile examples/neovim/veo.lua" -c "VeoExtend out.mp4"
--
-- Neovim runs LuaJIT: install lua-veo for it (make install LUA_VERSION=jit), with Debian's lua-cjson.

local veo = require "veo"

local simulator, options
if os.getenv "VEO_SIMULATE" then
  simulator = veo.simulator.start { speed = 100 }
  options = { base_url = simulator.url, api_key = simulator.api_key }
  options.wait = { first = 0.2, interval = 0.3, max_interval = 0.5 }
end

local client = veo.new(options)
local fd = client.loop:pollfd()
local watcher = fd and vim.loop.new_poll(fd) or vim.loop.new_timer()

-- A libuv callback may not touch the editor; what is scheduled may.
local function say(text, level)
  vim.schedule(function() vim.notify("veo: " .. text, level or vim.log.levels.INFO) end)
end

local function on_progress(status, info)
  say(("%s, %.0f s"):format(status.state, info.elapsed))
end

local function extend(path, params)
  local file, err = client:extend_and_save(params, path, { overwrite = true, wait = { on_progress = on_progress } })
  if not file then return say(err:explain(), vim.log.levels.ERROR) end
  say(("saved %s, %d bytes"):format(file.path, file.bytes))
end

vim.api.nvim_create_user_command("VeoExtend", function(command)
  local path, task_id = command.fargs[1], command.fargs[2] or (simulator and simulator.source)
  local prompt = table.concat(command.fargs, " ", 3)
  if prompt == "" then prompt = "The boat turns towards the harbour" end
  client:spawn(extend, path, { taskId = task_id, prompt = prompt, model = "fast" })
  local function step()
    if client:step(0) == 0 then watcher:stop() end
  end
  if fd then watcher:start("r", step) else watcher:start(0, 20, step) end
end, { nargs = "+", complete = "file" })

vim.api.nvim_create_autocmd("VimLeavePre", {
  callback = function()
    watcher:close() -- before the client: libuv must not watch a closed descriptor
    client:close()
    if simulator then simulator:stop() end
  end,
})
