--- The service's times → epoch seconds, but only where they are unambiguous.

local tonumber, type = tonumber, type
local floor = math.floor
local find, match = string.find, string.match

local M = {}

-- Accepted from 2020-01-01 to 2100-01-01: there, seconds and milliseconds do not overlap.
local EARLIEST, LATEST = 1577836800, 4102444800

-- Days since 1970-01-01 in the Gregorian calendar; os.time would apply this machine's zone.
local function days(year, month, day)
  if month <= 2 then year = year - 1 end
  local era = floor(year / 400)
  local year_of_era = year - era * 400
  local shifted = month > 2 and month - 3 or month + 9
  local day_of_year = floor((153 * shifted + 2) / 5) + day - 1
  return era * 146097 + year_of_era * 365 + floor(year_of_era / 4) - floor(year_of_era / 100)
    + day_of_year - 719468
end

local MONTH_DAYS = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }

local function from_number(n)
  if n >= EARLIEST * 1000 and n <= LATEST * 1000 then return n / 1000 end
  if n >= EARLIEST and n <= LATEST then return n end
  return nil
end

-- Seconds by which a zone is ahead of UTC.
local function offset_of(zone)
  if zone == "Z" or zone == "z" then return 0 end
  local sign, hours, minutes = match(zone, "^([+-])(%d%d):?(%d%d)$")
  if not sign or tonumber(hours) > 23 or tonumber(minutes) > 59 then return nil end
  local offset = (tonumber(hours) * 60 + tonumber(minutes)) * 60
  return sign == "-" and -offset or offset
end

local function from_iso(s)
  local y, mo, d, h, mi, sec, zone = match(s, "^(%d%d%d%d)%-(%d%d)%-(%d%d)[Tt ](%d%d):(%d%d):(%d%d%.?%d*)%s*(.+)$")
  if not y then return nil end
  y, mo, d, h, mi, sec = tonumber(y), tonumber(mo), tonumber(d), tonumber(h), tonumber(mi), tonumber(sec)
  if mo < 1 or mo > 12 or d < 1 or d > MONTH_DAYS[mo] or h > 23 or mi > 59 or not sec or sec >= 61 then return nil end
  local offset = offset_of(zone)
  if not offset then return nil end
  return days(y, mo, d) * 86400 + h * 3600 + mi * 60 + sec - offset
end

---Epoch milliseconds or seconds (number or numeric string) and ISO 8601 with a zone become epoch seconds.
---A date without a zone, null, "" and anything else give nil.
---@param value any
---@return number|nil
function M.epoch(value)
  if type(value) == "number" then return from_number(value) end
  if type(value) ~= "string" or #value > 40 then return nil end
  if find(value, "^%d+$") then return from_number(tonumber(value)) end
  return from_iso(value)
end

return M
