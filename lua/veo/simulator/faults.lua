--- Puts an answer on the wire, whole or damaged as the effect asks.
local cqueues = require "cqueues"
local http = require "veo.simulator.http"
local gzip = require "veo.simulator.gzip"

local M = {}

local function retry_after(value)
  if type(value) == "number" then return ("%d"):format(math.floor(value)) end
  local seconds = tostring(value):match("^date:(%-?%d+)$")
  return seconds and http.date(tonumber(seconds)) or tostring(value)
end

local function head_of(response, effect, length, keep)
  local headers = { { "Date", http.date() }, { "Server", "veo-simulator" } }
  if response.content_type then headers[#headers + 1] = { "Content-Type", response.content_type } end
  for _, header in ipairs(response.headers or {}) do headers[#headers + 1] = header end
  if effect.gzip and response.body then headers[#headers + 1] = { "Content-Encoding", "gzip" } end
  if effect.retry_after ~= nil then headers[#headers + 1] = { "Retry-After", retry_after(effect.retry_after) } end
  for name, value in pairs(type(effect.headers) == "table" and effect.headers or {}) do
    headers[#headers + 1] = { name, tostring(value) }
  end
  if effect.chunked then
    headers[#headers + 1] = { "Transfer-Encoding", "chunked" }
  elseif not effect.until_close then
    headers[#headers + 1] = { "Content-Length", ("%d"):format(math.max(0, length + (effect.length or 0))) }
  end
  headers[#headers + 1] = { "Connection", keep and "keep-alive" or "close" }
  return http.head(response.status, headers)
end

local function once(text)
  return function()
    local piece = text
    text = nil
    return piece ~= "" and piece or nil
  end
end

-- Writes the body's pieces up to `limit` bytes, at `rate` bytes a second when given.
local function write_body(connection, pieces, limit, rate, chunked)
  local function put(piece)
    if chunked then piece = ("%x\r\n"):format(#piece) .. piece .. "\r\n" end
    return connection:write(piece)
  end
  for whole in pieces do
    local short = limit and #whole > limit
    local piece = short and whole:sub(1, limit) or whole
    if rate then
      local step = math.max(1, math.floor(rate / 20))
      for from = 1, #piece, step do
        if not put(piece:sub(from, from + step - 1)) then return nil end
        cqueues.sleep(step / rate)
      end
    elseif piece ~= "" and not put(piece) then
      return nil
    end
    if limit then
      limit = limit - #piece
      if short or limit <= 0 then return true end
    end
  end
  if chunked and not limit then return connection:write("0\r\n\r\n") end
  return true
end

-- Ways to spoil the end of an answer whose body comes whole, as the effects that do it.
local complaints = {}

function complaints.chunk(body) return { chunked = true, cut = #body }, body end

function complaints.length(body) return { length = 7 }, body end

function complaints.open(body) return { length = 7, stall = #body }, body end

function complaints.junk(body)
  return { headers = { ["Content-Encoding"] = "gzip" } }, gzip.pack(body) .. "junk behind the end"
end

local function spoil(effect, body)
  local out = {}
  for name, value in pairs(effect) do out[name] = value end
  local more
  more, body = complaints[effect.complain](body)
  for name, value in pairs(more) do out[name] = value end
  return out, body
end

-- Whether there is no answer at all, but silence or noise.
local function withhold(connection, effect)
  if effect.close == "unanswered" then return true end
  if effect.hang then
    connection:drain()
    return true
  end
  if effect.garbage then
    connection:write("\0\1\2\3garbage\255\254\r\n\r\nnot HTTP at all\r\n")
    return true
  end
  return false
end

-- The effect and the body as they go out, and the body's length; no body for what is streamed.
local function encode(response, effect)
  local body = response.body
  if not body then return effect, nil, response.length end
  if complaints[effect.complain] then
    effect, body = spoil(effect, body)
  elseif effect.gzip then
    body = gzip.pack(body)
  end
  return effect, body, #body
end

local function cut_of(effect, length)
  if effect.cut == "random" then return math.random(0, math.max(0, length - 1)) end
  return effect.cut
end

-- Head and body, the latter up to `limit` bytes.
local function write(connection, head, body, stream, effect, limit)
  if body and not limit and not effect.drip and not effect.chunked then return connection:write(head .. body) end
  if not connection:write(head) then return nil end
  local rate = effect.drip and math.max(1, effect.drip)
  return write_body(connection, body and once(body) or stream, limit, rate, effect.chunked)
end

--- Sends the answer.
--- @param response table status, headers, content_type, body or stream with length
--- @param effect table
--- @param request table its method HEAD sends no body; keep says whether the connection may live on
--- @return boolean|nil keep whether the connection can carry another request
function M.send(connection, response, effect, request)
  if effect.delay then cqueues.sleep(effect.delay) end
  if withhold(connection, effect) then return false end
  local body, length
  effect, body, length = encode(response, effect)
  local cut = cut_of(effect, length)
  local keep = request.keep and not cut and not effect.until_close
  local head = head_of(response, effect, length, keep)
  if request.method == "HEAD" then return connection:write(head) and keep end
  if effect.close == "headers" then
    connection:write(head)
    return false
  end
  local damaged = cut or effect.stall
  request.body_sent = damaged or length
  if not write(connection, head, body, response.stream, effect, damaged) then return false end
  if effect.stall then connection:drain() end
  return not effect.stall and not effect.length and effect.close ~= "after" and keep
end

return M
