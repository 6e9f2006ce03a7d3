-- Random histories of orders, losses, kills, settles, callbacks, clock jumps and files, by processes in several PID
-- namespaces: after each step the money must be where the ledger says, and each file its own task's. A failure names its
-- seed and the shortest history that shows it. `make model` plays thousands.
--
--   VEO_MODEL_SEED=N        the first seed, to play a failed run again
--   VEO_MODEL_HISTORIES=N   how many there are on each database; with VEO_PAIRS=thin there are few
local draw = require "spec.model.draw"
local needs = require "spec.support.needs"
local play = require "spec.model.play"
local shrink = require "spec.model.shrink"
local worlds = require "spec.model.world"

local SEED = tonumber(os.getenv "VEO_MODEL_SEED") or os.time()
local HISTORIES = tonumber(os.getenv "VEO_MODEL_HISTORIES") or os.getenv "VEO_PAIRS" == "thin" and 8 or nil
local LENGTH = 6

describe("the model of the money", function()
  local world
  after_each(function() world:stop() end)

  for _, one in ipairs { { "sqlite", 75 }, { "postgresql", 25 } } do
    local kind, count = one[1], HISTORIES or one[2]
    needs.block(kind, it)(("holds through %d histories on %s"):format(count, kind), function()
      world = worlds.new(kind)
      local function play_one(history) return play.play(world, history) end
      for n = 0, count - 1 do
        local history = draw.history(SEED + n, LENGTH)
        local problem = play_one(history)
        if problem then
          local shortest, last = shrink.shrink(history, problem, play_one, 60)
          error(("VEO_MODEL_SEED=%d, %s\n%s\n%s"):format(history.seed, problem, last, shrink.source(shortest)), 0)
        end
      end
      if not world.namespaces then pending(needs.lacks "namespaces") end
    end)
  end
end)
