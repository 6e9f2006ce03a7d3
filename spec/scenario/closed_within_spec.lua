--- A client that is closed by a function that it calls itself: from `log` at any event, from `on_progress`, from `pause`.

local helper = require "spec.support.helper"
local simulators = require "veo.simulator"

describe("a client closed by its own", function()
  local sim, folder, count = nil, nil, 0

  setup(function()
    folder = helper.folder()
    sim = simulators.start { speed = 200, rate = false }
  end)
  teardown(function()
    sim:stop()
    helper.sweep()
  end)
  before_each(function()
    sim:reset()
    sim:add { taskId = "veo_task_short" }
  end)

  local function new(options)
    count = count + 1
    options.base_url, options.api_key = sim.url, sim.api_key
    options.ledger = options.ledger or folder .. "/" .. count .. ".db"
    options.wait = { first = 0.01, interval = 0.02 }
    options.retry = { base = 0.01, max = 0.05 }
    return require("veo").new(options), options.ledger
  end

  -- Orders and saves.
  local function run(in_job, client, options)
    local function call()
      local path = folder .. "/" .. count .. ".mp4"
      return client:extend_and_save({ taskId = "veo_task_short", prompt = "rain" }, path, options)
    end
    if not in_job then return call() end
    local job = client:spawn(call)
    client:run()
    return job:result()
  end

  local function rows(ledger)
    local client = new { ledger = ledger }
    local list = client:tasks {}
    client:close()
    return list
  end

  for _, in_job in ipairs { false, true } do
    local where = in_job and " in a job" or ""

    for _, event in ipairs { "request", "retry" } do
      it("log, at " .. event .. where .. ", sends nothing more", function()
        sim:script { { on = "extend", code = 429, times = 1 } }
        local client, ledger
        client, ledger = new { log = function(told)
          if told.event == event then client:close() end
        end }
        local file, err = run(in_job, client)
        assert.is_nil(file)
        assert.equal("closed no", err.code .. " " .. err.sent, err.message)
        assert.equal(0, #select(2, sim:charges()))
        assert.equal("refused", rows(ledger)[1].state)
      end)
    end

    it("log, at any later event" .. where .. ", forgets no order", function()
      local at, reached = 2, true
      while reached do
        local client, ledger
        local n = 0
        reached = false
        client, ledger = new { log = function()
          n = n + 1
          if n ~= at or reached then return end
          reached = true
          client:close()
        end }
        local file, err = run(in_job, client)
        local row = rows(ledger)[1]
        if reached then
          assert.is_truthy(file or err.code == "closed" or err.code == "uncertain", not file and err.message)
          assert.is_truthy(file or err.charged == "yes")
          assert.is_string(row.taskId)
        end
        if not reached then client:close() end
        at = at < 5 and at + 1 or at + 20
        if at > 400 then break end
      end
      assert.is_true(at > 5)
    end)

    it("on_progress" .. where .. " ends as closed", function()
      for _, group in ipairs { "wait", "download" } do
        local client, ledger = new {}
        local file, err = run(in_job, client, { [group] = { on_progress = function() client:close() end } })
        assert.is_truthy(file or err.code == "closed", not file and err.message)
        assert.is_string(rows(ledger)[1].taskId)
      end
    end)

    it("pause" .. where .. " ends as closed", function()
      local client, ledger
      local n = 0
      client, ledger = new { pause = function()
        n = n + 1
        if n == 3 then client:close() end
      end }
      local file, err = run(in_job, client)
      assert.is_nil(file)
      assert.is_truthy(err.code == "closed" or err.code == "uncertain", err.message)
      assert.is_string(rows(ledger)[1].state)
    end)
  end

  it("log starts no download", function()
    local client
    client = new { log = function(told)
      if told.event == "retry" and told.operation == "download" then client:close() end
    end }
    sim:script { { on = "media", http = 503 } }
    local file, err = client:download(sim.media_url .. "/media/blob/100000.mp4", folder .. "/b.mp4")
    assert.is_nil(file)
    assert.equal("closed", err.code, err.message)
  end)
end)
