-- A host that did not step for a while (a modal dialog, a debugger, Ctrl-Z): what lies in the sockets is read before any
-- deadline is judged, and an exchange whose end came meanwhile gets its time once more.

local fault = require "spec.support.fault"
local helper = require "spec.support.helper"
local socket = require "socket"

-- A 30th of the default, and so are the seconds that the host is away: 10, 70 and 150. How late an end is judged that
-- came meanwhile (0.25 s and more) is not scaled, so the second is that much longer.
local TIMEOUT = 2
local AWAY = { 10 / 30, 70 / 30 + 0.25, 150 / 30 }
-- How long the server thinks before it answers, and so where the order is when the host comes back.
local THINKS = { at_once = 0, while_away = 0.05, after_it = "behind" }
-- How far the order was when the host left.
local LEFT = { "before a byte", "while connecting", "when it was sent" }

describe("a host that was away", function()
  local function begin(away, thinks, left, tls)
    local one = { thinks = thinks, left = left, delay = THINKS[thinks] }
    one.name = ("left %s, server answers %s%s"):format(left, thinks, tls and ", over TLS" or "")
    if one.delay == "behind" then one.delay = away + 0.1 end
    one.server = fault.start { it = { tls = tls or nil, delay = one.delay } }
    one.client = helper.client(one.server.url.it, { ca_file = tls and one.server.ca_file or nil, timeout = TIMEOUT })
    return one
  end

  local function leave(one)
    one.job = one.client:spawn(function() return one.client:extend { taskId = "source", prompt = "on" } end)
    local steps = ({ ["before a byte"] = 1, ["while connecting"] = 2 })[one.left]
    if steps then
      for _ = 1, steps do one.client:step(0) end
      one.began = helper.now()
    else
      while one.server:count("it", "POST") == 0 and one.job:status() == "pending" do one.client:step(1) end
    end
  end

  local function come_back(all)
    local left = #all
    while left > 0 do
      for _, one in ipairs(all) do
        if not one.ended then
          one.client:step(0)
          one.ended = one.job:status() ~= "pending" and helper.now()
          if one.ended then left = left - 1 end
        end
      end
      socket.sleep(0.005)
    end
  end

  local function judge(one)
    -- Sent late, an answer that is "behind" comes later than any time-out that began with the request.
    local waits = one.thinks == "after_it" and one.began and one.ended - one.began > TIMEOUT
    local task, err = one.job:result()
    assert.equal(1, one.server:count("it", "POST"), one.name)
    if waits then
      assert.is_true(task ~= nil or err.code == "uncertain", one.name)
    else
      assert.equal("veo_extend_task_xyz789", task and task.taskId, one.name .. ": " .. tostring(err))
    end
  end

  -- Side by side, for it is seconds that each is away.
  for _, away in ipairs(AWAY) do
    it(("for %.2g s gets the answer to its order, wherever it left it"):format(away), function()
      local all = {}
      finally(function()
        for _, one in ipairs(all) do
          one.client:close()
          one.server:stop()
        end
      end)
      for thinks in pairs(THINKS) do
        for _, left in ipairs(LEFT) do
          for _, tls in ipairs { false, true } do all[#all + 1] = begin(away, thinks, left, tls) end
        end
      end
      for _, one in ipairs(all) do leave(one) end
      socket.sleep(away)
      come_back(all)
      for _, one in ipairs(all) do judge(one) end
    end)
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
      socket.sleep(TIMEOUT / 2) -- late each time
      away = away + 1
      assert.is_true(away < 20)
    end
    local _, err = order:result()
    assert.equal("uncertain", err.code)
    _, err = look:result()
    assert.is_true(err.timed_out)
  end)
end)
