-- libcurl may not send a billable POST twice, and `sent` says "no" only where nothing can have left. Against servers
-- that misbehave on purpose, with the libcurl in use.

local core = require "veo.core"
local fault = require "spec.support.fault"
local helper = require "spec.support.helper"

local KEY = "spec-key-0123456789"
local PARAMS = { taskId = "a", prompt = "b" }

describe("a billable POST", function()
  local server

  setup(function()
    server = fault.start {
      plain = {}, other = {},
      closing = { post = "close" }, head = { post = "close_at_head" }, reset = { post = "reset" },
      half = { post = "half" }, half_head = { post = "half_head" }, early_100 = { post = "early_100" },
      early_103 = { post = "early_103" }, expect = { post = "417" }, redirect = { post = "redirect", to = "other" },
      hanging = { post = "hang" }, stale = { get = "stale" }, stale_closing = { get = "stale", post = "close" },
      h2_refused = { tls = true, h2_post = "refuse", post = "close" },
      h2_goaway = { tls = true, h2_post = "goaway", post = "close" },
      h2_cancel = { tls = true, h2_post = "cancel", post = "close" },
      h2_http_1_1 = { tls = true, h2_post = "http_1_1", post = "close" },
      h2_close = { tls = true, h2_post = "close", post = "close" },
      h2_good = { tls = true, h2_post = "refuse" },
      refused = { accept = "refuse" }, shut = { accept = "close" }, mute = { accept = "hang" },
      tls_untrusted = { tls = "untrusted" }, tls_wrong_name = { tls = "wrong_name" }, tls_close = { tls = "close" },
      tls_alert = { tls = "alert" }, tls_hang = { tls = "hang" }, tls_good = { tls = true },
      proxy = {}, proxy_refuse = { proxy = "refuse" }, proxy_close = { proxy = "close" },
      proxy_cut = { proxy = "cut" }, proxy_silent = { proxy = "silent" }, proxy_hang = { proxy = "hang" },
      tls_closing = { tls = true, post = "close", h2_post = "close" },
    }
  end)
  teardown(function() server:stop() end)
  before_each(function() server:forget() end)

  local function client_of(name, more)
    return helper.client(server.url[name], more)
  end

  local function secure(name, more)
    more = more or {}
    more.ca_file = server.ca_file
    return client_of(name, more)
  end

  -- A GET first, so that a connection is there to be reused; then the extend.
  local function get_then_extend(name, more)
    local client = secure(name, more)
    assert(client:status("t"))
    local task, err = client:extend(PARAMS)
    client:close()
    return task, err
  end

  describe("is sent once", function()
    for name, cause in pairs {
      closing = "network", head = "network", reset = "network", half = "network", early_100 = "network",
      early_103 = "network", stale_closing = "network", half_head = "network",
    } do
      it("when the answer is lost: " .. name, function()
        local task, err = get_then_extend(name)
        assert.is_nil(task)
        assert.equal("uncertain", err.code)
        assert.equal(1, server:count(name, "POST"))
        assert.equal(1, err.attempts)
        assert.equal(cause, err.cause)
        -- A whole or half header is an answer of sorts; silence is not.
        assert.equal((name == "half" or name == "half_head") and "yes" or "maybe", err.sent)
      end)
    end

    it("on a connection of its own, although one is open", function()
      assert.is_truthy((get_then_extend("plain")))
      assert.equal(2, server:connections("plain"))
      assert.equal(1, server:count("plain", "POST"))
    end)

    it("after the kept connection has died", function()
      local client = client_of("stale")
      assert(client:status("t"))
      os.execute("sleep 0.1")
      assert.is_truthy(client:extend(PARAMS))
      client:close()
      assert.equal(1, server:count("stale", "POST"))
    end)

    for _, name in ipairs { "h2_refused", "h2_goaway", "h2_cancel", "h2_http_1_1", "h2_close" } do
      it("over HTTP/1.1 to a server that spoke HTTP/2 before: " .. name, function()
        local _, err = get_then_extend(name)
        assert.equal("uncertain", err.code)
        assert.equal("maybe", err.sent)
        local posts = server:requests(name, "POST")
        assert.equal(1, #posts)
        assert.equal("http/1.1", posts[1].protocol)
        assert.equal("h2", server:requests(name, "GET")[1].protocol)
      end)
    end

    it("over HTTP/1.1 although the server would take HTTP/2", function()
      local task = get_then_extend("h2_good")
      assert.equal("veo_extend_task_xyz789", task.taskId)
      assert.equal(1, server:count("h2_good", "POST"))
    end)

    it("without Expect, so that 417 brings no second one, whatever the size", function()
      for _, size in ipairs { 10, 2000000 } do
        server:forget()
        local client = client_of("expect")
        assert(client:status("t"))
        local task, err = client:extend { taskId = "a", prompt = ("x"):rep(size) }
        client:close()
        assert.is_nil(task)
        assert.equal("uncertain", err.code)
        assert.equal(417, err.http_status)
        local posts = server:requests("expect", "POST")
        assert.equal(1, #posts)
        assert.is_nil(posts[1].headers.expect)
      end
    end)

    it("and not to where a redirect leads", function()
      local _, err = get_then_extend("redirect")
      assert.equal("uncertain", err.code)
      assert.equal("redirect", err.cause)
      assert.equal(307, err.http_status)
      assert.equal(1, server:count("redirect", "POST"))
      assert.equal(0, #server:requests("other"))
    end)

    it("when the answer does not come in time", function()
      local client = client_of("hanging", { timeout = 1 })
      assert(client:status("t"))
      local began = core.now()
      local _, err = client:extend(PARAMS)
      client:close()
      assert.is_true(core.now() - began < 20) -- of 60
      assert.same({ "uncertain", "maybe", true, 28 }, { err.code, err.sent, err.timed_out, err.curl_code })
      assert.equal(1, server:count("hanging", "POST"))
    end)

    it("through every way the core has", function()
      for _, way in ipairs {
        function(c) return c:extend(PARAMS) end,
        function(c) return c:start("extend", PARAMS) end,
        function(c)
          return c:start("request", { method = "POST", path = helper.EXTEND, body = PARAMS, billable = true })
        end,
      } do
        server:forget()
        local c = core.new { base_url = server.url.closing, api_key = KEY }
        assert(c:status("t"))
        local transfer, failure = way(c)
        if transfer then
          while c:step(1000) == 0 do end
          failure = select(2, c:take():result())
        end
        c:close()
        assert.same({ "network", "maybe", 52 }, { failure.reason, failure.sent, failure.curl_code })
        assert.equal(1, server:count("closing", "POST"))
      end
    end)

    it("unlike a free one, which libcurl may send again by itself", function()
      -- Not ours to want; it proves that the listener provokes what the other specs rule out.
      local c = core.new { base_url = server.url.stale_closing, api_key = KEY }
      assert(c:status("t"))
      local _, failure = c:start("request", { method = "POST", path = "/free", body = {} })
      assert.is_nil(failure)
      while c:step(1000) == 0 do end
      c:close()
      server:forget()
      c = core.new { base_url = server.url.closing, api_key = KEY }
      assert(c:status("t"))
      c:start("request", { method = "POST", path = "/free", body = {} })
      while c:step(1000) == 0 do end
      c:close()
      assert.equal(2, server:count("closing", "POST"))
    end)
  end)

  describe("proves that nothing left", function()
    local function attempts_of(client)
      local task, err = client:extend(PARAMS)
      client:close()
      assert.is_nil(task)
      return err
    end

    local function tries_of(make, name, more)
      local tries = 0
      more = more or {}
      more.deadline = 2.5
      more.log = function(event) if event.event == "request" then tries = tries + 1 end end
      return attempts_of(make(name, more)), tries
    end

    it("when the connection is refused, and is repeated until the deadline", function()
      local err, tries = tries_of(client_of, "refused", { retry = { attempts = 1 } })
      assert.same({ "network", "no", 7, nil }, { err.code, err.sent, err.curl_code, err.attempts })
      assert.is_true(tries > 4, tries .. " tries")
    end)

    it("when the name does not resolve", function()
      local client = helper.client("https://no-such-host.invalid", { deadline = 0 })
      local err = attempts_of(client)
      assert.same({ "network", "no", 6 }, { err.code, err.sent, err.curl_code })
    end)

    for name, curl_code in pairs { tls_untrusted = 60, tls_wrong_name = 60, tls_close = 35, tls_alert = 35 } do
      it("when TLS fails, which only a certificate does for good: " .. name, function()
        local err, tries = tries_of(secure, name)
        assert.same({ "network", "no", curl_code, curl_code == 60 }, { err.code, err.sent, err.curl_code, tries == 1 })
        assert.equal(0, server:count(name))
      end)
    end

    it("when TLS never ends", function()
      local err, tries = tries_of(secure, "tls_hang", { connect_timeout = 1 })
      assert.same({ "network", "no", true, true }, { err.code, err.sent, err.timed_out, tries > 1 })
    end)

    for name, again in pairs { proxy_refuse = false, proxy_close = true, proxy_cut = true, proxy_silent = true,
      proxy_hang = true } do
      it("behind a CONNECT proxy: " .. name, function()
        local err, tries = tries_of(secure, "tls_good", { proxy = server.url[name], connect_timeout = 1 })
        assert.same({ "network", "no", again }, { err.code, err.sent, tries > 1 })
        assert.equal(0, server:count("tls_good"))
        assert.equal(tries, server:count(name, "CONNECT"))
      end)
    end

    it("but not when TLS was up, behind a proxy too", function()
      local err = attempts_of(secure("tls_closing", { proxy = server.url.proxy }))
      assert.same({ "uncertain", "maybe", 1 }, { err.code, err.sent, err.attempts })
      assert.equal(1, server:count("tls_closing", "POST"))
      local client = secure("tls_good", { proxy = server.url.proxy })
      assert.is_truthy(client:extend(PARAMS))
      client:close()
      assert.equal(1, server:count("tls_good", "POST"))
    end)

    it("but not when a server takes the connection and says nothing, or closes it", function()
      -- Plain http: the bytes are written as soon as the connection stands.
      local err = attempts_of(client_of("mute", { timeout = 1 }))
      assert.same({ "uncertain", "maybe", 1 }, { err.code, err.sent, err.attempts })
      err = attempts_of(client_of("shut"))
      assert.is_true(err.sent ~= "yes")
      assert.is_true(err.sent == "no" or err.code == "uncertain")
    end)

    it("is not taken from an earlier exchange of the same handle", function()
      -- A pooled handle that had a 200 before: neither its status nor its count of bytes may show later.
      local c = core.new { base_url = server.url.plain, api_key = KEY }
      assert(c:status("t"))
      local t = c:start("request", { url = server.url.refused .. "/x" })
      while c:step(1000) == 0 do end
      c:take()
      local reply, failure = t:result()
      assert.is_nil(reply)
      assert.is_nil(failure.http_status)
      assert.equal("no", failure.sent)
      assert.equal("network", failure.reason)
      c:close()
    end)
  end)

  it("leaves no stale http_status on a status handle whose server is gone", function()
    local gone = fault.start { here = {} }
    local c = core.new { base_url = gone.url.here, api_key = KEY }
    assert.equal(200, c:status("t").http_status)
    gone:stop()
    local reply, failure = c:status("t")
    assert.is_nil(reply)
    assert.is_nil(failure.http_status)
    assert.equal("network", failure.reason)
    -- Newer libcurls try the old connection first. What may cost money always has a connection of its own.
    assert.is_truthy(failure.sent == "no" or failure.sent == "maybe")
    c:close()
  end)
end)
