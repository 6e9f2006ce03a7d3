--- Errors: one plain table for everything the world can do to a call. Its fields and these functions are documented in
--- lua/veo/meta/errors.lua.
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

---@type veo.errors
local M = {}

---What each code means, what to do next, and whether credits may have gone. charged: "no" this failure cost nothing;
---"maybe" it may have; "yes" the task is charged (and still yours).
---@type table<string, { summary: string, next: string, template: string, charged: "no"|"maybe"|"yes" }>
M.codes = codes or {}

-- Of several lines, as one that a host's function raised.
local function printable(text)
  return visible and (gsub(tostring(text), "[^\n\t]+", visible)) or tostring(text)
end

function M.message(err, words)
  local message = tostring(err.message)
  if not err.hint or not explain then return message end
  local from, to = find(message, explain.fill(err.hint, explain.LIBRARY, err), 1, true)
  if not from then return message end
  return sub(message, 1, from - 1) .. explain.fill(err.hint, words, err) .. sub(message, to + 1)
end

function M.explain(err, words)
  if not explain then return tostring(err.code) .. ": " .. tostring(err.message) end
  words = words or explain.LIBRARY
  return printable(explain.text(err, M.codes[err.code] or {}, M.message(err, words), words))
end

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

function M.paid(err)
  if not err.charged and M.codes[err.code].charged == "no" then err.charged = "yes" end
  return err
end

function M.raise(err)
  if not place or place.takes_tables or running and running() then error(err, 0) end
  error(place.caller() .. tostring(err), 0)
end

function M.assert(value, err, ...)
  if value then return value, err, ... end
  if M.is(err) then M.raise(err) end
  error(err == nil and "assertion failed!" or err, 0)
end

function M.is(x)
  return type(x) == "table" and (getmetatable(x) == Error
    or (type(x.code) == "string" and M.codes[x.code] ~= nil and type(x.message) == "string"))
end

return M
