--- The manual page, made of what the parser knows: `make man`.

local M = {}

-- Text as roff takes it.
local function escaped(text)
  text = text:gsub("\\", "\\e"):gsub("%-", "\\-")
  return (("\n" .. text):gsub("\n([.'])", "\n\\&%1"):sub(2))
end

-- A paragraph, in lines of at most 78 bytes, as roff likes them.
local function flowing(text)
  local lines, line = {}, ""
  for word in (text or ""):gmatch("%S+") do
    if line ~= "" and #line + 1 + #word > 78 then
      lines[#lines + 1], line = line, word
    else
      line = line == "" and word or line .. " " .. word
    end
  end
  lines[#lines + 1] = line
  return escaped(table.concat(lines, "\n"))
end

local function label_of(element)
  if not element._aliases then return "\\fI" .. escaped(element._name) .. "\\fR" end -- an argument
  local names = {}
  for i, alias in ipairs(element._aliases) do names[i] = "\\fB" .. escaped(alias) .. "\\fR" end
  local label = table.concat(names, ", ")
  if element._maxargs == 0 then return label end
  local value = type(element._argname) == "table" and element._argname[1] or element._argname or "VALUE"
  return label .. " \\fI" .. escaped(value) .. "\\fR"
end

local function list(out, elements)
  for _, element in ipairs(elements) do
    if not element._hidden and element._name ~= "--help" then
      out[#out + 1] = ".TP"
      out[#out + 1] = label_of(element)
      out[#out + 1] = flowing(element._description)
    end
  end
end

local function usage_of(parser)
  return (parser:get_usage():gsub("^Usage: ", ""))
end

local function preformatted(out, text)
  out[#out + 1] = ".nf"
  out[#out + 1] = escaped(text)
  out[#out + 1] = ".fi"
end

---@param parser table     of argparse
---@param version string
---@param date string      YYYY-MM-DD
---@return string
function M.page(parser, version, date)
  local out = { ('.TH VEO 1 "%s" "lua\\-veo %s" "User Commands"'):format(date, version), ".SH NAME",
    "veo \\- extend Veo 3.1 videos: order, wait, save", ".SH SYNOPSIS" }
  preformatted(out, "veo COMMAND [ARGUMENTS]\nveo help COMMAND")
  out[#out + 1] = ".SH DESCRIPTION"
  out[#out + 1] = flowing(parser._description)
  list(out, parser._options)
  out[#out + 1] = ".SH COMMANDS"
  for _, command in ipairs(parser._commands) do
    if not command._hidden then
      out[#out + 1] = ".SS veo " .. escaped(command._name)
      out[#out + 1] = flowing(command._description)
      out[#out + 1] = ".PP"
      preformatted(out, usage_of(command))
      list(out, command._arguments)
      list(out, command._options)
    end
  end
  out[#out + 1] = ".SH NOTES"
  preformatted(out, parser._epilog)
  return table.concat(out, "\n") .. "\n"
end

---Prints it.
function M.write()
  local version = require("veo")._VERSION
  local day = tonumber(os.getenv "SOURCE_DATE_EPOCH") or os.time()
  local parser = require("veo.cli.parser").new(require "argparse", function() return version end)
  io.stdout:write(M.page(parser, version, os.date("!%Y-%m-%d", day)))
end

return M
