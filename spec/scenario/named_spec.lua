-- An id that was read is never dropped: whatever becomes of the answer to an order, what it names is in the task, in the
-- error or in the ledger. Over real sockets, plain and TLS; the servers count what was sent.

local cjson = require "cjson"
local core = require "veo.core"
local errors = require "veo.errors"
local fault = require "spec.support.fault"
local helper = require "spec.support.helper"
local ledgers = require "spec.support.ledgers"
local simulator = require "veo.simulator"
local wire = require "veo.wire"

local ID = "4d1c0f8e7a6b4e0f9b2d3c5a6e7f8091"
local SOURCE = "source-1"
local ACCEPTED = ('{"code":200,"msg":"success","data":{"taskId":"%s"}}'):format(ID)

-- Every order, as it is called; those with a source name it.
local ORDERS = {
  extend = { call = function(client, options) return client:extend({ taskId = SOURCE, prompt = "turn" }, options) end },
  ["extend by jobs"] = { api = "jobs",
    call = function(client, options) return client:extend({ taskId = SOURCE, prompt = "turn" }, options) end },
  generate = { call = function(client, options) return client:generate({ prompt = "turn" }, options) end },
  get_4k = { call = function(client, options) return client:task(SOURCE):upgrade("4k", options) end },
}

describe("an id that was read", function()
  local server, path, client, place

  setup(function()
    path = os.tmpname()
    local listener = { post = "told", get = "told", told = path }
    server = fault.start { plain = listener, tls = { tls = true, alpn = "http/1.1", post = "told", get = "told",
      told = path } }
  end)
  teardown(function()
    server:stop()
    os.remove(path)
    helper.sweep()
  end)
  before_each(function()
    server:forget()
    place = nil
  end)
  after_each(function()
    if client then client:close() end
    client = nil
  end)

  local function told(post, get)
    helper.write(path, cjson.encode { post = type(post) == "string" and { text = post } or post, get = get })
  end

  local function open(listener, more)
    if client then client:close() end
    more = more or {}
    more.ca_file = server.ca_file
    client = helper.client(server.url[listener or "plain"], more)
    return client
  end

  local function with_ledger(more)
    more = more or {}
    place = helper.folder() .. "/renders.db"
    more.ledger = place
    return open("plain", more)
  end

  local function posts(listener) return server:count(listener or "plain", "POST") end

  local function row() return ledgers.query(place, "SELECT * FROM veo_tasks ORDER BY created DESC")[1] end

  -- The order as it stands in the ledger, after a client that knows nothing of it was made.
  local function reopen(more)
    more = more or {}
    more.ledger = place
    return open("plain", more)
  end

  local function extend(options) return ORDERS.extend.call(client, options) end

  -- Whole answers ------------------------------------------------------------------------------------------------------

  for name, order in pairs(ORDERS) do
    for _, listener in ipairs { "plain", "tls" } do
      describe("in a whole answer to " .. name .. " over " .. listener, function()
        for _, how in ipairs { "length", "chunk", "junk", "reset", "open" } do
          it("counts when the transport complains: " .. how, function()
            local warnings = {}
            open(listener, { api = order.api, timeout = how == "open" and 2 or nil, log = function(event)
              if event.event == "warning" then warnings[#warnings + 1] = event end
            end })
            told { text = ACCEPTED, how = how }
            local task, err = order.call(client)
            assert.is_nil(err)
            assert.equal(ID, task.taskId)
            assert.is_nil(task.complaint)
            assert.equal(1, posts(listener))
            assert.equal(1, #warnings)
            assert.same({ ID, true }, { warnings[1].taskId, #warnings[1].message > 10 })
          end)

          it("decides as a refusal, too: " .. how, function()
            open(listener, { api = order.api, timeout = how == "open" and 2 or nil })
            told { text = '{"code":402,"msg":"Credits insufficient","data":null}', how = how }
            local task, err = order.call(client)
            assert.is_nil(task)
            assert.same({ "insufficient_credits", "yes", 402 }, { err.code, err.sent, err.service_code })
            assert.is_nil(err.charged)
            assert.equal(1, posts(listener))
          end)
        end
      end)
    end

    it("is asked for without compression: " .. name, function()
      open("plain", { api = order.api })
      told(ACCEPTED)
      assert(order.call(client))
      assert.equal("identity", server:requests("plain", "POST")[1].headers["accept-encoding"])
    end)
  end

  describe("counts", function()
    for name, case in pairs {
      ["as a whole number"] = { '{"code":200,"data":{"taskId":123456789012}}', "123456789012" },
      ["as a whole number past 2^53"] = { '{"code":200,"data":{"taskId": 9007199254740993 }}', "9007199254740993" },
      ["as a whole number past 2^64"] = { '{"code":200,"data":{"task_id":98765432109876543210}}',
        "98765432109876543210" },
      ["in a string of JSON"] = { '{"code":200,"data":"{\\"taskId\\":\\"' .. ID .. '\\"}"}', ID },
      ["as a number in a string of JSON"] = { '{"code":200,"data":"{\\"taskId\\":9007199254740993}"}',
        "9007199254740993" },
      ["at the top"] = { '{"code":200,"taskId":"' .. ID .. '","data":null}', ID },
      ["at the top, as a number"] = { '{"code":200,"task_id":9007199254740993}', "9007199254740993" },
      ["as task_id"] = { '{"code":200,"data":{"task_id":"' .. ID .. '"}}', ID },
      ["beside a recordId"] = { '{"code":200,"data":{"taskId":"' .. ID .. '","recordId":"r1"}}', ID },
    } do
      it(name, function()
        for order_name, order in pairs(ORDERS) do
          open("plain", { api = order.api })
          told(case[1])
          local task, err = order.call(client)
          assert.is_nil(err)
          assert.equal(case[2], task.taskId, order_name)
        end
        assert.equal(4, posts())
      end)
    end
  end)

  -- Candidates ---------------------------------------------------------------------------------------------------------

  local CANDIDATES = {
    ["a bare string"] = { text = '{"code":200,"data":"' .. ID .. '"}' },
    ["a list with one object"] = { text = '{"code":200,"data":[{"taskId":"' .. ID .. '"}]}' },
    ["a list, the others of which name none"] = { text = '{"code":200,"data":[{"n":1},{"taskId":"' .. ID .. '"}]}' },
    ["a body cut behind it"] = { text = ACCEPTED, at = #ACCEPTED - 1, how = "length" },
    ["a chunked body cut behind it"] = { text = ACCEPTED, at = #ACCEPTED - 2, how = "chunk" },
    ["a string of JSON that is cut"] = { how = "reset",
      text = '{"code":200,"data":"{\\"taskId\\":\\"' .. ID .. '\\",\\"x' },
    ["a body that is kept open"] = { text = ACCEPTED, at = #ACCEPTED - 1, how = "open" },
    ["a list around all"] = { text = "[" .. ACCEPTED .. "]" },
    ["junk behind all"] = { text = ACCEPTED .. "<!-- cached -->" },
    ["junk before all"] = { text = ")]}'\n" .. ACCEPTED },
    ["an answer that is no success"] = { text = '{"code":500,"msg":"timeout","data":{"taskId":"' .. ID .. '"}}' },
    ["a page of a proxy's"] = { text = '<pre>{"taskId":"' .. ID .. '"}</pre>', http = 502 },
    ["an object within"] = { text = '{"code":200,"data":{"task":{"taskId":"' .. ID .. '"}}}' },
    ["an answer that is too long"] = { text = ACCEPTED .. (" "):rep(2 ^ 20) },
  }

  for name, answer in pairs(CANDIDATES) do
    it("is a candidate in " .. name, function()
      for order_name, order in pairs(ORDERS) do
        open("plain", { api = order.api, timeout = answer.how == "open" and 2 or nil,
          retry = { ambiguous = true } }) -- which is for those whose fate cannot be looked up
        told(answer)
        local task, err = order.call(client)
        assert.is_nil(task)
        assert.same({ "uncertain", ID, true }, { err.code, err.taskId, err.candidate }, order_name)
        assert.is_string(err.excerpt)
        assert.matches("client:status", err:explain(), 1, true)
        assert.matches(ID, err:explain(), 1, true)
      end
      assert.equal(4, posts())
    end)
  end

  it("is a number, as a candidate", function()
    open()
    for text, id in pairs { ['{"code":200,"data":123456}'] = "123456", ['{"code":200,"data":9007199254740993}'] =
      "9007199254740993", ['{"code":200,"data":{"taskId":77,"x'] = "77" } do
      told(text)
      local _, err = extend()
      assert.same({ "uncertain", id, true }, { err.code, err.taskId, err.candidate })
    end
  end)

  it("is none where it did not come whole, or where there are two", function()
    open()
    for _, text in ipairs {
      '{"code":200,"data":{"taskId":"4d1c', '{"code":200,"data":{"taskId":"4d1c\\', '{"code":200,"data":{"taskId":77',
      '{"code":200,"data":"{\\"taskId\\":\\"4d1c\\', '{"code":200,"data":[{"taskId":"a1"},{"taskId":"b2"}]}',
      '{"code":200,"data":["a sentence"]}', '{"code":200,"data":"we are working on it"}', '{"code":200,"data":1.5}',
      '{"code":200,"data":{"taskId":null}}', '{"code":200,"data":{"taskId":"source-1"',
      '{"code":200,"data":"source-1"}', '{"code":500,"data":{"taskId":"source-1"}}', "<html>busy</html>",
    } do
      told(text)
      local _, err = extend()
      assert.equal("uncertain", err.code)
      assert.is_nil(err.taskId, text)
      assert.is_nil(err.candidate, text)
      assert.is_string(err.excerpt, text)
      assert.matches(text:sub(1, 20), err.excerpt, 1, true)
    end
  end)

  it("is never taken from a part of it: cut at each byte", function()
    open()
    local texts = { '{"code":200,"data":{"taskId":"%s"}}', '{"code":200,"data":"{\\"taskId\\":\\"%s\\"}"}' }
    local whole, candidates, none = 0, 0, 0
    for _, text in ipairs(texts) do
      text = text:format(ID)
      for at = 0, #text do
        told { text = text, at = at, how = at % 2 == 0 and "length" or "chunk" }
        local task, err = extend()
        if task then
          whole = whole + 1
          assert.same({ ID, #text }, { task.taskId, at })
        else
          assert.equal("uncertain", err.code)
          if err.taskId then candidates = candidates + 1 else none = none + 1 end
          assert.is_true(err.taskId == nil or err.taskId == ID and err.candidate, at)
          assert.is_true(err.excerpt ~= nil or at == 0)
        end
      end
    end
    assert.same({ 2, 5, posts() - 7 }, { whole, candidates, none })
  end)

  it("is no recordId", function()
    for order_name, order in pairs(ORDERS) do
      for _, text in ipairs { '{"code":200,"data":{"recordId":"r-1"}}', '{"code":200,"data":{"recordId":"r-1","x',
        '{"code":200,"recordId":"r-1"}' } do
        open("plain", { api = order.api })
        told(text)
        local _, err = order.call(client)
        assert.same({ "uncertain", "r-1" }, { err.code, err.recordId }, order_name)
        assert.is_nil(err.taskId)
        assert.matches("r%-1, is not a taskId", err:explain())
      end
    end
  end)

  it("is not shown with the key that an answer repeats", function()
    open()
    told('{"code":200,"data":"spec-key-0123456789 is yours"}')
    local _, err = extend()
    for _, value in pairs(err) do assert.is_nil(tostring(value):find("spec-key", 1, true)) end
    assert.matches("********", err.excerpt, 1, true)
  end)

  -- Refusals -----------------------------------------------------------------------------------------------------------

  describe("in a refusal", function()
    local KEPT = { [402] = "insufficient_credits", [422] = "rejected", [429] = "rate_limited", [455] = "unavailable",
      [501] = "failed" }

    for code, class in pairs(KEPT) do
      for name, data in pairs { ["an object"] = '{"taskId":"' .. ID .. '"}', ["a list"] = '[{"taskId":"' .. ID .. '"}]',
        ["a string of JSON"] = '"{\\"taskId\\":\\"' .. ID .. '\\"}"' } do
        it(code .. " is kept, and nothing repeated: " .. name, function()
          for order_name, order in pairs(ORDERS) do
            open("plain", { api = order.api, retry = { ambiguous = true } })
            told(('{"code":%d,"msg":"no","data":%s}'):format(code, data))
            local _, err = order.call(client)
            assert.same({ class, ID, "maybe", 1 }, { err.code, err.taskId, err.charged, err.attempts }, order_name)
            assert.matches("before you order again", err:explain(), 1, true)
            assert.matches("may have been charged", err:explain(), 1, true)
          end
          assert.equal(4, posts())
        end)
      end
    end

    it("is none when it is the source's", function()
      open("plain", { retry = { attempts = 2 } })
      told('{"code":429,"msg":"no","data":{"taskId":"source-1"}}')
      local _, err = extend()
      assert.same({ "rate_limited", 2 }, { err.code, posts() })
      assert.is_nil(err.taskId)
      assert.is_nil(err.charged)
    end)

    it("is none when it is a sentence or a bare word", function()
      open("plain", { retry = { attempts = 2 } })
      for _, data in ipairs { '"RateLimited"', '{"taskId":"must not be blank"}', '{"taskId":null}' } do
        server:forget()
        told('{"code":429,"msg":"no","data":' .. data .. "}")
        local _, err = extend()
        assert.same({ "rate_limited", 2 }, { err.code, posts() })
        assert.is_nil(err.charged)
      end
    end)

    it("stands in the ledger as uncertain, and its key is not free", function()
      with_ledger()
      told('{"code":429,"msg":"no","data":{"taskId":"' .. ID .. '"}}')
      local _, err = extend { key = "shot" }
      assert.same({ "rate_limited", ID, "maybe" }, { err.code, err.taskId, err.charged })
      assert.same({ "uncertain", ID, "shot" }, { row().state, row().task_id, row().intent_key })
      assert.matches("client:settle", err:explain(), 1, true)
      told(ACCEPTED)
      local _, again = extend { key = "shot" }
      assert.same({ "uncertain", ID, true, err.ref }, { again.code, again.taskId, again.candidate, again.ref })
      assert.equal(1, posts())
      assert.equal("lost", assert(client:settle(err.ref, "lost")).state)
      assert(extend { key = "shot" })
      assert.equal(2, posts())
    end)

    it("is another order's when the ledger has it there", function()
      with_ledger { retry = { attempts = 2 } }
      told(ACCEPTED)
      assert(extend())
      reopen { retry = { attempts = 2 } }
      told('{"code":429,"msg":"no","data":{"taskId":"' .. ID .. '"}}')
      local _, err = client:extend { taskId = SOURCE, prompt = "another" }
      assert.same({ "rate_limited", 2, 3 }, { err.code, err.attempts, posts() })
      assert.is_nil(err.taskId)
      assert.equal("refused", row().state)
    end)

    it("is another order's when this client has made it", function()
      open("plain", { retry = { attempts = 2 } })
      told(ACCEPTED)
      assert(extend())
      told('{"code":429,"msg":"no","data":{"taskId":"' .. ID .. '"}}')
      local _, err = extend()
      assert.same({ 2, 3 }, { err.attempts, posts() })
      assert.is_nil(err.charged)
    end)
  end)

  -- The ledger ---------------------------------------------------------------------------------------------------------

  describe("as a candidate in the ledger", function()
    local BARE = '{"code":200,"data":"' .. ID .. '"}'

    -- The service's record of the candidate: `params` as it says the order was, `fields` beside that.
    local function record(params, fields)
      local data = { taskId = ID, successFlag = 0, paramJson = params and cjson.encode(params) or nil }
      for name, value in pairs(fields or {}) do data[name] = value end
      return { text = cjson.encode { code = 200, msg = "success", data = data } }
    end

    local function lose(params)
      with_ledger()
      told(BARE)
      local _, err = client:extend(params or { taskId = SOURCE, prompt = "turn" }, { key = "k" })
      assert.same({ "uncertain", ID, true }, { err.code, err.taskId, err.candidate })
      assert.same({ "uncertain", ID }, { row().state, row().task_id })
      assert.is_true(cjson.decode(row().error).candidate)
      return err.ref
    end

    local function resume()
      reopen { wait = { timeout = 0.1 } }
      return assert(client:resume { wait = { timeout = 0.1 } })
    end

    local function now_ms(offset) return (os.time() + offset) * 1000 end

    for name, case in pairs {
      ["says the same"] = { { taskId = SOURCE, prompt = "turn" }, { createTime = now_ms(0) } },
      ["says little"] = { nil, {} },
      ["says the prompt alone"] = { { prompt = "turn" }, {} },
      ["has lost blanks"] = { { prompt = " turn  " }, {} },
      ["repeats its own id"] = { { taskId = ID, prompt = "turn" }, {} },
      ["has a translated prompt"] = { { prompt = "dreh dich", enableTranslation = true }, {} },
      ["has a time without a zone"] = { { prompt = "turn" }, { createTime = "2020-01-01 00:00:00" } },
      ["is of the jobs family's form"] = { { input = { task_id = SOURCE, prompt = "turn" } }, {} },
    } do
      it("is adopted by resume when its record " .. name, function()
        lose()
        told(ACCEPTED, record(case[1], case[2]))
        local summary = resume()
        assert.same({ 1, 0 }, { summary.adopted, #summary.uncertain })
        assert.same({ "accepted", ID }, { row().state, row().task_id })
        assert.equal(ID, assert(client:extend({ taskId = SOURCE, prompt = "turn" }, { key = "k" })).taskId)
        assert.equal(1, posts())
      end)
    end

    for name, case in pairs {
      ["has another source"] = { { taskId = "another", prompt = "turn" }, {} },
      ["has another prompt"] = { { taskId = SOURCE, prompt = "stand still" }, {} },
      ["has another prompt within input"] = { { input = { task_id = SOURCE, prompt = "stand still" } }, {} },
      -- By what no clock is off: the answer named it.
      ["is days older than the order"] = { { prompt = "turn" }, { createTime = now_ms(-2 * 86400) } },
    } do
      it("is not adopted when its record " .. name, function()
        lose()
        told(ACCEPTED, record(case[1], case[2]))
        local warned = {}
        reopen { log = function(event) if event.event == "warning" then warned[#warned + 1] = event.message end end }
        local summary = assert(client:resume())
        assert.same({ 0, 1 }, { summary.adopted, #summary.uncertain })
        assert.equal(ID, summary.uncertain[1].taskId)
        assert.same({ "uncertain", ID }, { row().state, row().task_id })
        assert.equal(1, #warned)
        assert.matches("is not adopted", warned[1], 1, true)
        local _, err = client:extend({ taskId = SOURCE, prompt = "turn" }, { key = "k" })
        assert.same({ "uncertain", ID, true, 1 }, { err.code, err.taskId, err.candidate, posts() })
      end)
    end

    it("is not adopted when the service does not know it, and looked at again", function()
      local ref = lose()
      told(ACCEPTED, { text = '{"code":404,"msg":"no such task","data":null}' })
      assert.equal(0, resume().adopted)
      told(ACCEPTED, record { prompt = "turn" })
      assert.equal(1, resume().adopted)
      assert.same({ ref, "accepted" }, { row().ref, row().state })
    end)

    it("is not adopted when it is the order's own source", function()
      lose()
      ledgers.query(place, "UPDATE veo_tasks SET task_id = ?", SOURCE)
      told(ACCEPTED, record { prompt = "turn" })
      assert.equal(0, resume().adopted)
      assert.equal("uncertain", row().state)
    end)

    it("is not adopted when it is another order's", function()
      lose()
      told(ACCEPTED)
      assert(client:extend { taskId = SOURCE, prompt = "another" })
      told(ACCEPTED, record())
      assert.equal(0, resume().adopted)
      assert.equal("accepted uncertain", (ledgers.states(place):gsub("^(%S+) (%S+)$", function(a, b)
        return a < b and a .. " " .. b or b .. " " .. a
      end)))
    end)

    it("with a prompt that the order lets be translated is adopted", function()
      with_ledger()
      told(BARE)
      local _, err = client:generate { prompt = "dreh dich", enableTranslation = true }
      assert.equal(ID, err.taskId)
      told(ACCEPTED, record { prompt = "turn" })
      assert.equal(1, resume().adopted)
    end)

    it("of a refusal is adopted as well", function()
      with_ledger()
      told('{"code":501,"msg":"no","data":{"taskId":"' .. ID .. '"}}')
      assert.equal("failed", select(2, extend()).code)
      told(ACCEPTED, record { taskId = SOURCE, prompt = "turn" })
      assert.equal(1, resume().adopted)
    end)

    it("stays when the order ends in the middle, by an error", function()
      for text, expected in pairs { [BARE] = "uncertain", [ACCEPTED] = "accepted",
        ['{"code":429,"data":{"taskId":"' .. ID .. '"}}'] = "uncertain",
        ['{"code":402,"msg":"no","data":null}'] = "refused" } do
        local at
        with_ledger { log = function(event) at = at or event.event == "reply" end }
        told(text)
        local job = client:spawn(function()
          local inside = coroutine.running()
          debug.sethook(function()
            if not at or coroutine.running() ~= inside then return end
            debug.sethook()
            error("raised!", 0)
          end, "", 1)
          return extend()
        end)
        client:run()
        debug.sethook()
        assert.equal("failed", job:status())
        local id = expected ~= "refused" and ID or nil
        assert.equal(id, select(2, job:result()).taskId)
        assert.same({ expected, id }, { row().state, row().task_id })
      end
    end)

    for at, state in pairs { [#ACCEPTED] = "accepted", [#ACCEPTED - 1] = "uncertain" } do
      it("stays when the client is closed before the connection is: " .. state, function()
        with_ledger()
        told { text = ACCEPTED, how = "open", at = at }
        local job = client:spawn(ORDERS.extend.call, client)
        helper.step_until(client, function() return posts() == 1 end)
        local till = helper.now() + 0.3 -- until the answer was read, which nothing tells of
        helper.step_until(client, function() return helper.now() > till end)
        assert.equal("pending", job:status())
        client:close()
        local _, err = job:result()
        assert.same({ "uncertain", ID, state == "uncertain" or nil }, { err.code, err.taskId, err.candidate })
        assert.same({ state, ID }, { row().state, row().task_id })
      end)
    end

    it("is adopted by a callback, which needs no reference then", function()
      local ref = lose()
      reopen { webhook_key = false }
      for params, state in pairs { [{ prompt = "stand still" }] = "uncertain", [{ prompt = "turn" }] = "accepted" } do
        ledgers.query(place, "UPDATE veo_tasks SET state = 'uncertain'")
        told(ACCEPTED, record(params))
        assert(client:callback({}, '{"code":200,"data":{"taskId":"' .. ID .. '"}}', { target = "/hook" }))
        assert.same({ ref, state }, { row().ref, row().state })
      end
    end)
  end)

  -- The core -----------------------------------------------------------------------------------------------------------

  describe("by the core", function()
    local KEY = "spec-key-0123456789"
    local PARAMS = { taskId = "a", prompt = "b" }
    local blocking

    before_each(function() blocking = core.new { base_url = server.url.plain, api_key = KEY, timeout = 0.5 } end)
    after_each(function() blocking:close() end)

    it("is handed over with the complaint, the code and the text", function()
      for how, code in pairs { length = 18, chunk = 18, reset = 56, open = 28, junk = 61 } do
        told { text = ACCEPTED, how = how }
        local reply = assert(blocking:extend(PARAMS))
        -- A reset may meet libcurl while it still sends (55).
        local met = reply.curl_code == 55 and 56 or reply.curl_code
        assert.same({ 200, "yes", code, ACCEPTED, ID }, { reply.code, reply.sent, met, reply.text, reply.data.taskId })
        assert.is_true(#reply.complaint > 10)
      end
      told(ACCEPTED)
      local reply = assert(blocking:extend(PARAMS))
      assert.same({ ACCEPTED }, { reply.text, reply.complaint, reply.curl_code })
    end)

    it("is in the text of a failure, which has no key in it and 64 KiB at most", function()
      local text = '{"code":200,"data":{"key":"' .. KEY .. '","taskId":"a'
      told { text = text .. ("x"):rep(200000), how = "length" }
      local _, failure = blocking:extend(PARAMS)
      assert.same({ "network", 18, "yes", 65536 }, { failure.reason, failure.curl_code, failure.sent, #failure.text })
      assert.equal((text:gsub(KEY:gsub("%p", "%%%0"), ("*"):rep(#KEY))), failure.text:sub(1, #text))
      assert.is_string(failure.excerpt)
    end)

    it("and the text of a free call stays where it is", function()
      told(nil, { text = '{"code":200,"data":{', how = "length" })
      local _, failure = blocking:status("t")
      assert.same({ "network", 18 }, { failure.reason, failure.curl_code })
      assert.is_nil(failure.text)
      told(nil, { text = '{"code":200,"data":{"taskId":"t"}}', how = "length" })
      local reply = assert(blocking:status("t"))
      assert.same({ 18, "t" }, { reply.curl_code, reply.data.taskId })
      assert.is_nil(reply.text)
    end)
  end)

  -- Free calls ---------------------------------------------------------------------------------------------------------

  describe("in a free answer", function()
    local RECORD = '{"code":200,"msg":"success","data":{"taskId":"t1","successFlag":1,"response":{"resultUrls":'
      .. '["https://files.example/a.mp4"]}}}'

    for _, how in ipairs { "length", "chunk", "junk", "reset", "open" } do
      it("counts when it came whole: " .. how, function()
        open("plain", { timeout = how == "open" and 2 or nil })
        told(nil, { text = RECORD, how = how })
        local status = assert(client:status("t1"))
        assert.same({ "t1", "succeeded", "https://files.example/a.mp4" }, { status.taskId, status.state,
          status.video_url })
        told(nil, { text = '{"code":200,"data":7.5}', how = how })
        assert.equal(7.5, client:credits())
        assert.equal(2, server:count("plain", "GET"))
      end)

      it("does not when it is cut, and is asked again: " .. how, function()
        open("plain", { timeout = how == "open" and 0.3 or nil, retry = { attempts = 2 } })
        told(nil, { text = RECORD, at = #RECORD - 2, how = how })
        local _, err = client:status("t1")
        assert.same({ how == "junk" and "malformed" or "network", 2, how == "open" or nil },
          { err.code, err.attempts, err.timed_out })
        assert.equal(2, server:count("plain", "GET"))
      end)
    end

    it("may be the link of a 1080P version in any of its forms", function()
      local url = "https://files.example/a.mp4"
      for _, text in ipairs {
        '{"code":200,"data":{"resultUrl":"%s"}}', '{"code":200,"data":"{\\"resultUrl\\":\\"%s\\"}"}',
        '{"code":200,"data":"%s"}', '{"code":200,"data":[{"resultUrl":"%s"}]}', '{"code":200,"resultUrl":"%s"}',
      } do
        open()
        told(nil, { text = text:format(url), how = "length" })
        assert.equal(url, assert(client:task(SOURCE):upgrade("1080p")).video_url, text)
      end
      assert.equal(5, server:count("plain", "GET"))
    end)
  end)

  it("is the 4K order's when 422 says that it works on it; links without an id are of no new order", function()
    with_ledger { prices = { get_4k = 120 } }
    for n, data in ipairs { '{"taskId":"k%d"}', '"{\\"taskId\\":\\"k%d\\"}"' } do
      told('{"code":422,"msg":"4k is processing","data":' .. data:format(n) .. "}")
      local task = assert(client:task(SOURCE .. n):upgrade("4k"))
      assert.same({ "k" .. n, true }, { task.taskId, task.processing })
    end
    told('{"code":422,"msg":"done before","data":{"resultUrls":["https://files.example/k.mp4"]}}')
    local task = assert(client:task("source-9"):upgrade("4k"))
    assert.same({ "source-9", "https://files.example/k.mp4" }, { task.taskId, task.video_url })
    assert.equal("refused", row().state)
  end)
end)

describe("an answer that the simulator spoils", function()
  local sim, client, place
  setup(function() sim = simulator.start { speed = 10000, rate = false } end)
  teardown(function()
    sim:stop()
    helper.sweep()
  end)
  before_each(function()
    sim:reset()
    place = helper.folder() .. "/renders.db"
  end)
  after_each(function() client:close() end)

  for _, complain in ipairs { "chunk", "length", "open", "junk" } do
    it("is one order, charged once: " .. complain, function()
      client = helper.client(sim, { ledger = place, timeout = complain == "open" and 2 or nil })
      sim:script { { on = "extend", complain = complain } }
      local task = assert(client:extend { taskId = sim.source, prompt = "turn" })
      assert.same({ 1, 1, 0 }, { ledgers.charged(sim) })
      assert.equal("succeeded", assert(client:wait(task)).state)
      assert.equal(1, sim:count("POST", helper.EXTEND))
      assert.equal("done", ledgers.states(place))
    end)
  end

  for form, lost in pairs { json = false, top = false, bare = true, list = true } do
    it("names its task, which is found: " .. form, function()
      client = helper.client(sim, { ledger = place })
      sim:script { { on = "extend", task_id_form = form, times = 1 } }
      local task, err = client:extend { taskId = sim.source, prompt = "turn" }
      assert.equal(lost, task == nil)
      local by_task = sim:charges()
      assert.same({ count = 1, credits = 60 }, by_task[(task or err).taskId])
      if lost then assert.is_true(err.candidate) end
      client:close()
      client = helper.client(sim, { ledger = place })
      local summary = assert(client:resume { path = helper.folder() .. "/{taskId}.mp4" })
      assert.same({ lost and 1 or 0, 1 }, { summary.adopted, summary.saved })
      assert.equal(1, sim:count("POST", helper.EXTEND))
    end)
  end

  it("names a record alone", function()
    client = helper.client(sim, { ledger = place })
    sim:script { { on = "extend", task_id_form = "record" } }
    local _, err = client:extend { taskId = sim.source, prompt = "turn" }
    assert.matches("^record%-of%-", err.recordId)
    assert.is_nil(err.taskId)
    assert.equal(err.recordId, assert(client:tasks { ref = err.ref })[1].err.recordId)
  end)
end)

describe("errors.explain", function()
  it("says the next step for a candidate, a recordId and a refusal that names a task", function()
    local candidate = errors.new { code = "uncertain", message = "m", taskId = "t1", candidate = true, ref = "r" }
    assert.matches("client:resume() looks too", candidate:explain(), 1, true)
    assert.matches('client:settle("r", taskId)', candidate:explain(), 1, true)
    local refused = errors.new { code = "insufficient_credits", message = "m", taskId = "t1", charged = "maybe" }
    assert.matches("names the task t1", refused:explain(), 1, true)
    assert.is_nil(refused:explain():find("Top up", 1, true))
    assert.matches("Credits may have been charged", refused:explain(), 1, true)
  end)
end)

describe("wire.accepted", function()
  it("knows no task without the text that names it", function()
    local _, err = wire.accepted(wire.veo, "extend", { code = 200, http_status = 200, data = { taskId = 2 ^ 60 } })
    assert.equal("uncertain", err.code)
    assert.is_nil(err.taskId)
  end)
end)
