--- The rows that the two lists make: every end × the kinds that come to it × every kind that follows × the transports
--- × alone and beside others.
local ends = require "spec.support.pairs.ends"
local kinds = require "spec.support.pairs.kinds"
local row = require "spec.support.pairs.row"
local world = require "spec.support.pairs.world"

local M = {}

local BESIDE = { false, true }

-- Whether the second can be tried at all: the API's address may be what was wrong.
local function can_follow(ending, first, second)
  return not (ending.lost and first.base and second.base)
end

local function each(fn)
  for _, ending in ipairs(ends.list) do
    for _, transport in ipairs(world.transports) do
      for _, first in ipairs(kinds) do
        if ending.kinds(first) and (not ending.transports or ending.transports[transport]) then
          for _, second in ipairs(kinds) do
            if can_follow(ending, first, second) then
              for _, beside in ipairs(BESIDE) do fn(ending, transport, first, second, beside) end
            end
          end
        end
      end
    end
  end
end

---@param keep integer every so manieth row; 1 is all, else an odd number, for every other row is beside others
---@param done fun(row: table, problem: string|nil)
function M.all(keep, done)
  local list, count = {}, 0
  each(function(ending, transport, first, second, beside)
    count = count + 1
    if count % keep == 0 then
      -- The large file costs ten times as much.
      local file = world.files.second[#list % 20 == 0 and 2 or 1]
      local forms = ending.forms
      list[#list + 1] = row.new { ending = ending, first = first, seconds = { second }, transport = transport,
        beside = beside, file = file, form = forms and forms[#list % #forms + 1], done = done }
    end
  end)
  return list
end

return M
