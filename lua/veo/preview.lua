--- A contact sheet of a saved video, made by ffmpeg where it is installed. ffmpeg is started without a shell and runs
--- beside the jobs; paths reach it as they are.

local pairs = pairs
local byte, format, sub = string.byte, string.format, string.sub
local open = io and io.open

local core = require "veo.core"
local errors = require "veo.errors"
local gates = require "veo.gate"
local needs = require "veo.needs"
local sheltered = require "veo.sheltered"
local scarce = require "veo.scarce"
local targets = require "veo.download.target"
local unfinished = require "veo.download.unfinished"

local M = {}

local function problem(code, path, message, more)
  local err = { code = code, operation = "preview", path = path, message = "preview: " .. message }
  for name, value in pairs(more or {}) do err[name] = value end
  return errors.new(err)
end

local function number(bytes)
  local value = 0
  for i = 1, #bytes do value = value * 256 + byte(bytes, i) end
  return value
end

-- Looks through the boxes of a file between two places: calls `fn(kind, from, to)` with the place of each one's content.
local function each_box(file, from, to, fn)
  while from + 8 <= to do
    file:seek("set", from)
    local head = file:read(16) or ""
    if #head < 8 then return nil end
    local size, kind, skip = number(sub(head, 1, 4)), sub(head, 5, 8), 8
    if size == 1 and #head == 16 then size, skip = number(sub(head, 9, 16)), 16 end
    if size == 0 then size = to - from end
    if size < skip then return nil end
    local found = fn(kind, from + skip, from + size)
    if found then return found end
    from = from + size
  end
end

---The seconds an MP4 file lasts, by its own word (moov/mvhd); nil when it says nothing.
---@param path string
---@return number|nil
function M.duration(path)
  local file = open(path, "rb")
  if not file then return nil end
  local size = file:seek("end")
  local seconds = each_box(file, 0, size, function(kind, from, to)
    return kind == "moov" and each_box(file, from, to, function(inner, at)
      if inner ~= "mvhd" then return nil end
      file:seek("set", at)
      local head = file:read(32) or ""
      local wide = byte(head, 1) == 1 -- 64-bit times
      local scale = number(sub(head, wide and 21 or 13, wide and 24 or 16))
      local length = number(sub(head, wide and 25 or 17, wide and 32 or 20))
      return scale > 0 and #head == 32 and length / scale or nil
    end) or nil
  end)
  file:close()
  return seconds
end

-- What a file may be taken for: MP4 and its kin, WebM and its kin. A playlist, which names other files, is none.
local FORMATS = "mov,matroska"

-- "file:" keeps ffmpeg from taking a name for an option or another protocol; nothing in a file leads to one either.
local function arguments(path, target, options)
  local cells = options.columns * options.rows
  local seconds = M.duration(path)
  local rate = seconds and seconds > 0 and format("%.6f", cells / seconds) or "1"
  return { "ffmpeg", "-nostdin", "-hide_banner", "-v", "error", "-y",
    "-protocol_whitelist", "file", "-format_whitelist", FORMATS, "-i", "file:" .. path,
    "-vf", format("fps=%s,scale=%d:-2,tile=%dx%d", rate, options.width, options.columns, options.rows),
    "-frames:v", "1", "-an", "-c:v", "png", "-f", "image2", "-update", "1", "file:" .. target }
end

local function run(ctx, path, sink, options)
  local reply, failure = scarce.patiently(ctx, function()
    return ctx.scheduler:exchange(nil, "program", arguments(path, sink:path(), options), { timeout = options.timeout })
  end)
  if reply and (reply.status == 0 or reply.status == -1 and sink:size() > 0) then return nil end
  if reply then
    return problem("io", path, format("ffmpeg could not read it (status %d)%s", reply.status,
      reply.excerpt and ": " .. reply.excerpt or ""), { excerpt = reply.excerpt })
  elseif failure.errno == 2 then
    return problem("missing", path, "ffmpeg is not on the path: install the package ffmpeg (Debian: "
      .. "apt-get install ffmpeg)")
  end
  return problem(failure.reason == "closed" and "closed" or "io", path, failure.message)
end

local function make(ctx, path, target, options)
  local leave, err = gates.enter(ctx, ctx.programs, "preview")
  if not leave then return nil, err end
  if not options.overwrite and core.kind(target) then -- looked at here, for it may have come while this one waited
    leave()
    return nil, problem("exists", target, target .. " exists already; pass overwrite = true to replace it")
  end
  local sink
  sink, err = scarce.patiently(ctx, function() return targets.open(target, true) end)
  if not sink then
    leave()
    return nil, problem(err.code, target, err.message)
  end
  local part = sink:path()
  local function drop()
    unfinished.remove(part)
    sink:close()
  end
  local cleanup = ctx.scheduler:on_drop { drop = drop }
  err = run(ctx, path, sink, options)
  ctx.scheduler:settled(cleanup)
  leave()
  if not err then
    local moved, why = nil, part .. " was replaced by another file meanwhile"
    if sink:stands() then moved, why = core.rename(part, target) end
    if moved then
      unfinished.forget(part)
      sink:close()
      return { path = target, columns = options.columns, rows = options.rows }
    end
    err = problem("io", target, why)
  end
  drop()
  return nil, err
end

---@param ctx table
---@param path string     a saved video
---@param target string   the PNG
---@param options table   the `preview` options
---@return { path: string, columns: integer, rows: integer }|nil preview, veo.Error|nil err
function M.preview(ctx, path, target, options)
  local obstacle = ctx.scheduler:obstacle()
  if obstacle then return nil, obstacle end
  if not open then return nil, problem("missing", path, needs.sentence("reading a video", "io.open")) end
  if core.kind(path) ~= "file" then return nil, problem("io", path, path .. ": no such file") end
  return sheltered(ctx, make, ctx, path, target, options)
end

return M
