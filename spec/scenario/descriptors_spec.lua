-- A process that has few descriptors left, or none; and programs that it starts, which get none of ours.

local h2 = require "spec.support.h2"
local helper = require "spec.support.helper"
local needs = require "spec.support.needs"
local simulators = require "veo.simulator"

-- `make test-h2` has but one.
local TRANSPORTS = { ["HTTP/2"] = h2.start }
if not os.getenv "VEO_SPEC_H2" then
  TRANSPORTS["plain HTTP"] = simulators.start
  TRANSPORTS.TLS = function(options)
    options.tls = true
    return simulators.start(options)
  end
end

describe("descriptors", function()
  local folder

  setup(function() folder = helper.folder() end)
  teardown(helper.sweep)

  -- What a program of its own prints that may have so many.
  local function run(limit, code, ...)
    helper.write(folder .. "/program.lua", code)
    return helper.output(("ulimit -n %d; %s %s/program.lua %s"):format(limit, helper.lua(), folder,
      table.concat({ ... }, " ")))
  end

  -- The host takes all but some, and gives them back.
  local HOLD = [[
    local held = {}
    local function hold(leave)
      while true do
        local file = io.open("/dev/null")
        if not file then break end
        held[#held + 1] = file
      end
      for _ = 1, leave do table.remove(held):close() end
    end
    local function free()
      for _, file in ipairs(held) do file:close() end
      held = {}
    end
  ]]

  it("are not needed for random bytes", function()
    assert.equal("16\ttrue\n", run(30, [[
      local core = require "veo.core"
      local held = {}
      for i = 1, 30 do held[i] = io.open("/dev/null") or false end
      assert(not held[30])
      print(#core.random(16), core.random(16) ~= core.random(16))]]))
  end)

  -- libcurl 7.88 lets a program have both ends of the pair that wakes it up.
  it("of a client are inherited by no program", function()
    assert.equal("same\n", run(100, [[
      local function inherited()
        local pipe = io.popen("ls -l /proc/self/fd")
        local list = pipe:read("*a"):gsub("[^\n]*/proc[^\n]*", ""):gsub("[^\n]*pipe:[^\n]*", "")
        pipe:close()
        return select(2, list:gsub("%->", ""))
      end
      local veo = require "veo"
      local before = inherited()
      local client = veo.new { api_key = "spec-key-0123456789", base_url = "http://127.0.0.1:9", deadline = 0.1 }
      client.loop:pollfd()
      client:status("t")
      print(before == inherited() and "same" or inherited() - before)]]))
  end)

  for transport, start in pairs(TRANSPORTS) do
    needs.block(transport == "HTTP/2" and "nginx", describe)("that are few, over " .. transport, function()
      local sim

      setup(function() sim = start { speed = 1000, rate = false, credits = 100000 } end)
      teardown(function() sim:stop() end)
      before_each(function()
        sim:reset()
        helper.output("cd " .. folder .. "; rm -f few.db* *.mp4*")
        for i = 1, 60 do sim:add { taskId = "veo_task_few" .. i } end
      end)

      local START = [[
        local url, key, folder, ca_file = arg[1], arg[2], arg[3], arg[4]
        local veo = require "veo"
        local client = veo.new { base_url = url, api_key = key, ca_file = ca_file, ledger = folder .. "/few.db",
          rate = { count = 10000, window = 1, polls = false }, retry = { base = 0.01, max = 0.1 }, deadline = 60,
          wait = { first = 0.05, interval = 0.05 } }
        local jobs, saved = {}, 0
        for i = 1, %d do
          jobs[i] = client:spawn(client.extend_and_save, client, { taskId = "veo_task_few" .. i, prompt = "p" .. i },
            folder .. "/" .. i .. ".mp4")
        end
      ]]
      local END = [[
        assert(client:run())
        for _, job in ipairs(jobs) do
          local file, err = job:result()
          if file then saved = saved + 1 else print(err.code, err.message) end
        end
        print(saved, select(2, client:status("none")).code)
      ]]

      local function videos(limit, code)
        return run(limit, code, sim.url, sim.api_key, folder, sim.ca_file)
      end

      it("do for sixty videos", function()
        assert.equal("60\tnot_found\n", videos(30, START:format(60) .. END))
        assert.equal(60, #select(2, sim:charges()))
      end)

      -- Before the first connection, which has certificates to read; and once there are videos to fetch.
      for when, condition in pairs {
        ["at the start"] = "while #client:tasks() == 0 do client:sleep(0) end",
        ["when orders are accepted"] = 'while #client:tasks { state = "accepted" } == 0 do client:sleep(0.005) end',
      } do
        it("and taken by the host for a while " .. when .. " cost no video, nor a byte of one", function()
          for leave = 0, 4, 2 do
            helper.output("cd " .. folder .. "; rm -f few.db* *.mp4*")
            sim:reset()
            for i = 1, 4 do sim:add { taskId = "veo_task_few" .. i } end
            local said = videos(60, HOLD .. START:format(4) .. [[
              veo.preload()
              jobs[5] = client:spawn(function()
                ]] .. condition .. [[

                hold(]] .. leave .. [[)
                client:sleep(0.5)
                free()
                return true
              end)
            ]] .. END)
            assert.equal("5\tnot_found\n", said, leave)
            assert.equal(4, #select(2, sim:charges()))
          end
        end)
      end
    end)
  end

  -- One is enough for the connection, and for nothing beside it.
  needs.block("nginx", it)("that certificates could not be read with cost no order", function()
    local sim = h2.start { speed = 1000, rate = false }
    finally(function() sim:stop() end)
    helper.output(("cd %s; mkdir authorities; cp %s authorities/$(openssl x509 -hash -noout -in %s).0"):format(folder,
      sim.ca_file, sim.ca_file))
    helper.write(folder .. "/order.lua", HOLD .. [[
      local url, key, source = arg[1], arg[2], arg[3]
      local veo = require "veo"
      veo.preload()
      local tries = 0
      local client = veo.new { base_url = url, api_key = key, deadline = 30, retry = { base = 0.01, max = 0.05 },
        log = function(event)
          if event.event == "retry" then tries = tries + 1 end
          if tries == 2 then free() end
        end }
      client.loop:pollfd()
      hold(1)
      local task, err = client:extend { taskId = source, prompt = "p" }
      print(tries > 1 and "tried again" or tries, task and "ordered" or err.message)]])
    for _, trust in ipairs { "SSL_CERT_FILE=" .. sim.ca_file, "SSL_CERT_DIR=" .. folder .. "/authorities" } do
      local said = helper.output(("env -u CURL_CA_BUNDLE -u SSL_CERT_FILE -u SSL_CERT_DIR %s sh -c '%s'"):format(trust,
        ("ulimit -n 60; %s %s/order.lua %s %s %s"):format(helper.lua(), folder, sim.url, sim.api_key, sim.source)))
      assert.equal("tried again\tordered\n", said, trust)
    end
  end)

  it("that are none leave what was fetched before as it is", function()
    local said = run(40, HOLD .. [[
      local folder = arg[1]
      local parts = require "veo.task.download.partial"
      local unfinished = require "veo.task.download.part_names"
      local source = { name = "https://example.invalid/v.mp4" }
      local part = assert(parts.open(source, folder .. "/v.mp4", {}))
      part:note('"etag"', 1000)
      part.sink:close()
      local file = assert(io.open(part.name, "wb"))
      file:write(("x"):rep(500))
      file:close()
      for leave = 0, 1 do -- one is enough for the part, and not for its notes
        hold(leave)
        local none, err = parts.open(source, folder .. "/v.mp4", {})
        print(none, err and err.code, err and err.errno)
        free()
      end
      part = assert(parts.open(source, folder .. "/v.mp4", {}))
      print(part.sink:size(), part.validator, part.name == unfinished.name(folder .. "/v.mp4", 1))]], folder)
    assert.equal('nil\tio\t24\nnil\tio\t24\n500\t"etag"\ttrue\n', said)
  end)
end)
