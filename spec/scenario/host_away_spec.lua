-- A host that did not step for a while (a modal dialog, a debugger, Ctrl-Z): what lies in the sockets is read before any
-- deadline is judged, and an exchange whose end came meanwhile gets its time once more.

local fault = require "spec.support.fault"
local helper = require "spec.support.helper"
local socket = require "socket"

-- A 120th of the default, and so are the seconds that the host is away: 10, 70 and 300. How late an end is judged that
-- came meanwhile (0.25 s and more) is not scaled, so the second is that much longer.
local TIMEOUT = 0.5
local AWAY = { 10 / 120, 70 / 120 + 0.25, 300 / 120 }
-- How long the server thinks before it answers, and so where the order is when the host comes back.
local THINKS = { at_once = 0, while_away = 0.05, after_it = "behind" }
-- How far the order was when the host left.
local LEFT = { "before a byte", "while connecting", "when it was sent" }

local function names(map)
  local list = {}
  for name in pairs(map) do list[#list + 1] = name end
  table.sort(list)
  return list
end

describe("a host that was away", function()
  for _, away in ipairs(AWAY) do
    for _, thinks in ipairs(names(THINKS)) do
      for _, left in ipairs(LEFT) do
        -- The long ones where it matters most.
        local sent = left == "when it was sent"
        for _, tls in ipairs(sent and away < 2 and { false, true } or (sent or away < 2) and { sent } or {}) do
          it(("for %.2g s, left %s, server answers %s%s: gets the answer to its order"):format(away, left, thinks,
            tls and ", over TLS" or ""), function()
            local delay = THINKS[thinks]
            if delay == "behind" then delay = away + 0.1 end
            local server = fault.start { it = { tls = tls or nil, delay = delay } }
            local client = helper.client(server.url.it, { ca_file = tls and server.ca_file or nil, timeout = TIMEOUT })
            finally(function()
              client:close()
              server:stop()
            end)
            local job = client:spawn(function() return client:extend { taskId = "source", prompt = "on" } end)
            local steps = ({ ["before a byte"] = 1, ["while connecting"] = 2 })[left]
            if steps then
              for _ = 1, steps do client:step(0) end
            else
              while server:count("it", "POST") == 0 and job:status() == "pending" do client:step(1) end
            end
            socket.sleep(away)
            -- Sent late, an answer that is "behind" comes later than any time-out that began with the request.
            local waits = thinks == "after_it" and not sent and delay > TIMEOUT
            repeat client:step(10) until job:status() ~= "pending"
            local task, err = job:result()
            assert.equal(1, server:count("it", "POST"))
            if waits then
              assert.is_true(task ~= nil or err.code == "uncertain")
            else
              assert.equal("veo_extend_task_xyz789", task and task.taskId, tostring(err))
            end
          end)
        end
      end
    end
  end

  it("long, and then steps, still ends what gets no answer", function()
    local server = fault.start { it = { get = "hang", post = "hang" } }
    local client = helper.client(server.url.it, { timeout = TIMEOUT, retry = { attempts = 1 } })
    finally(function()
      client:close()
      server:stop()
    end)
    local order = client:spawn(function() return client:extend { taskId = "source", prompt = "on" } end)
    local look = client:spawn(function() return client:status "a" end)
    local away = 0
    while order:status() == "pending" or look:status() == "pending" do
      client:step(0)
      socket.sleep(0.2) -- late each time
      away = away + 1
      assert.is_true(away < 20)
    end
    local _, err = order:result()
    assert.equal("uncertain", err.code)
    _, err = look:result()
    assert.is_true(err.timed_out)
  end)
end)
