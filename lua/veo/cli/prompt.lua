--- Prompts that stand elsewhere: `-` is standard input, `@file` a file, `@@…` a prompt that begins with an at sign.

local inputs = require "veo.cli.input"

local M = {}

local MOST = 1024 * 1024 -- bytes: more is no prompt

local function read(file, name)
  local text, why = file:read(MOST + 1)
  if text and #text > MOST then return nil, ("%s is no prompt: it is longer than 1 MiB"):format(name) end
  text = text and text:gsub("\r?\n$", "")
  if text and text ~= "" then return text end
  return nil, ("%s %s"):format(name, why and "cannot be read: " .. why or "is empty, and a prompt is needed")
end

---@param given string
---@return string|nil prompt
---@return string|nil problem
function M.text(given)
  if given == "-" or given == "@-" then return read(io.stdin, "standard input") end
  local path = given:match("^@(.*)$")
  if not path then return given end
  if path:sub(1, 1) == "@" then return path end
  local file, why = inputs.open(path)
  if not file then
    return nil, ("the prompt's file cannot be read: %s (a prompt that begins with @ is written @@; what comes from a "
      .. "pipe is read by -)"):format(why)
  end
  local text, problem = read(file, path)
  file:close()
  return text, problem
end

---Reads those among the arguments.
---@param args table
---@return string|nil problem
function M.resolve(args)
  local list, from_input = args.prompts or { args.prompt }, 0
  for _, given in ipairs(list) do
    if given == "-" or given == "@-" then from_input = from_input + 1 end
  end
  if from_input > 1 then return "standard input can be one prompt only" end
  for i, given in ipairs(list) do
    local problem
    list[i], problem = M.text(given)
    if problem then return problem end
  end
  if not args.prompts then args.prompt = list[1] end
  return nil
end

return M
