-- client:stats() counts what the simulator saw.

local helper = require "spec.support.helper"
local simulators = require "veo.simulator"

describe("client:stats", function()
  local sim, client

  setup(function() sim = simulators.start { speed = 3000, rate = false } end)
  teardown(function() sim:stop() end)
  before_each(function() client = helper.client(sim) end)
  after_each(function()
    client:close()
    sim:reset()
    helper.sweep()
  end)

  -- The ends of a kind that are not zero.
  local function ends(kind)
    local out = {}
    for how, count in pairs(client:stats().exchanges_total[kind]) do
      if count ~= 0 then out[how] = count end
    end
    return out
  end

  -- How many requests came (to a path), on how many connections, and how many found one that was there.
  local function requests(path)
    local count, made, all, seen = 0, 0, 0, {}
    for _, request in ipairs(sim:requests()) do
      all = all + 1
      if not path or request.path:find(path) then count = count + 1 end
      if not seen[request.connection] then made = made + 1 end
      seen[request.connection] = true
    end
    return count, made, all - made
  end

  it("has zeros for all that has not happened", function()
    local stats = client:stats()
    for name, value in pairs(stats) do
      if name == "exchanges_total" then
        for kind, row in pairs(value) do
          for how, count in pairs(row) do assert.equal(0, count, kind .. " " .. how) end
          assert.is_number(row.ok)
        end
      elseif name ~= "slots_left" then
        assert.equal(0, value, name)
      end
    end
    assert.equal(10000, stats.slots_left)
    for _, kind in ipairs { "status", "extend", "generate", "get_1080p", "get_4k", "credits", "download", "upload",
      "upload_url", "download_url", "warm" } do
      assert.is_table(stats.exchanges_total[kind], kind)
    end
  end)

  it("counts the usual job as the simulator does", function()
    local folder = helper.folder()
    client:close()
    client = helper.client(sim, { rate = { count = 20, window = 1000 } })
    assert(client:extend_and_save({ taskId = sim.source, prompt = "x" }, folder .. "/a.mp4"))
    assert(client:credits())
    local stats = client:stats()
    assert.same({ ok = 1 }, ends "extend")
    assert.same({ ok = 1 }, ends "credits")
    assert.same({ ok = 1 }, ends "download")
    assert.same({ ok = requests "record%-info$" }, ends "status")
    local all, made, reused = requests()
    assert.equal(made, stats.connections_made_total)
    assert.equal(reused, stats.connections_reused_total)
    assert.is_true(all > 3 and reused > 0)
    assert.same({ 1, 0, 0, 60 }, { stats.orders_accepted_total, stats.orders_refused_total,
      stats.orders_uncertain_total, stats.credits_charged_total })
    assert.same({ 1, 19 }, { stats.slots_used, stats.slots_left })
    local bytes = #helper.read(folder .. "/a.mp4")
    assert.is_true(stats.bytes_received_total > bytes and stats.bytes_received_total < bytes + 1000 * all)
    assert.is_true(stats.bytes_sent_total > 100 * all and stats.bytes_sent_total < 1000 * all)
    assert.equal(0, stats.waits + stats.jobs + stats.in_flight + stats.queued)
  end)

  it("tells the ends of exchanges apart", function()
    local once = { retry = { attempts = 1 }, timeout = 1 }
    local before = requests()
    for _, case in ipairs { { "server", "http_error", code = 500 }, { "server", "http_error", http = 503 },
      { "malformed", "malformed", form = "text" }, { "network", "timed_out", hang = true } } do
      local code, how = case[1], case[2]
      case[1], case[2], case.on = nil, nil, "status"
      sim:script { case }
      local earlier = client:stats().exchanges_total.status[how]
      local _, err = client:status(sim.source, once)
      assert.equal(code, err.code)
      assert.equal(earlier + 1, client:stats().exchanges_total.status[how])
    end
    assert.same({ http_error = 2, malformed = 1, timed_out = 1 }, ends "status")
    assert.equal(4, requests() - before)
    local nobody = helper.client("http://127.0.0.1:9")
    assert.is_nil(nobody:status("a", once))
    assert.equal(1, nobody:stats().exchanges_total.status.network)
    nobody:close()
  end)

  it("counts what is cancelled, and what waits", function()
    sim:script { { on = "status", hang = true } }
    client:close()
    client = helper.client(sim, { max_in_flight = 2 })
    local jobs = {}
    for i = 1, 5 do jobs[i] = client:spawn(client.wait, client, sim.source) end
    local stats
    helper.step_until(client, function()
      stats = client:stats()
      return stats.in_flight == 2 and stats.queued == 3
    end)
    assert.same({ 5, 5 }, { stats.jobs, stats.waits })
    for _, job in ipairs(jobs) do job:cancel() end
    helper.step_until(client, function() return client:stats().in_flight == 0 end)
    client:step(0)
    assert.same({ cancelled = 2 }, ends "status")
    assert.equal(0, client:stats().waits)
  end)

  it("counts the orders that wait for a slot, and nothing that waits once it is closed", function()
    client:close()
    client = helper.client(sim, { rate = { count = 1, window = 60 }, max_in_flight = 1 })
    for i = 1, 4 do client:spawn(client.extend, client, { taskId = sim.source, prompt = "shot " .. i }) end
    helper.step_until(client, function() return client:stats().orders_queued == 3 end)
    sim:script { { on = "status", hang = true } }
    for _ = 1, 3 do client:spawn(client.wait, client, sim.source) end
    helper.step_until(client, function() return client:stats().queued == 2 end)
    client:close()
    assert.equal(0, client:stats().queued)
  end)

  it("counts retries, refusals and doubts", function()
    sim:script { { on = "extend", code = 429, times = 2 } }
    assert(client:extend { taskId = sim.source, prompt = "x" })
    assert.equal(2, client:stats().retries_total)
    assert.same({ ok = 1, http_error = 2 }, ends "extend")
    sim:script { { on = "extend", code = 400 } }
    assert.is_nil(client:extend { taskId = sim.source, prompt = "x" })
    sim:script { { on = "extend", close = "unanswered" } }
    local _, err = client:extend { taskId = sim.source, prompt = "x" }
    assert.equal("uncertain", err.code)
    local stats = client:stats()
    assert.same({ 1, 1, 1, 60 }, { stats.orders_accepted_total, stats.orders_refused_total,
      stats.orders_uncertain_total, stats.credits_charged_total })
    assert.equal(sim:count("POST", helper.EXTEND), stats.exchanges_total.extend.ok
      + stats.exchanges_total.extend.http_error + stats.exchanges_total.extend.network)
  end)

  it("notes the slots and charges of a client with a ledger", function()
    client:close()
    client = helper.client(sim, { ledger = helper.folder() .. "/a.db", rate = { count = 20, window = 1000 } })
    for seed = 10001, 10003 do assert(client:extend { taskId = sim.source, prompt = "x", seeds = seed }) end
    assert.is_true(assert(client:extend { taskId = sim.source, prompt = "x", seeds = 10001 }).joined)
    local stats = client:stats()
    assert.same({ 3, 17, 3, 180 }, { stats.slots_used, stats.slots_left, stats.orders_accepted_total,
      stats.credits_charged_total })
    assert.equal(3, sim:count("POST", helper.EXTEND))
  end)

  it("sees bytes while they come, and falls never", function()
    local url, last, steps = sim.media_url .. "/media/blob/30000000/a.mp4", 0, 0
    local job = client:spawn(client.download, client, url, helper.folder() .. "/a.mp4")
    while job:status() == "pending" do
      client:step(5)
      local now = client:stats().bytes_received_total
      assert.is_true(now >= last)
      if now > last then steps = steps + 1 end
      last = now
    end
    assert(job:result())
    assert.is_true(last > 30000000 and steps > 2, steps .. " steps, " .. last)
  end)

  it("answers when the client is closed, with the last values", function()
    assert(client:credits())
    local job = client:spawn(client.sleep, client, 60)
    local before = client:stats()
    assert.equal(1, before.jobs)
    client:close()
    local after = client:stats()
    assert.equal("cancelled", job:status())
    before.jobs, before.slots_used, before.slots_left = 0, after.slots_used, after.slots_left
    assert.same(before, after)
  end)

  it("hands over tables of its own", function()
    client:stats().exchanges_total.status.ok = 7
    assert.equal(0, client:stats().exchanges_total.status.ok)
  end)

  it("says how it is called", function()
    local _, _, message = helper.raised(function() client.stats() end)
    assert.matches("stats: call it with a colon", message)
  end)
end)
