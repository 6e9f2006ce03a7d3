--- Text from elsewhere, made safe to print: what would control a terminal, or reverse the text around it, is escaped.

local byte, find, format, gsub = string.byte, string.find, string.format, string.gsub

local NAMES = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

-- In UTF-8: C1 controls (U+009B begins what ESC [ does), the soft hyphen, and what has no width or changes the direction of
-- a line: U+061C, 180E, 200B-200F, 2028-202E, 2060-206F, FEFF, FFF9-FFFB, the tags of plane 14.
local STEERING = { "\194[\128-\159\173]", "\216\156", "\225\160\142", "\226\128[\139-\143\168-\174]",
  "\226\129[\160-\175]", "\239\187\191", "\239\191[\185-\187]", "\243\160[\128\129][\128-\191]" }

local function code_of(c)
  local a, b, d, e = byte(c, 1, 4)
  if e then return (a % 8) * 262144 + (b % 64) * 4096 + (d % 64) * 64 + e % 64 end
  if d then return (a % 16) * 4096 + (b % 64) * 64 + d % 64 end
  return (a % 32) * 64 + b % 64
end

local function as_text(c)
  return NAMES[c] or format(#c == 1 and "\\x%02X" or "\\u{%04X}", #c == 1 and byte(c) or code_of(c))
end

---@param s string
---@param escape (fun(c: string, code: integer): string)|nil  of a steering character; control characters of ASCII are left then
---@return string
return function(s, escape)
  if not escape then s = gsub(s, "%c", as_text) end
  if not find(s, "[\194-\243]") then return s end
  for i = 1, #STEERING do
    s = gsub(s, STEERING[i], escape and function(c) return escape(c, code_of(c)) end or as_text)
  end
  return s
end
