-- What the core does for a command, and only when it is asked: signals that are told, standard descriptors that are open.

local helper = require "spec.support.helper"

describe("core.take_signals", function()
  local folder

  setup(function() folder = helper.folder() end)
  teardown(helper.sweep)

  -- What this process ignores, because a library that it has loaded does, the child does not.
  local function run(script, redirections)
    helper.write(folder .. "/x.lua", 'local core = require "veo.core"\n' .. script)
    return helper.output(("env --default-signal %s %s/x.lua %s; echo \"exit $?\""):format(helper.lua(), folder,
      redirections or ""))
  end

  local KILL = 'os.execute("kill -%s " .. core.pid()) '

  it("changes nothing of a host that does not ask", function()
    for name, number in pairs { TERM = 143, HUP = 129, PIPE = 141 } do
      assert.matches("exit " .. number, run(KILL:format(name) .. 'print "still there"'))
    end
  end)

  it("has them told, and how many there were but for SIGHUP, of which a closed terminal sends several", function()
    local said = run("core.take_signals() assert(core.signal() == nil) " .. KILL:format "TERM"
      .. "print(core.signal()) print(core.signal()) " .. KILL:format "HUP" .. KILL:format "PIPE"
      .. "print(core.signal()) " -- os.execute ignores SIGINT until its shell has ended
      .. [[os.execute("(sleep 0.1; kill -INT " .. core.pid() .. ") &")
        local name, count
        repeat name, count = core.signal() until name
        print(name, count)]])
    assert.equal("TERM\t1\n\nHUP\t1\nINT\t2\nexit 0\n", said)
  end)

  it("lets the third one end a process that does not look", function()
    assert.matches("^two\n.*exit 143", run("core.take_signals() " .. KILL:format "HUP" .. KILL:format "TERM"
      .. KILL:format "TERM" .. 'print "two" io.stdout:flush() ' .. KILL:format "TERM" .. 'print "still there"'))
  end)

  it("cuts no read that is under way", function()
    assert.equal("whole\tTERM\nexit 0\n", run [[core.take_signals()
      local pipe = io.popen("sleep 0.2; kill -TERM " .. core.pid() .. "; sleep 0.1; echo whole")
      print(pipe:read(), (core.signal()))]])
  end)

  it("leaves alone what is ignored, as nohup does", function()
    helper.write(folder .. "/y.lua", 'local core = require "veo.core" core.take_signals() '
      .. KILL:format "HUP" .. "print(core.signal())")
    assert.equal("\n", helper.output(("trap '' HUP; %s %s/y.lua"):format(helper.lua(), folder)))
  end)

  it("makes a closed standard output fail instead of being the next file that is opened", function()
    local file = folder .. "/precious"
    run(([[core.take_signals() local f = io.open(%q, "w") f:write("kept") f:flush()
      io.stderr:write(tostring(io.stdout:write("x\n") and io.stdout:flush()), "\n")]]):format(file),
      ">&- 2>" .. folder .. "/e")
    assert.equal("kept", helper.read(file))
    assert.is_nil(helper.read(folder .. "/e"):find("true", 1, true))
  end)

  it("makes closed standard input and error fail as well", function()
    local file = folder .. "/precious"
    assert.matches("^nil\tBad file descriptor", run(([[core.take_signals() local f = io.open(%q, "w")
      io.stderr:write("noise") f:write("kept") f:close() print(io.stdin:read(1))]]):format(file), "<&- 2>&-"))
    assert.equal("kept", helper.read(file))
  end)

  it("tells how wide a terminal is, 80 where that does not say", function()
    if helper.output "command -v script" == "" then return pending "needs script" end
    for columns, told in pairs { [0] = "80", [1] = "1", [132] = "132" } do
      helper.write(folder .. "/x.lua", 'print("<" .. table.concat({ require("veo.core").columns(1) }, " ") .. ">")\n')
      local shown = helper.output(("script -qec 'stty cols %d; %s %s/x.lua' /dev/null </dev/null"):format(columns,
        helper.lua(), folder))
      assert.equal(told, shown:match("<(.-)>"), shown)
    end
  end)

  it("tells no width where there is no terminal", function()
    assert.equal("\nexit 0\n", run("print(core.columns(1))"))
  end)
end)
