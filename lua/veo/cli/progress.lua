--- What the progress line says of a wait and of a download.

local phrases = require "veo.cli.phrases"
local veo = require "veo"

local M = {}

---@param session veo.cli.Session
---@return table options  of the wait
function M.wait(session)
  local args, now = session.args, veo.now
  local began, next_at, state = now(), nil, "waiting"
  session.waiting = true
  local options = { timeout = args.timeout }
  if args.interval then
    options.first = math.min(args.interval, 10)
    options.interval, options.max_interval, options.growth, options.jitter = args.interval, args.interval, 1, 0
  end
  local function text()
    local when = ""
    if next_at then
      local left = next_at - now()
      when = left > 0.5 and (", next look in %d s"):format(math.ceil(left)) or ", looking"
    end
    local ended = state == "succeeded" or state == "failed"
    -- The id comes last: a narrow window shows what changes.
    return ("%s%s %s %s%s, task %s"):format(session.hop and ("hop %d of %d: "):format(session.hop, session.hops) or "",
      state, ended and "after" or "for", phrases.clock(now() - began), session.term.live and when or "",
      tostring(session.taskId))
  end
  session:showing("waiting " .. tostring(session.taskId), text, true)
  function options.on_progress(status, info)
    if info.err then
      next_at = now() + info.next
      return
    end
    session.taskId, session.state = status.taskId, status.state
    state, next_at = status.state, info.next and now() + info.next
    session:showing(status.state .. " " .. status.taskId, text)
    session:paint() -- or the end would be told before the last state
  end
  return options
end

local BAR = 20 -- columns

local function numbers_of(bytes, total, info, short)
  local parts = {}
  if total then parts[1] = ("%3d %%"):format(math.floor(bytes * 100 / math.max(total, 1))) end
  if not short or not total then
    parts[#parts + 1] = phrases.bytes(bytes) .. (total and " of " .. phrases.bytes(total) or "")
  end
  if info.rate then parts[#parts + 1] = phrases.bytes(info.rate) .. "/s" end
  if info.left then parts[#parts + 1] = phrases.clock(info.left) .. " left" end
  return table.concat(parts, "  ")
end

-- What a window has room for: the numbers come first, then the bar, then the name.
local function line_of(term, path, bytes, total, info)
  local numbers = numbers_of(bytes, total, info)
  if term.live and #numbers >= term.columns - 1 then numbers = numbers_of(bytes, total, info, true) end
  if not term.live then return ("%s: %s"):format(path, (numbers:gsub("^ +", ""):gsub("  ", ", "))) end
  local room = term.columns - 2 - #numbers
  local bar = total and math.min(BAR, room - 3)
  if bar and bar >= 8 then
    numbers = term:bar(bytes / math.max(total, 1), bar) .. " " .. numbers
    room = room - bar - 3
  end
  if room < #path + 1 then return (numbers:gsub("^ +", "")) end
  return path .. " " .. numbers
end

---@param session veo.cli.Session
---@param path string
---@return table options  of the download
function M.download(session, path)
  local bytes, total, info = 0, nil, {}
  session:showing("saving " .. path, function() return line_of(session.term, path, bytes, total, info) end, true)
  return { overwrite = session.args.force, mkdir = true, on_progress = function(...)
    bytes, total, info = ...
    if not info.offline then session.offline = nil end
  end }
end

return M
