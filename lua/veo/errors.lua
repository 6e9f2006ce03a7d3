--- Errors: one plain table for everything the world can do to a call.
---
---   errors/codes.lua  what each code means, and what to do next    errors/explain.lua  how it is told
---   errors/place.lua  where one was raised

local error, getmetatable, pairs = error, getmetatable, pairs
local setmetatable, tostring, type = setmetatable, tostring, type
local find, format, gsub, sub = string.find, string.format, string.gsub, string.sub
local running = coroutine and coroutine.running

-- It is loaded too to say that the host has dropped what this needs: then an error is its code and message, no more.
local whole = require and find and format and gsub
local visible = whole and require "veo.util.visible"
local explain = whole and require "veo.errors.explain"
local codes = whole and require "veo.errors.codes"
local place = whole and require "veo.errors.place"

local M = {}

---@class veo.Error
---@field code string            one of the keys of `errors.codes`
---@field message string         one line: what happened, to which field or call; never a key
---@field operation string|nil   "extend", "status", "wait", "download", …
---@field field string|nil       the parameter that was refused
---@field given string|nil       what was given, short and printable
---@field expected string|nil    what would have been accepted
---@field suggestion string|nil  the field or value that was probably meant
---@field hint string|nil        what to do about it, as a template (see errors/explain.lua); the message ends with it
---@field taskId string|nil      the task concerned, whenever it is known
---@field candidate boolean|nil  the taskId is only likely the order's: client:resume() looks at it, or client:status
---@field recordId string|nil    an uncertain answer named this and no taskId; it cannot be asked for
---@field charged string|nil     "no", "maybe", "yes", where it is not what `errors.codes` says of the code
---@field sent string|nil        "no" (proved), "maybe", "yes" (a reply came)
---@field http_status integer|nil
---@field service_code integer|nil  `code` in the reply's body
---@field service_msg string|nil    `msg` in the reply's body, shortened
---@field curl_code integer|nil
---@field proxy_status integer|nil  what a proxy answered that made no tunnel
---@field offline number|nil     seconds without a connection, when it gave up for that
---@field retry_after number|nil seconds
---@field excerpt string|nil     start of an unreadable body, or of the answer to an order
---@field attempts integer|nil
---@field status table|nil       the last status seen
---@field path string|nil        a file concerned
---@field location string|nil    where a redirect pointed, without its query
---@field traceback string|nil  where a job's function raised
---@field ref string|nil         the order in the ledger: for client:settle
---@field key string|nil         the order's own key
---@field state string|nil       what the ledger says of an earlier order
---@field evidence table|nil     credits_before, credits_after, difference, price of an uncertain call
---@field hop integer|nil        where a chain stopped
---@field hops table[]|nil       what of a chain is finished
---@field cause string|veo.Error|nil  what lies behind `code`, e.g. "network" behind "uncertain"; an error where an uncertain
---                              order was sent again at the caller's request: what came of that

---What each code means, what to do next, and whether credits may have gone. charged: "no" this failure cost nothing;
---"maybe" it may have; "yes" the task is charged (and still yours).
---@type table<string, { summary: string, next: string, template: string, charged: "no"|"maybe"|"yes" }>
M.codes = codes or {}

-- Of several lines, as one that a host's function raised.
local function printable(text)
  return visible and (gsub(tostring(text), "[^\n\t]+", visible)) or tostring(text)
end

---An error's message, with its hint in other words than the library's.
---@param err veo.Error
---@param words veo.errors.Words
---@return string
function M.message(err, words)
  local message = tostring(err.message)
  if not err.hint or not explain then return message end
  local from, to = find(message, explain.fill(err.hint, explain.LIBRARY, err), 1, true)
  if not from then return message end
  return sub(message, 1, from - 1) .. explain.fill(err.hint, words, err) .. sub(message, to + 1)
end

---The cause and the next step in plain words, several sentences. Works on copies without the metatable too.
---@param err veo.Error
---@param words veo.errors.Words|nil  the library's unless given
---@return string
function M.explain(err, words)
  if not explain then return tostring(err.code) .. ": " .. tostring(err.message) end
  words = words or explain.LIBRARY
  return printable(explain.text(err, M.codes[err.code] or {}, M.message(err, words), words))
end

---What a code means, what to do next, and what it says of money.
---@param code string
---@param words veo.errors.Words|nil  the library's unless given
---@return string|nil summary  nil for a code that there is not
---@return string|nil next
---@return string|nil money
function M.about(code, words)
  local class = M.codes[code]
  if not class or not explain then return nil end
  return class.summary, explain.fill(class.template, words or explain.LIBRARY), explain.MONEY[class.charged]
end

local Error = { __name = "veo.error" }
Error.__index = { explain = M.explain }

-- What is lost with an error that is only printed: the task that was paid, or its order.
local function named(err, text)
  local what = err.taskId and "taskId" or err.ref and "ref"
  if not what or not find or find(text, tostring(err[what]), 1, true) then return text end
  return format("%s (%s %s)", text, what == "ref" and "order" or what, tostring(err[what]))
end

function Error.__tostring(err)
  local text = named(err, tostring(err.code) .. ": " .. tostring(err.message))
  return (place and place.raising() or "") .. printable(text)
end

-- An error is often glued to a text for printing; that must not become a second error.
function Error.__concat(a, b)
  return tostring(a) .. tostring(b)
end

---A fresh error from a table of fields; also turns a copy that lost its metatable back into an error.
---@param fields table  `code` and `message` at least
---@return veo.Error
function M.new(fields)
  local err = {}
  for name, value in pairs(fields) do err[name] = value end
  local class = M.codes[err.code]
  if whole and not class then error("unknown error code: " .. tostring(err.code), 2) end
  local message = err.message == nil and class and class.summary or err.message
  err.message = printable(message)
  if err.hint and explain then
    local hint = explain.fill(err.hint, explain.LIBRARY, err)
    if not find(err.message, hint, 1, true) then err.message = err.message .. "; " .. hint end -- a copy has it already
  end
  return setmetatable(err, Error)
end

---Tells of an error that came after an order was placed that the order is paid all the same.
---@param err veo.Error
---@return veo.Error
function M.paid(err)
  if not err.charged and M.codes[err.code].charged == "no" then err.charged = "yes" end
  return err
end

---Raises an error as itself. In the main program of Lua 5.1, which prints no table, as text with file and line.
---@param err veo.Error
function M.raise(err)
  if not place or place.takes_tables or running and running() then error(err, 0) end
  error(place.caller() .. tostring(err), 0)
end

---As Lua's `assert`, whose 5.1 takes no table for a message and drops our error.
---@param value any
---@param err any
---@return any …  what it was given
function M.assert(value, err, ...)
  if value then return value, err, ... end
  if M.is(err) then M.raise(err) end
  error(err == nil and "assertion failed!" or err, 0)
end

---Whether `x` is one of these errors, or a copy of one.
---@param x any
---@return boolean
function M.is(x)
  return type(x) == "table" and (getmetatable(x) == Error
    or (type(x.code) == "string" and M.codes[x.code] ~= nil and type(x.message) == "string"))
end

return M
