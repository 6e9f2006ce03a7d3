-- Inside nginx: verifies a callback, spools it, answers. The answer is a success only once the callback stands in the
-- spool under its name; until then the service's next try is welcome.
-- luacheck: globals ngx

local cjson = require "cjson.safe"
local webhook = require "veo.webhook"

local SPOOL = ngx.config.prefix() .. "spool/"

local function answer(status, message)
  ngx.status = status
  ngx.header["Content-Type"] = "application/json"
  ngx.say(cjson.encode { code = status, msg = message })
end

if ngx.req.get_method() ~= "POST" then return answer(405, "POST expected") end
ngx.req.read_body()
local body = ngx.req.get_body_data() or ""
local headers = ngx.req.get_headers()
local event, err = webhook.verify(headers, body, os.getenv "KIE_WEBHOOK_KEY")
if not event then
  ngx.log(ngx.WARN, tostring(err))
  return answer(err.code == "unverified" and 401 or err.code == "malformed" and 400 or 500, err.code)
end

-- The same callback again has the same name and replaces itself.
local name = event.timestamp .. "-" .. event.taskId:gsub("[^%w_-]", "_"):sub(1, 150)
local unfinished = SPOOL .. "." .. name .. "." .. ngx.var.request_id
local file, why = io.open(unfinished, "wb")
local written = file and file:write(cjson.encode {
  target = ngx.var.request_uri, received = ngx.time(), body = body,
  headers = { ["x-webhook-timestamp"] = headers["x-webhook-timestamp"],
    ["x-webhook-signature"] = headers["x-webhook-signature"] },
})
if file then written = file:close() and written end
if not written or not os.rename(unfinished, SPOOL .. name .. ".json") then
  os.remove(unfinished)
  ngx.log(ngx.ERR, "cannot spool: ", tostring(why))
  return answer(500, "cannot spool")
end
return answer(200, "success")
