-- examples/nginx under a real nginx with its Lua module: it verifies, spools and answers, without the core; the program
-- that collects goes on from the spool.

local helper = require "spec.support.helper"
local needs = require "spec.support.needs"
local nginx = require "spec.support.nginx"
local simulator = require "veo.simulator"

local KEY = "whsec-42"

needs.block("nginx_lua", describe)("examples/nginx", function()
  local sim, dir, url, server

  -- The example as it stands, but for its port and the place of the modules.
  local function configured()
    dir = helper.folder()
    local port, here = nginx.free_port(), helper.output("pwd"):gsub("%s+$", "")
    for _, name in ipairs { "spool", "tmp", "videos" } do os.execute("mkdir " .. dir .. "/" .. name) end
    os.execute(("chmod -R 777 %s && cp examples/nginx/receive.lua %s"):format(dir, dir))
    local conf = helper.read "examples/nginx/nginx.conf"
    local count
    conf, count = conf:gsub("listen 127%.0%.0%.1:8080", "listen 127.0.0.1:" .. port)
    assert.equal(1, count)
    conf, count = conf:gsub('lua_package_path "[^"]*', ('lua_package_path "%s/lua/?.lua;%s/lua/?/init.lua;;'):format(
      here, here))
    assert.equal(1, count)
    return conf, ("http://127.0.0.1:%d/veo/callback"):format(port)
  end

  local function start()
    local conf
    conf, url = configured()
    server = nginx.start(dir, conf, "KIE_WEBHOOK_KEY=" .. KEY)
  end

  setup(function()
    sim = simulator.start { speed = 1000, rate = false, webhook_key = KEY }
    start()
  end)
  teardown(function()
    if server then server:stop() end
    if sim then sim:stop() end
    helper.sweep()
  end)
  before_each(function()
    sim:reset()
    os.execute("rm -f " .. dir .. "/spool/* " .. dir .. "/videos/*")
  end)

  local function they(name, fn)
    it(name, function()
      fn()
    end)
  end

  local function called_back(id, effect)
    local before = #sim:callbacks()
    sim:call_back(id, effect, url)
    helper.wait_until(function()
      local list = sim:callbacks()
      local last = list[#list]
      return #list >= before + (effect and effect.repeats or 1) and (last.http or last.failed)
    end)
    return sim:callbacks()[before + 1].http
  end

  they("spools a genuine callback and answers with success", function()
    assert.equal(200, called_back(sim.source))
    local names = helper.list(dir .. "/spool")
    assert.equal(1, #names)
    assert.matches("^%d+%-" .. sim.source:gsub("%p", "%%%0") .. "%.json$", names[1])
    assert.matches('taskId', helper.read(dir .. "/spool/" .. names[1]))
  end)

  they("answers a repeated one with success, and keeps it once", function()
    assert.equal(200, called_back(sim.source, { repeats = 3 }))
    for _, entry in ipairs(sim:callbacks()) do assert.equal(200, entry.http) end
    assert.is_true(#helper.list(dir .. "/spool") <= 2) -- a second may have begun
  end)

  for forge in pairs { signature = 1, timestamp = 1, none = 1 } do
    they("refuses a forged one: " .. forge, function()
      assert.equal(401, called_back(sim.source, { forge = forge }))
      assert.same({}, helper.list(dir .. "/spool"))
    end)
  end

  they("refuses what is no callback", function()
    local function code(arguments)
      return helper.output(("curl -s -o /dev/null -w '%%{http_code}' %s %s"):format(arguments, url))
    end
    assert.equal("405", code "")
    assert.equal("400", code "-d x")
    assert.equal("401", code [[-d '{"data":{"taskId":"../../x"}}']])
    helper.write(dir .. "/big", ("x"):rep(1100000))
    assert.equal("413", code("--data-binary @" .. dir .. "/big"))
    assert.same({}, helper.list(dir .. "/spool"))
  end)

  they("lets the service try again when it cannot spool", function()
    os.execute("mv " .. dir .. "/spool " .. dir .. "/away")
    local code = called_back(sim.source)
    os.execute("mv " .. dir .. "/away " .. dir .. "/spool")
    assert.equal(500, code)
  end)

  they("stops at the start without a key, or with an empty one", function()
    local before = dir
    for _, environment in ipairs { "", "KIE_WEBHOOK_KEY=" } do
      local conf = configured()
      helper.write(dir .. "/nginx.conf", conf)
      local said = helper.output(("unset KIE_WEBHOOK_KEY LD_PRELOAD; %s nginx -p %s -c nginx.conf -e error.log; "
        .. "echo status $?; test ! -f %s/nginx.pid || kill $(cat %s/nginx.pid)"):format(environment, dir, dir, dir))
      assert.matches("KIE_WEBHOOK_KEY is not set, or empty", said .. (helper.read(dir .. "/error.log") or ""))
      assert.matches("status 1\n$", said)
    end
    dir = before
  end)

  they("never loads the core", function()
    local maps = helper.output("cat /proc/" .. server.pid .. "/maps")
    assert.matches("ngx_http_lua_module", maps)
    assert.is_nil(maps:find("veo/core.so", 1, true))
    assert.is_nil(maps:find("libcurl", 1, true))
  end)

  they("what it spooled is collected: the record asked for, the video saved, the file removed", function()
    assert.equal(200, called_back(sim.source))
    sim:add { taskId = "lost", fail = 2 }
    assert.equal(200, called_back "lost")
    local environment = ("KIE_API_KEY=%s KIE_BASE_URL=%s KIE_WEBHOOK_KEY=%s"):format(sim.api_key, sim.url, KEY)
    local out = helper.output(("%s %s examples/nginx/collect.lua %s/spool %s/videos"):format(environment, helper.lua(),
      dir,
      dir))
    assert.matches("saved:  .*" .. sim.source:gsub("%p", "%%%0"), out)
    assert.matches("failed: lost", out)
    assert.same({}, helper.list(dir .. "/spool"))
    assert.equal(1, #helper.list(dir .. "/videos"))
  end)
end)
