--- How long the coroutines of a cqueues loop hold it: a loop for veo.receiver that times each turn, from one yield of a
--- coroutine to the next. By the clock of the thread: what else the machine does is not in it.

local helper = require "spec.support.helper"
local native = require "native"

local M = {}
local Loop = {}
Loop.__index = Loop

local now, cpu = helper.now, native.cpu

local function note(self, began, used)
  local took, turn = now() - began, cpu() - used
  if turn > self.cpu then self.cpu = turn end
  if took > self.wall then self.wall = took end
  self.turns = self.turns + 1
end

---The function, its turns timed.
function Loop:timed(fn)
  return function(...)
    local thread, began, used = coroutine.create(fn), nil, nil
    local function go_on(ok, ...)
      note(self, began, used)
      if not ok then error(..., 0) end
      if coroutine.status(thread) == "dead" then return ... end
      local function again(...)
        began, used = now(), cpu()
        return go_on(coroutine.resume(thread, ...))
      end
      return again(coroutine.yield(...))
    end
    began, used = now(), cpu()
    return go_on(coroutine.resume(thread, ...))
  end
end

function Loop:wrap(fn) return self.loop:wrap(self:timed(fn)) end
function Loop:step(seconds) return self.loop:step(seconds) end

---A loop to be given to a receiver. The longest turn is `cpu` and `wall`, in seconds.
---@return table
function M.loop()
  return setmetatable({ loop = require("cqueues").new(), cpu = 0, wall = 0, turns = 0 }, Loop)
end

return M
