-- Rooms are loaded when they are first needed, and that is before a call's first request: in the middle of an order or a
-- save there may be no descriptor left to load one with, or the folder that package.path names is another one.
local helper = require "spec.support.helper"
local simulator = require "veo.simulator"

local CHILD = [==[
local url, key, source, folder, ledger = (table.unpack or unpack)(arg)
local sent, late = false, {}
local client = require("veo").new { base_url = url, api_key = key, ledger = ledger ~= "" and ledger or nil,
  wait = { first = 0.01, interval = 0.01 }, log = function(event) sent = sent or event.event == "request" end }
table.insert(package.searchers or package.loaders, 1, function(name)
  if sent then late[#late + 1] = name end
end)
local calls = {
  extend = function() return client:extend { taskId = source, prompt = "a" } end,
  refused = function() return nil, select(2, client:extend { taskId = "nobody's", prompt = "a" }) and "told" end,
  extend_and_save = function() return client:extend_and_save({ taskId = source, prompt = "b" }, folder .. "/b.mp4") end,
  chain = function() return client:chain { taskId = source, prompts = { "c", "d" }, path = folder .. "/c.mp4" } end,
  download = function() return client:download(source, folder .. "/d.mp4") end,
  resume = function() return ledger == "" or client:resume { path = folder .. "/{taskId}.mp4" } end,
}
sent = false
local value, why = calls[arg[6]]()
print(value and "done" or why, table.concat(late, " "))
client:close()
]==]

describe("no room is loaded once a request has left: ", function()
  local sim, folder
  setup(function() sim = simulator.start { speed = 1000, rate = false } end)
  teardown(function()
    sim:stop()
    helper.sweep()
  end)
  before_each(function()
    sim:reset()
    folder = helper.folder()
    helper.write(folder .. "/child.lua", CHILD)
  end)

  for _, call in ipairs { "extend", "refused", "extend_and_save", "chain", "download", "resume" } do
    for _, ledger in ipairs { false, true } do
      it(call .. (ledger and ", with a ledger" or ""), function()
        local words = { sim.url, sim.api_key, sim.source, folder, ledger and folder .. "/r.db" or "", call }
        local said = helper.output(("unset LD_PRELOAD; %s LUA_PATH='%s' LUA_CPATH='%s' %s %s/child.lua '%s'"):format(
          sim.ca_file and "SSL_CERT_FILE='" .. sim.ca_file .. "'" or "", package.path, helper.cpath(), helper.lua(),
          folder,
          table.concat(words, "' '")))
        assert.equal((call == "refused" and "told" or "done") .. "\t\n", said)
      end)
    end
  end

  it("a callback that comes to a receiver", function()
    helper.write(folder .. "/receiver.lua", [==[
      local url, key, source, webhook_key = (table.unpack or unpack)(arg)
      local late, seen = {}, 0
      local client = require("veo").new { base_url = url, api_key = key, webhook_key = webhook_key,
        wait = { first = 60, interval = 60 } }
      local receiver = assert(require("veo.receiver").new { client = client,
        on_status = function() seen = seen + 1 end })
      local job = client:spawn(function()
        local task = assert(client:extend { taskId = source, prompt = "a", callBackUrl = receiver.url })
        table.insert(package.searchers or package.loaders, 1, function(name) late[#late + 1] = name end)
        return assert(client:wait(task))
      end)
      assert(receiver:run())
      receiver:close()
      print(seen == 1 and job:status(), table.concat(late, " "))
      client:close()
    ]==])
    local key = "whsec-42"
    local service = simulator.start { speed = 1000, rate = false, webhook_key = key }
    finally(function() service:stop() end)
    local said = helper.output(("unset LD_PRELOAD; LUA_PATH='%s' LUA_CPATH='%s' %s %s/receiver.lua '%s'"):format(
      package.path, helper.cpath(), helper.lua(), folder,
      table.concat({ service.url, service.api_key, service.source, key }, "' '")))
    assert.equal("done\t\n", said)
  end)
end)
