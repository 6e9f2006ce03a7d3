-- The key is in the Authorization header to the service's own host and nowhere else.

local core = require "veo.core"
local errors = require "veo.errors"
local fault = require "spec.support.fault"
local helper = require "spec.support.helper"
local simulator = require "veo.simulator"

local KEY = "sk-very-secret-5f3a9c0d7e"
local SIGNATURE = "signed-c0ffee-deadbeef"

-- Every string in a value, its keys and its metatable's words.
local function texts(value, out, seen)
  out, seen = out or {}, seen or {}
  if type(value) == "string" then
    out[#out + 1] = value
  elseif type(value) == "table" and not seen[value] then
    seen[value] = true
    for k, v in pairs(value) do
      texts(k, out, seen)
      texts(v, out, seen)
    end
    if errors.is(value) then
      out[#out + 1] = tostring(value)
      out[#out + 1] = errors.explain(value)
    end
  elseif type(value) == "userdata" or type(value) == "function" then
    out[#out + 1] = tostring(value)
  end
  return out
end

local function assert_without(secret, value)
  for _, text in ipairs(texts(value)) do
    assert.is_nil(text:find(secret, 1, true), "a secret shows: " .. text)
  end
end

describe("the key", function()
  local sim, folder, events, client

  setup(function() sim = simulator.start { speed = 10000, rate = false, api_key = KEY } end)
  teardown(function() sim:stop() end)
  before_each(function()
    sim:reset()
    folder = helper.folder()
    events = {}
    client = helper.client(sim, { api_key = KEY, log = function(event) events[#events + 1] = event end })
  end)
  after_each(function()
    client:close()
    helper.sweep()
  end)

  it("is not in tostring of anything, nor in reach of pairs", function()
    assert_without(KEY, { tostring(client), tostring(client:spawn(function() end)) })
    assert_without(KEY, client)
    local handle = core.new { api_key = KEY, base_url = sim.url }
    assert_without(KEY, { tostring(handle), tostring(handle:start("status", "t")) })
    handle:close()
    assert_without(KEY, tostring(handle))
  end)

  it("is not in errors or log events, even when the service repeats it", function()
    local seen = {}
    local function keep(...) seen[#seen + 1] = { ... } end
    for _, rule in ipairs {
      { code = 401, msg = "invalid key " .. KEY }, { http = 401, body = "<p>" .. KEY .. "</p>" },
      { body = '{"code":500,"msg":"' .. KEY .. '","data":{"taskId":"x","errorMessage":"' .. KEY .. '"}}' },
      { body = KEY }, { body = '{"code":200,"data":"' .. KEY .. '"}' }, { close = "unanswered" }, { garbage = true },
      { flag = 3, error_message = "your key is " .. KEY },
    } do
      rule.on = { "status", "extend", "credits" }
      sim:script { rule }
      keep(client:status(sim.source))
      keep(client:credits())
      keep(client:wait(sim.source, { max_errors = 0, timeout = 0.3 }))
      keep(client:extend { taskId = sim.source, prompt = "x" })
    end
    assert.is_true(#seen > 20)
    assert_without(KEY, seen)
    assert.is_true(#events > 20)
    assert_without(KEY, events)
  end)

  it("is not sent to a media host, nor where a download is redirected", function()
    local server = fault.start { other = {} }
    local path = folder .. "/x.mp4"
    sim:script { { on = "media", match = "source", redirect = server.url.other .. "/elsewhere.mp4" } }
    assert(client:download(sim.media_url .. "/media/blob/1000.mp4", path))
    client:download(sim.media_url .. "/media/clip/source.mp4", folder .. "/y.mp4", { attempts = 1 })
    for _, request in ipairs(sim:requests { endpoint = "media" }) do
      assert.is_nil(request.headers.authorization)
      assert_without(KEY, request)
    end
    local there = server:requests("other")
    assert.is_true(#there >= 1)
    for _, request in ipairs(there) do assert.is_false(request.authorization) end
    server:stop()
  end)

  it("is not sent to where the service itself redirects, on the same machine or another", function()
    local server = fault.start { other = {}, here = { get = "redirect", post = "redirect", to = "other" } }
    local other = helper.client(server.url.here, { api_key = KEY })
    other:status("t")
    other:credits()
    other:extend { taskId = "a", prompt = "b" }
    other:close()
    assert.equal(0, #server:seen("other"))
    server:stop()
  end)

  it("is not in the environment of what is started", function()
    -- Asked as if it were a Lua, it says what it got.
    helper.write(folder .. "/asked", ("#!/bin/sh\nenv >%s/env\nexit 1\n"):format(folder))
    os.execute("chmod +x " .. folder .. "/asked")
    local code = 'local s = assert(require"veo.simulator".start {}) s:stop() print "started"'
    local run = "unset LD_PRELOAD; KIE_API_KEY='%s' KIE_WEBHOOK_KEY='%s' VEO_LEDGER='postgresql://u:%s@h/d' "
      .. "VEO_SIMULATOR_LUA=%s/asked LUA_PATH='%s' LUA_CPATH='%s' %s -e '%s'"
    assert.equal("started\n",
      helper.output(run:format(KEY, KEY, KEY, folder, package.path, helper.cpath(), helper.lua(), code)))
    assert.matches("PATH=", helper.read(folder .. "/env"))
    assert_without(KEY, helper.read(folder .. "/env"))
  end)

  it("is not told to a CONNECT proxy", function()
    local server = fault.start { proxy = {}, target = { tls = true } }
    local other = helper.client(server.url.target,
      { api_key = KEY, ca_file = server.ca_file, proxy = server.url.proxy })
    assert(other:status("t"))
    assert(other:extend { taskId = "a", prompt = "b" })
    other:close()
    local connects = server:requests("proxy", "CONNECT")
    assert.is_true(#connects >= 2)
    for _, request in ipairs(connects) do
      assert.is_false(request.authorization)
      assert_without(KEY, request)
    end
    assert.is_true(server:requests("target", "POST")[1].authorization)
    server:stop()
  end)

  it("is sent to nobody when TLS cannot be trusted", function()
    local server = fault.start { bad = { tls = "untrusted" }, name = { tls = "wrong_name" } }
    for _, which in ipairs { "bad", "name" } do
      local other = helper.client(server.url[which],
        { api_key = KEY, ca_file = server.ca_file, retry = { attempts = 1 } })
      local _, err = other:status("t")
      assert.equal("network", err.code)
      assert_without(KEY, err)
      other:close()
      assert.equal(0, #server:requests(which))
    end
    server:stop()
  end)

  it("is not in what a failed job leaves", function()
    local job = client:spawn(function()
      local _, err = client:status("nobody")
      error(err)
    end)
    local other = client:spawn(function() error("plain") end)
    client:run()
    assert_without(KEY, { job:result() })
    assert_without(KEY, { other:result() })
    assert_without(KEY, events)
  end)
end)

describe("a signed link", function()
  local sim, folder, events, client

  setup(function() sim = simulator.start { speed = 10000, rate = false } end)
  teardown(function() sim:stop() end)
  before_each(function()
    sim:reset()
    folder = helper.folder()
    events = {}
    client = helper.client(sim, { deadline = 0.2, log = function(event) events[#events + 1] = event end })
  end)
  after_each(function()
    client:close()
    helper.sweep()
  end)

  local function link(path) return sim.media_url .. path .. "?Expires=1&Signature=" .. SIGNATURE end

  it("shows no signature in errors and log events", function()
    local seen, n = {}, 0
    local function try(rule, url, options)
      if rule then
        rule.on = "media"
        sim:script { rule }
      end
      n = n + 1
      local target = folder .. "/" .. n
      local _, err = client:download(url or link("/media/blob/100000.mp4"), target, options or { attempts = 1 })
      assert.is_truthy(err)
      seen[#seen + 1] = err
    end
    try { http = 403, body = "expired: " .. link("/x") }
    try { http = 500, body = "no: " .. link("/x") }
    try { form = "html" }
    try { body = link("/x") }
    try { close = "unanswered" }
    try { cut = 0 }
    try { redirect = link("/media/blob/100000.mp4") }
    try({}, link("/media/blob/100000.mp4"), { max_bytes = 10 })
    try(nil, "http://127.0.0.1:1/x.mp4?Signature=" .. SIGNATURE)
    try(nil, "https://user:" .. SIGNATURE .. "@127.0.0.1:1/x.mp4")
    try(nil, "http://no such host/?Signature=" .. SIGNATURE)
    try(nil, "ftp://127.0.0.1/?Signature=" .. SIGNATURE)
    assert_without(SIGNATURE, seen)
    assert_without(SIGNATURE, events)
  end)

  it("is whole in what the program asked for", function()
    local status = assert(client:status(sim.source))
    assert.matches("Signature=", status.video_url)
    local file = assert(client:download(status, folder .. "/x.mp4"))
    assert.is_truthy(file)
    assert_without("Signature=", events)
  end)
end)
