--- Ctrl-C. The interpreter answers it by raising "interrupted!" in the main program at whatever instruction comes next;
--- in the middle of a step the answer to an order could get lost. So the work runs in a coroutine, which that error
--- does not reach; the main program only resumes it, and tells it between two steps that Ctrl-C was pressed. LuaJIT
--- makes no such difference: there the work itself may be ended, and whoever runs it goes on with what is left. A
--- second Ctrl-C ends the process at once: the interpreter listens only once.

local M = {}

---Whether an error is a Ctrl-C.
---@param err any
---@return boolean
function M.is(err)
  return type(err) == "string" and err:find("interrupted!$") ~= nil
end

---Runs `fn(breathe)`; whenever it calls `breathe()`, it is told whether Ctrl-C was pressed since.
---@param fn fun(breathe: fun(): boolean)
---@return boolean ended       false when it raised an error
---@return any err             with its traceback, unless it was Ctrl-C
function M.run(fn)
  local failure
  local pressed = false
  local co = coroutine.create(function() fn(coroutine.yield) end)
  local function turns()
    while coroutine.status(co) ~= "dead" do
      local now = pressed
      pressed = false
      local ok, err = coroutine.resume(co, now)
      if not ok then failure = { M.is(err) and err or debug.traceback(co, tostring(err)) } end
    end
  end
  while true do
    local fine, err = pcall(turns)
    if fine then break end
    if not M.is(err) then error(err, 0) end
    pressed = true
  end
  if failure then return false, failure[1] end
  return true
end

return M
