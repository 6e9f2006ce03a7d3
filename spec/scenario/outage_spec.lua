-- Short outages end nothing: while there is no connection an order, a wait and a download go on for as long as they have
-- time, and what is proved not to have left is no attempt.

local fault = require "spec.support.fault"
local helper = require "spec.support.helper"
local ledgers = require "spec.support.ledgers"
local lines = require "spec.support.line"
local needs = require "spec.support.needs"
local postgres = require "spec.support.postgres"
local simulator = require "veo.simulator"

-- How long there is no connection: many tries, were each an attempt.
local OUTAGE = 0.7

needs.block("nginx", describe)("an outage", function()
  local sim, line, client, server

  setup(function()
    sim = simulator.start { speed = 10000, rate = false }
    line = lines.new(sim)
  end)
  teardown(function()
    line:cut()
    sim:stop()
    if server then server:stop() end
    helper.sweep()
  end)
  before_each(function()
    line:cut()
    sim:reset()
  end)
  after_each(function()
    if client then client:close() end
    client = nil
  end)

  -- Tries that would have used up attempts, tokens and window, were they counted.
  local function new(more)
    local options = { api_key = sim.api_key, ca_file = line.ca_file, retry = { attempts = 1, budget = { tokens = 4 } },
      rate = { count = 6, window = 60 } }
    for name, value in pairs(more or {}) do options[name] = value end
    client = helper.client(line.url, options)
    return client
  end
  local function mend_after(seconds)
    client:spawn(function()
      client:sleep(seconds)
      line:mend()
    end)
  end
  local function extend(prompt, options)
    return client:extend({ taskId = sim.source, prompt = prompt or "the boat turns" }, options)
  end
  local function counts()
    local _, list = sim:charges()
    return { #list, sim:count("POST", helper.EXTEND) }
  end

  describe("in front of orders", function()
    it("ends none of six, and takes no slot of the rate window, no token and no attempt", function()
      local tries, waited, first = 0, 0, nil
      new { log = function(event)
        if event.event == "request" then tries = tries + 1 end
        if event.event == "rate" then waited = waited + 1 end
        if event.event == "retry" then first = first or event.offline end
      end }
      local tasks = {}
      for i = 1, 6 do client:spawn(function() tasks[i] = assert(extend("number " .. i)) end) end
      helper.step_until(client, function() return tries > 30 end)
      line:mend()
      client:run()
      assert.same({ 6, { 6, 6 }, 0 }, { #tasks, counts(), waited })
      assert.equal(0, first)
    end)

    it("takes the window's slots of nobody who had one before", function()
      line:mend()
      local waits = {}
      new { rate = { count = 2, window = 2 }, log = function(event)
        if event.event == "rate" then waits[#waits + 1] = event.wait end
      end }
      assert(extend "one")
      line:cut()
      mend_after(0.2)
      assert(extend "two")
      assert.equal(0, #waits)
      assert(extend "three")
      assert.is_true(#waits > 0)
      assert.same({ 3, 3 }, counts())
    end)

    for _, kind in ipairs { "sqlite", "postgresql" } do
      needs.block(kind, it)("ends none with a ledger, whose shared window counts what was sent: " .. kind, function()
        local place = helper.folder() .. "/renders.db"
        if kind == "postgresql" then
          server = server or postgres.start()
          place = server.uri
        end
        local waited = 0
        new { ledger = place, log = function(event) if event.event == "rate" then waited = waited + 1 end end }
        local tasks = {}
        for i = 1, 6 do
          client:spawn(function() tasks[i] = assert(extend("number " .. i, { key = "shot" .. i })) end)
        end
        mend_after(OUTAGE)
        client:run()
        assert.same({ 6, { 6, 6 }, 0 }, { #tasks, counts(), waited })
        assert.equal(("accepted "):rep(6), ledgers.states(place) .. " ")
        assert.equal(6, #ledgers.query(place, "SELECT at FROM veo_slots"))
      end)
    end

    it("that lasts longer ends it at its deadline, with nothing sent and everything free again", function()
      local place = helper.folder() .. "/renders.db"
      new { ledger = place, max_credits = 60, deadline = 1 }
      local began = helper.now()
      local _, err = extend(nil, { key = "shot" })
      local took = helper.now() - began
      assert.same({ "network", "no", 7, "refused" }, { err.code, err.sent, err.curl_code, ledgers.states(place) })
      assert.is_nil(err.attempts)
      assert.is_true(took > 0.9 and took < 20, "took " .. took) -- of the minutes that it would have
      assert.is_true(err.offline > 0.3)
      assert.matches("no connection for 0:0", err.message, 1, true)
      line:mend()
      assert(extend(nil, { key = "shot" }))
      assert.same({ 1, 1 }, counts())
    end)

    -- Standing in line for a slot is no time of a call's, but the outage goes on meanwhile: 20 orders with a second each
    -- took over 100 s at a dead port.
    it("that lasts longer ends many at once in time, who try in turn", function()
      local tries, ended = 0, {}
      new { deadline = 0.3, rate = { count = 1, window = 0.1 },
        log = function(event) if event.event == "request" then tries = tries + 1 end end }
      for i = 1, 8 do client:spawn(function() ended[i] = select(2, extend("number " .. i)).code end) end
      client:run()
      assert.same({ 8, "network" }, { #ended, ended[8] })
      assert.is_true(tries <= 3 * 8, tries .. " tries")
      assert.same({ 0, 0 }, counts())
    end)

    it("is left at once when it is cancelled, or the client closed", function()
      for how, code in pairs { cancel = "cancelled", close = "closed" } do
        local place = helper.folder() .. "/renders.db"
        new { ledger = place }
        local job = client:spawn(extend)
        local till = helper.now() + 0.2
        helper.step_until(client, function() return helper.now() > till end)
        if how == "cancel" then job:cancel() else client:close() end
        if how == "cancel" then helper.step_until(client, function() return job:status() ~= "pending" end) end
        local _, err = job:result()
        assert.same({ code, "no", "refused" }, { err.code, err.sent, ledgers.states(place) })
        client:close()
      end
      assert.same({ 0, 0 }, counts())
    end)

    it("is no word for what may have left: that is sent once", function()
      new()
      mend_after(0.2)
      sim:script { { on = "extend", close = "unanswered", charge = true, times = 1 } }
      local _, err = extend()
      -- nginx says 502 for it.
      assert.same({ "uncertain", 1, { 1, 1 } }, { err.code, err.attempts, counts() })
    end)

    it("is not what a 429 is: that counts", function()
      new()
      mend_after(0.2)
      sim:script { { on = "extend", code = 429 } }
      local _, err = extend()
      assert.same({ "rate_limited", 1, { 0, 1 } }, { err.code, err.attempts, counts() })
    end)

    it("of the proxy is one as well", function()
      local faults = fault.start { gone = { accept = "refuse" }, refuses = { proxy = "refuse" } }
      finally(function() faults:stop() end)
      line:mend()
      local function tries_through(name)
        local tries = 0
        client = helper.client(line.url, { api_key = sim.api_key, ca_file = line.ca_file, deadline = 1.5,
          proxy = faults.url[name], log = function(event) if event.event == "request" then tries = tries + 1 end end })
        local _, err = extend()
        client:close()
        assert.same({ "network", "no" }, { err.code, err.sent })
        return tries, err.proxy_status
      end
      assert.is_true(tries_through "gone" > 4)
      assert.same({ 1, 403 }, { tries_through "refuses" }) -- its word is for good
    end)
  end)

  it("over a name that begins to resolve ends no order", function()
    local shim = (os.getenv "VEO_BUILD" or "build/" .. helper.cpath():match("build/([^/]+)/")) .. "/names.so"
    if not helper.read(shim) then return pending("needs " .. shim) end
    local folder = helper.folder()
    helper.write(folder .. "/orders.lua", [[
      local helper = require "spec.support.helper"
      local client = helper.client(arg[1], { api_key = arg[3], allow_http = true, retry = { attempts = 1 },
        rate = { count = 3, window = 60 } })
      local tries, tasks = 0, 0
      for i = 1, 3 do
        client:spawn(function()
          local task = assert(client:extend { taskId = "veo_task_abcdef123456", prompt = "number " .. i })
          tasks = tasks + 1
        end)
      end
      client:spawn(function()
        client:sleep(0.7)
        helper.write(arg[2], "")
      end)
      client:run()
      print(tasks)
    ]])
    local plain = simulator.start { speed = 10000, rate = false }
    finally(function() plain:stop() end)
    local url = plain.url:gsub("//127%.0%.0%.1", "//api.test")
    local text = helper.output(("LD_PRELOAD=%s VEO_NAMES=%s/there sh -c \"%s\""):format(shim, folder,
      ledgers.script(helper.lua(), folder .. "/orders.lua", url, folder .. "/there", plain.api_key)))
    assert.equal("3\n", text)
    assert.equal(3, #select(2, plain:charges()))
  end)

  describe("in the middle of a wait", function()
    it("is sat out, and told", function()
      new()
      local told = {}
      local status = assert(client:wait(sim.source, { on_progress = function(state, info)
        told[#told + 1] = { state.state, info.message, info.offline, info.err and info.err.code }
        if #told == 10 then line:mend() end -- eight errors ended one
      end }))
      assert.equal("succeeded", status.state)
      assert.same({ "unknown", "no connection for 0:00, trying again", "network" },
        { told[1][1], told[1][2], told[1][4] })
      assert.is_true(told[1][3] < told[2][3])
      assert.same({ "succeeded" }, told[#told])
    end)

    it("leaves the last state in sight", function()
      line:mend()
      new()
      sim:script { { on = "status", state = "generating", times = 1 } }
      local seen = {}
      assert(client:wait(sim.source, { on_progress = function(state, info)
        if state.state == "generating" and not info.offline then
          line:cut()
          mend_after(0.2)
        end
        seen[state.state .. (info.offline and " offline" or "")] = true
      end }))
      assert.same({ generating = true, ["generating offline"] = true, succeeded = true }, seen)
    end)

    it("lasts at most its timeout, and `max_errors` where it is set", function()
      new()
      local began = helper.now()
      local _, err = client:wait(sim.source, { timeout = 0.3 })
      assert.is_true(helper.now() - began < 20) -- of 60
      assert.same({ "timeout", "network", sim.source }, { err.code, err.cause, err.taskId })
      assert.matches("no answer for 0:0", err.message, 1, true)
      _, err = client:wait(sim.source, { max_errors = 2 })
      assert.same({ "network", 3, sim.source }, { err.code, err.attempts, err.taskId })
      client:close()
      new { wait = { max_errors = 2 } }
      mend_after(0.3)
      assert(client:wait(sim.source, { max_errors = false }))
    end)

    it("hides no refusal: 401 and 433 end it at once", function()
      for code, name in pairs { [401] = "unauthorized", [402] = "insufficient_credits", [403] = "forbidden",
        [433] = "key_limit" } do
        line:cut()
        sim:reset()
        sim:script { { on = "status", code = code } }
        new()
        mend_after(0.2)
        local _, err = client:wait(sim.source)
        client:run()
        assert.same({ name, 1 }, { err.code, sim:count("GET", helper.STATUS) })
        client:close()
      end
    end)
  end)

  it("is not what a certificate is that does not hold: that ends order, wait, look and download at once", function()
    line:mend()
    local other = helper.folder()
    os.execute("sh spec/support/certificates.sh " .. other)
    local tries = 0
    new { ca_file = other .. "/ca.pem", retry = { attempts = 4 },
      log = function(event) if event.event == "retry" then tries = tries + 1 end end }
    local ends = { { extend() }, { client:wait(sim.source) }, { client:status(sim.source) },
      { client:download(line.url .. "/media/blob/1000.mp4", other .. "/a.mp4") } }
    for i = 1, 4 do assert.same({ "network", 60 }, { ends[i][2].code, ends[i][2].curl_code }) end
    assert.equal(0, tries)
  end)

  it("ends a call that is to answer now after its attempts", function()
    new { retry = { attempts = 3 } }
    for _, call in ipairs { client.credits, client.status } do
      local _, err = call(client, sim.source ~= nil and call == client.status and sim.source or nil)
      assert.same({ "network", 3 }, { err.code, err.attempts })
    end
  end)

  describe("in the middle of a download", function()
    local function url(size) return line.url .. "/media/blob/" .. size .. ".mp4" end

    it("is sat out and told, with what came kept", function()
      line:mend()
      new()
      local path, told, cut = helper.folder() .. "/a.mp4", {}, false
      local file = assert(client:download(url(1000000), path, { attempts = 1, on_progress = function(bytes, total, info)
        if bytes > 100000 and not cut then
          cut = true
          line:cut()
        end
        if info.message then told[#told + 1] = { bytes > 0, total, info.message } end
        if #told == 6 then line:mend() end
      end }))
      assert.same({ 1000000, 1000000 }, { file.bytes, #helper.read(path) })
      assert.same({ true, 1000000, "no connection for 0:00, trying again" }, told[1])
      local requests = sim:requests { endpoint = "media" }
      assert.is_string(requests[#requests].headers.range)
    end)

    it("is sat out into a function, before the first byte too", function()
      new()
      mend_after(0.3)
      local bytes = 0
      assert(client:download(url(300000), function(chunk) bytes = bytes + #chunk end, { attempts = 1 }))
      assert.equal(300000, bytes)
    end)

    it("lasts at most `deadline`, and the part is kept", function()
      line:mend()
      new { deadline = 0.3 }
      local path, cut = helper.folder() .. "/a.mp4", false
      local _, err = client:download(url(1000000), path, { on_progress = function(bytes)
        if bytes > 100000 and not cut then
          cut = true
          line:cut()
        end
      end })
      assert.same({ "network", 7 }, { err.code, err.curl_code })
      assert.is_true(err.offline > 0.2)
      assert.is_true(#helper.read(path .. ".part") > 100000)
      line:mend()
      assert.is_true(assert(client:download(url(1000000), path)).resumed > 100000)
    end)

    it("is sat out where a dead link is made anew", function()
      local direct = helper.client(sim)
      local status = assert(direct:status(sim.source))
      direct:close()
      new()
      mend_after(0.3)
      sim:script { { on = "media", http = 404, times = 1 } }
      assert.equal(sim.source, assert(client:download(status, helper.folder() .. "/a.mp4")).taskId)
    end)
  end)

  it("ends neither the asking for a 1080P version, nor an upload", function()
    new { upload_url = line.url }
    mend_after(0.3)
    assert(client:task(sim.source):upgrade("1080p", { interval = 0.05 }))
    line:cut()
    mend_after(0.3)
    local path = helper.folder() .. "/a.png"
    helper.write(path, ("x"):rep(1000))
    assert(client:upload(path))
  end)

  it("is said by the command, with its cause, and ends nothing there", function()
    local folder = helper.folder()
    local pipe = io.popen(("KIE_API_KEY=%s KIE_BASE_URL=%s CURL_CA_BUNDLE=%s timeout -k 1 60 sh -c '%s' 2>&1"):format(
      sim.api_key, line.url, line.ca_file, (ledgers.script(helper.lua(), "lua/veo/main.lua", "extend", sim.source, "x",
        "--no-wait", "--no-ledger"):gsub("'", "'\\''"))))
    assert.matches("^price: 60 credits", (pipe:read "*l"))
    local first = pipe:read "*l"
    line:mend()
    local rest = pipe:read "*a"
    pipe:close()
    assert.matches("^no connection, trying again until there is one %(Ctrl%-C ends it%): .*Failed to connect", first)
    assert.matches("accepted: task %x+", rest)
    assert.same({ 1, 1 }, counts())
    assert.is_string(folder)
  end)
end)
