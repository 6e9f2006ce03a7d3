-- Memory and life: an allocator that fails anywhere, an impatient collector, forks, threads, states that end early.
-- What leaks is told by `make check-memory`, which runs these too; here nothing may crash, hang or become unusable.

local core = require "veo.core"
local fault = require "spec.support.fault"
local helper = require "spec.support.helper"
local simulator = require "veo.simulator"

local has_native, native = pcall(require, "native")

describe("memory", function()
  local sim

  setup(function() sim = simulator.start { speed = 10000, rate = false } end)
  teardown(function() sim:stop() end)
  before_each(function() sim:reset() end)

  -- Runs spec code in other states: what it needs is written into it.
  local function fill(code)
    return (code:gsub("%$(%w+)", function(name) return ("%q"):format(tostring(sim[name] or name)) end)
      :gsub("@URL", sim.url):gsub("@MEDIA", sim.media_url):gsub("@KEY", sim.api_key):gsub("@SOURCE", sim.source))
  end

  describe("an allocator that fails", function()
    -- Lets every allocation of `work` fail in turn; afterwards the same client still works. Ends at the first run
    -- in which nothing failed.
    local function sweep(name, prepare, work)
      it("during " .. name .. " leaves the client usable", function()
        if not has_native then return pending("make test builds what this needs") end
        local code = fill([[
          local core = require "veo.core"
          local veo = require "veo"
          local client = core.new { base_url = "@URL", api_key = "@KEY" }
          ]] .. prepare .. [[

          local ok, message = attempt(function() ]] .. work .. [[ end)
          if not ok and not tostring(message):find("not enough memory") and not tostring(message):find("memory") then
            return "raised: " .. tostring(message)
          end
          while client:take() do end
          local reply, failure = client:status("@SOURCE")
          if not reply then return "unusable: " .. failure.message end
          client:close()
          if sink then sink:close() end
          return ok and "whole" or "failed"]])
        local failed, n = 0, 0
        while true do
          n = n + 1
          local text, message = native.sweep(code, n)
          if text == nil and message and message:find("no state") then return pending(message) end
          assert.is_truthy(text, message)
          assert.is_true(text == "whole" or text == "failed", "allocation " .. n .. ": " .. text)
          if text == "whole" then break end
          failed = failed + 1
          assert.is_true(n < 3000, "it never ends")
        end
        assert.is_true(failed > 0, "nothing failed: the sweep swept nothing")
      end)
    end

    sweep("core.new", "", [[
      local other = core.new { base_url = "@URL", api_key = "@KEY" }
      other:close()]])
    sweep("a status", "", [[client:status("@SOURCE")]])
    sweep("a look", "", [[client:look("@SOURCE")]])
    sweep("a status read whole", "", [[
      local status = client:look("@SOURCE")
      if status and status.state then return status.raw, status.raw end]])
    sweep("an extend", "", [[client:extend { taskId = "@SOURCE", prompt = "x", extra = { 1, 2, { a = "b" } } }]])
    sweep("start, step, take and result", "", [[
      for _, operation in ipairs { "status", "look" } do
        client:start(operation, "@SOURCE")
        while client:step(1000) == 0 do end
        local reply, failure = client:take():result()
        if not reply then error(failure.message) end
      end]])
    sweep("a failure's table", "", [[client:start("request", { url = "http://127.0.0.1:1/x?y=z" })
      while client:step(1000) == 0 do end
      client:take():result()]])
    sweep("a cancel", "", [[
      local t = client:start("status", "@SOURCE")
      t:cancel()
      t:result()]])
    local target = os.tmpname()
    sweep("a download", "os.remove('" .. target .. "')", [[
      sink = core.sink("]] .. target .. [[")
      client:start("download", { url = "@MEDIA/media/blob/1000.mp4", sink = sink })
      while client:step(1000) == 0 do end
      client:take():result()
      sink:close()]])
    sweep("the whole of Lua's half", [[
      local face = veo.new { base_url = "@URL", api_key = "@KEY", retry = { attempts = 1 } }
      face:status("@SOURCE")]], [[
      local job = face:spawn(function() return face:status("@SOURCE") end)
      face:run()
      local status, err = job:result()
      if not status then error(err.code == "job_failed" and err.message or err) end]])
    teardown(function() os.remove(target) end)
  end)

  describe("an impatient collector", function()
    local pause, step

    before_each(function()
      pause, step = helper.collector(0, 400)
    end)
    after_each(function()
      helper.collector(pause, step)
    end)

    it("takes nothing away that is in use", function()
      local client = helper.client(sim)
      local folder = helper.folder()
      local jobs = {}
      for i = 1, 10 do
        jobs[i] = client:spawn(function()
          local status = assert(helper.extend_and_wait(client, { taskId = sim.source, prompt = "boat " .. i }))
          return assert(client:download(status, folder .. "/" .. i .. ".mp4"))
        end)
      end
      for _ = 1, 5 do
        local lost = helper.client(sim)
        lost:spawn(function() lost:status("t") end)
        lost:step(0)
      end
      assert(client:run())
      for i = 1, 10 do assert.is_true(jobs[i]:result().bytes > 10000) end
      client:close()
      helper.sweep()
    end)

    it("takes transfers and sinks that nobody holds", function()
      local folder = helper.folder()
      local client = core.new { base_url = sim.url, api_key = sim.api_key }
      for i = 1, 50 do
        local sink = core.sink(folder .. "/" .. i)
        client:start("download", { url = sim.media_url .. "/media/blob/5000.mp4", sink = sink })
        client:start("status", "t")
        if i % 3 == 0 then client:start("status", "t"):cancel() end
        client:step(0)
        collectgarbage()
      end
      local deadline = core.now() + 60
      local done = 0
      while done < 100 and core.now() < deadline do
        client:step(100)
        while client:take() do done = done + 1 end
      end
      client:close()
      assert.equal(100, done)
      helper.sweep()
    end)
  end)

  it("keeps no descriptors", function()
    local function count() return tonumber(helper.output("ls /proc/$PPID/fd 2>/dev/null | wc -l")) end
    if count() == 0 then return pending("no /proc here") end
    local function work()
      local client = helper.client(sim)
      local folder = helper.folder()
      client.loop:pollfd()
      assert(helper.extend_and_wait(client, { taskId = sim.source, prompt = "x" }))
      assert(client:download(sim.media_url .. "/media/blob/1000.mp4", folder .. "/x.mp4"))
      client:spawn(function() client:status("nobody") end)
      client:step(0)
      client:close()
      helper.sweep()
    end
    work()
    collectgarbage()
    collectgarbage()
    local before = count()
    for _ = 1, 10 do work() end
    collectgarbage()
    collectgarbage()
    local after = count()
    assert.is_true(after < before + 5, ("%d descriptors became %d"):format(before, after)) -- others hold some too
  end)

  it("stays flat over many calls and a large download", function()
    local client = helper.client(sim)
    local folder = helper.folder()
    local function round()
      for _ = 1, 100 do client:status(sim.source) end
      assert(client:download(sim.media_url .. "/media/blob/20000000.mp4", folder .. "/x.mp4", { overwrite = true }))
      collectgarbage()
      collectgarbage()
      return collectgarbage("count")
    end
    round()
    local before = round()
    local after
    for _ = 1, 3 do after = round() end
    client:close()
    helper.sweep()
    assert.is_true(after < before + 50, ("%.0f KiB became %.0f KiB"):format(before, after))
  end)

  describe("after a fork", function()
    it("every call of the child is an error, and the parent's client lives on", function()
      if not has_native then return pending("make test builds what this needs") end
      local client = helper.client(sim)
      local handle = core.new { base_url = sim.url, api_key = sim.api_key }
      sim:script { { on = "status", task = "slow", delay = 0.5 } }
      local job = client:spawn(function() return client:status("slow") end)
      local slow = handle:start("status", "slow")
      client:step(50)
      handle:step(50)
      client.loop:pollfd()
      local text, status = native.fork(function()
        local out = {}
        for _, call in ipairs {
          function() handle:status("t") end, function() handle:step(0) end, function() handle:extend({}) end,
          function() handle:start("status", "t") end, function() slow:result() end, function() slow:cancel() end,
          function() client:status("t") end, function() client:step(0) end,
        } do
          local ok, message = pcall(call)
          out[#out + 1] = ok and "went through" or (tostring(message):find("fork") and "fork" or tostring(message))
        end
        -- Closing is harmless there, and says nothing on the parent's connections.
        out[#out + 1] = tostring(pcall(handle.close, handle))
        out[#out + 1] = tostring(pcall(client.close, client))
        collectgarbage()
        local fresh = core.new { base_url = sim.url, api_key = sim.api_key }
        out[#out + 1] = fresh:status(sim.source) and "a new one works" or "no"
        fresh:close()
        return table.concat(out, ", ")
      end)
      assert.equal(0, status)
      assert.equal(("fork, "):rep(8) .. "true, true, a new one works", text)
      assert.equal("not_found", select(2, job:wait()).code)
      while slow:result() == false do handle:step(100) end
      assert.is_truthy(handle:status(sim.source))
      handle:close()
      client:close()
    end)
  end)

  describe("several states", function()
    it("in threads of their own do not disturb each other", function()
      if not has_native then return pending("make test builds what this needs") end
      local results = native.threads(fill([[
        local n = ...
        local veo = require "veo"
        local client = veo.new { base_url = "@URL", api_key = "@KEY", rate = { count = 1000 },
          wait = { first = 0.01, interval = 0.02, max_interval = 0.05 } }
        for i = 1, 10 do
          local job = client:spawn(function()
            local task = assert(client:extend { taskId = "@SOURCE", prompt = "thread " .. n .. "." .. i })
            return assert(task:wait())
          end)
          local status, err = job:wait()
          if not status then return tostring(err) end
        end
        client:close()
        return "well"]]), 4)
      assert.same({ "well", "well", "well", "well" }, results)
      local _, list = sim:charges()
      assert.equal(40, #list)
    end)

    it("may end with everything under way", function()
      if not has_native then return pending("make test builds what this needs") end
      local server = fault.start { mute = { tls = "hang" }, hang = { post = "hang", get = "hang" } }
      local folder = helper.folder()
      for _ = 1, 5 do
        local results = native.threads(([[
          local name = "%s/" .. ...
          local veo = require "veo"
          local function open(url)
            local client = veo.new { base_url = url, api_key = "spec-key-0123456789" }
            client.loop:pollfd()
            client:spawn(function() client:status("t") end)
            client:spawn(function() client:extend { taskId = "a", prompt = "b" } end)
            client:spawn(function() client:download(url .. "/x.mp4", name .. url:match("[^/]*$")) end)
            client:spawn(function() client:sleep(60) end)
            for _ = 1, 5 do client:step(2) end
            return client
          end
          local clients = { open("%s"), open("%s"), open("https://no-such-host.invalid") }
          kept = clients
          return "well"]]):format(folder, server.url.mute, server.url.hang), 2)
        assert.same({ "well", "well" }, results)
      end
      -- Resolver threads may still be at work on what was closed.
      os.execute("sleep 0.2")
      server:stop()
      helper.sweep()
    end)

    it("may end while a file is being saved", function()
      if not has_native then return pending("make test builds what this needs") end
      local folder = helper.folder()
      local results = native.threads(fill([[
        local core = require "veo.core"
        local client = core.new { base_url = "@URL", api_key = "@KEY" }
        for i = 1, 8 do
          local sink = core.sink("FOLDER/" .. i .. ".part")
          client:start("save", { sink = sink, to = "FOLDER/" .. i .. "." .. ... })
        end
        return "well"]]):gsub("FOLDER", folder), 1)
      assert.same({ "well" }, results)
      os.execute("sleep 0.2")
      helper.sweep()
    end)
  end)

  it("survives the host's own SIGPIPE being left as it is", function()
    -- A server that closes while a large body is sent: the write meets a closed socket.
    local server = fault.start { head = { post = "close_at_head" } }
    local client = core.new { base_url = server.url.head, api_key = "spec-key-0123456789" }
    for _ = 1, 5 do
      local reply, failure = client:extend { taskId = "a", prompt = ("x"):rep(4000000) }
      assert.is_nil(reply)
      assert.is_true(failure.sent ~= "no")
    end
    client:close()
    server:stop()
  end)
end)
