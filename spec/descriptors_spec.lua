-- A process that has few descriptors left, or none; and programs that it starts, which get none of ours.

local kit = require "spec.support.kit"
local simulators = require "veo.simulator"

describe("descriptors", function()
  local folder

  setup(function() folder = kit.folder() end)
  teardown(kit.sweep)

  -- What a program of its own prints that may have so many.
  local function run(limit, code, ...)
    kit.write(folder .. "/program.lua", code)
    return kit.output(("ulimit -n %d; %s %s/program.lua %s"):format(limit, kit.lua(), folder,
      table.concat({ ... }, " ")))
  end

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
      client:pollfd()
      client:status("t")
      print(before == inherited() and "same" or inherited() - before)]]))
  end)

  describe("that are few", function()
    local sim

    setup(function() sim = simulators.start { speed = 1000, rate = false, credits = 100000 } end)
    teardown(function() sim:stop() end)
    before_each(function()
      sim:reset()
      for i = 1, 60 do sim:add { taskId = "veo_task_few" .. i } end
    end)

    local START = [[
      local url, key, folder = arg[1], arg[2], arg[3]
      local client = require("veo").new { base_url = url, api_key = key, ledger = folder .. "/few.db",
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

    it("do for sixty videos", function()
      local said = run(30, START:format(60) .. END, sim.url, sim.api_key, folder)
      assert.equal("60\tnot_found\n", said)
      assert.equal(60, #select(2, sim:charges()))
    end)

    it("and taken by the host for a while cost no video, nor a byte of one", function()
      local name = folder .. "/1.mp4"
      os.remove(name)
      os.remove(folder .. "/few.db")
      local said = run(40, START:format(1) .. [[
        local held = {}
        jobs[2] = client:spawn(function()
          while #client:tasks { state = "accepted" } == 0 do client:sleep(0.005) end
          while true do
            local file = io.open("/dev/null")
            if not file then break end
            held[#held + 1] = file
          end
          client:sleep(0.5)
          for _, file in ipairs(held) do file:close() end
          return true
        end)
      ]] .. END, sim.url, sim.api_key, folder)
      assert.equal("2\tnot_found\n", said)
      assert.equal(1, #select(2, sim:charges()))
    end)
  end)

  it("that are none leave what was fetched before as it is", function()
    local said = run(40, [[
      local folder = arg[1]
      local parts = require "veo.download.part"
      local unfinished = require "veo.download.unfinished"
      local source = { name = "https://example.invalid/v.mp4" }
      local part = assert(parts.open(source, folder .. "/v.mp4", {}))
      part:note('"etag"', 1000)
      part.sink:close()
      local file = assert(io.open(part.name, "wb"))
      file:write(("x"):rep(500))
      file:close()
      local held = {}
      while true do
        local one = io.open("/dev/null")
        if not one then break end
        held[#held + 1] = one
      end
      table.remove(held):close() -- enough for the part, and not for its notes
      local none, err = parts.open(source, folder .. "/v.mp4", {})
      print(none, err and err.code, err and err.errno)
      for _, one in ipairs(held) do one:close() end
      part = assert(parts.open(source, folder .. "/v.mp4", {}))
      print(part.sink:size(), part.validator, part.name == unfinished.name(folder .. "/v.mp4", 1))]], folder)
    assert.equal('nil\tio\t24\n500\t"etag"\ttrue\n', said)
  end)
end)
