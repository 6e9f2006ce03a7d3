-- What Content-Encoding says of an answer counts for nothing: the bytes tell whether they are compressed, and a status or
-- a taskId is read when JSON comes of them. Over real sockets, plain and TLS.

local cjson = require "cjson"
local fault = require "spec.support.fault"
local gzip = require "veo.simulator.gzip"
local helper = require "spec.support.helper"

local ID = "4d1c0f8e7a6b4e0f9b2d3c5a6e7f8091"
local LINK = "https://tempfile.example/v/77aa.mp4"
local ACCEPTED = ('{"code":200,"msg":"success","data":{"taskId":"%s"}}'):format(ID)

-- A record that has all of Huffman's codes in it, from a few bytes to some hundred thousand.
local function record(items)
  local list = {}
  for i = 1, items do list[i] = ('"%s?n=%d%s"'):format(LINK, i * 7919 % 1000, ("x"):rep(i % 300)) end
  return ('{"code":200,"data":{"taskId":"%s","successFlag":1,"response":{"resultUrls":["%s"%s]}}}'):format(ID, LINK,
    items > 0 and "," .. table.concat(list, ",") or "")
end

describe("an answer", function()
  local server, told_at, folder, client

  setup(function()
    folder = helper.folder()
    told_at = folder .. "/told"
    local listener = { post = "told", get = "told", told = told_at }
    server = fault.start { plain = listener, tls = { tls = true, alpn = "http/1.1", post = "told", get = "told",
      told = told_at } }
  end)
  teardown(function()
    server:stop()
    helper.sweep()
  end)
  after_each(function()
    if client then client:close() end
    client = nil
  end)

  local function told(fields)
    helper.write(told_at, cjson.encode { get = fields, post = fields })
  end

  local function open(listener)
    if client then client:close() end
    server:forget()
    client = helper.client(server.url[listener], { ca_file = server.ca_file, retry = { attempts = 1 } })
    return client
  end

  local made = 0
  local function file(bytes)
    made = made + 1
    local name = folder .. "/body" .. made
    helper.write(name, bytes)
    return name
  end

  local function packed(text, level)
    local name = file(text)
    assert(os.execute(("gzip -%d %s"):format(level, name)))
    return helper.read(name .. ".gz")
  end

  local function order(listener)
    local task, err = open(listener):extend { taskId = "source-1", prompt = "x" }
    assert.equal(1, server:count(listener, "POST"))
    return task, err
  end

  for _, listener in ipairs { "plain", "tls" } do
    for _, coding in ipairs { "utf-8", "none", "identity", "br", "gzip", "gzip, aws-chunked", "deflate",
      "UTF-8, gzip" } do
      it("of plain text that is said to be " .. coding .. ", " .. listener, function()
        for _, slowly in ipairs { false, true } do
          told { text = ACCEPTED, coding = coding, slowly = slowly }
          assert.equal(ID, assert(order(listener)).taskId)
          told { text = record(0), coding = coding, slowly = slowly }
          assert.equal(LINK, assert(open(listener):status(ID)).video_url)
          told { text = '{"code":200,"data":12.5}', coding = coding, slowly = slowly }
          assert.equal(12.5, assert(open(listener):credits()))
        end
      end)

      it("of gzip that is said to be " .. coding .. ", " .. listener, function()
        for level, body in ipairs { gzip.pack(ACCEPTED), packed(ACCEPTED, 1), packed(ACCEPTED, 9) } do
          told { file = file(body), coding = coding, slowly = level == 2 }
          assert.equal(ID, assert(order(listener)).taskId)
        end
        for _, items in ipairs { 0, 10, 1000 } do
          told { file = file(packed(record(items), 6)), coding = coding }
          local status = assert(open(listener):status(ID))
          assert.equal(LINK, status.video_url)
          assert.equal(items + 1, #status.resultUrls)
        end
      end)
    end
  end

  it("of gzip that nothing announces, with a name in its header, or in two parts", function()
    local name = file(ACCEPTED)
    assert(os.execute(("gzip -N %s"):format(name)))
    local half = #ACCEPTED - 20
    local two = packed(ACCEPTED:sub(1, half), 9) .. packed(ACCEPTED:sub(half + 1), 9)
    for _, body in ipairs { helper.read(name .. ".gz"), two } do
      told { file = file(body) }
      assert.equal(ID, assert(order("plain")).taskId)
    end
  end)

  it("that is compressed and cut names a candidate once its taskId came", function()
    local body = gzip.pack(ACCEPTED .. (" "):rep(100), 0) -- as it is, behind 15 bytes
    told { file = file(body:sub(1, 15 + #ACCEPTED - 1)), coding = "gzip" }
    local _, err = order("plain")
    assert.same({ "uncertain", ID, true }, { err.code, err.taskId, err.candidate })
  end)

  it("that is damaged is malformed or uncertain, at every byte", function()
    local good = packed(ACCEPTED, 9)
    for at = 1, #good, 5 do
      told { file = file(good:sub(1, at - 1) .. string.char(255 - good:byte(at)) .. good:sub(at + 1)), coding = "gzip" }
      local task, err = order("plain")
      if task then assert.equal(ID, task.taskId) else assert.equal("uncertain", err.code) end
    end
  end)

  it("of gzip in two parts, behind which something else comes, or that is cut in its trailer", function()
    local half = #ACCEPTED - 20
    local first, second = packed(ACCEPTED:sub(1, half), 9), packed(ACCEPTED:sub(half + 1), 9)
    local whole = packed(ACCEPTED, 9)
    local bodies = { first .. second .. "junk", first .. second .. ("\0"):rep(512), first .. second .. whole:sub(1, 9) }
    for missing = 1, 8 do bodies[#bodies + 1] = whole:sub(1, #whole - missing) end
    for _, body in ipairs(bodies) do
      told { file = file(body) }
      assert.equal(ID, assert(order("plain")).taskId)
    end
  end)

  it("whose check sum or length is not that of what came, cut or not, is not believed", function()
    local function off(body, behind)
      local at = #body - behind
      return body:sub(1, at - 1) .. string.char(255 - body:byte(at)) .. body:sub(at + 1)
    end
    local whole = packed(ACCEPTED, 9)
    local sum, length, bodies = off(whole, 7), off(whole, 0), {}
    for missing = 0, 4 do bodies[#bodies + 1] = sum:sub(1, #sum - missing) end
    bodies[#bodies + 1] = length
    bodies[#bodies + 1] = packed("{", 9) .. off(packed(ACCEPTED:sub(2), 9), 4)
    for _, body in ipairs(bodies) do
      told { file = file(body) }
      local _, err = order("plain")
      assert.same({ "uncertain", nil }, { err.code, err.taskId })
    end
  end)

  it("with half a surrogate pair is read, the half as U+FFFD", function()
    told { text = (record(0):gsub('"data"', '"msg":"a\\udc00 \\ud83d\\ude00","data"')) }
    local status = assert(open("plain"):status(ID))
    assert.same({ LINK, "a\239\191\189 \240\159\152\128" }, { status.video_url, status.raw.msg })
  end)

  it("whose code is hexadecimal has none", function()
    told { text = '{"code":"0x1F4","data":12.5}' }
    assert.equal(12.5, assert(open("plain"):credits()))
  end)

  it("that unpacks to more than a mebibyte is not read on", function()
    told { file = file(gzip.bomb()), coding = "gzip" }
    local _, err = order("plain")
    assert.same({ "uncertain", "too_large" }, { err.code, err.cause })
    _, err = open("plain"):status(ID)
    assert.equal("malformed", err.code)
  end)
end)
