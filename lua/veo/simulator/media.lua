--- Result files: real clips, synthetic files of any length, links that die.
-- Result files are a plain GET on another host: a request that carries the key is a violation.
--
-- The clips are H.264 with AAC sound, one per hop of a chain, made with (NAME, FROM and TO in seconds: source 0 8,
-- hop1 0 15, hop2 0 22, hop3 0 29, part 8 15):
--   ffmpeg -f lavfi -i "testsrc2=size=96x54:rate=4:duration=TO,trim=start=FROM,setpts=PTS-STARTPTS"
--     -f lavfi -i "aevalsrc=0.3*sin(2*PI*440*t)*lt(mod(t\,1)\,0.1):s=8000:d=TO-FROM" -c:v libx264 -preset veryslow
--     -crf 44 -g 300 -bf 8 -pix_fmt yuv420p -c:a aac -ac 1 -q:a 0.1 -movflags +faststart -fflags +bitexact
--     -flags:v +bitexact -flags:a +bitexact -map_metadata -1 NAME.mp4
local cqueues = require "cqueues"
local blob = require "veo.simulator.blob"
local http = require "veo.simulator.http"

local M = {}

local PIECE = 1024 * 1024
local MODIFIED = "Thu, 24 Sep 2026 10:00:00 GMT"

local folder = debug.getinfo(1, "S").source:gsub("^@", ""):gsub("[^/\\]*$", "") .. "clips/"
local clips = {}

--- The bytes of a clip: source, hop1, hop2, hop3 or part.
function M.clip(name)
  if not clips[name] then
    if not name:find("^%w+$") then return nil, "no such clip" end
    local file, why = io.open(folder .. name .. ".mp4", "rb")
    if not file then return nil, why end
    clips[name] = file:read("*a")
    file:close()
  end
  return clips[name]
end

--- The clip that shows a whole video after `hop` extensions.
function M.clip_of_hop(hop)
  return hop == 0 and "source" or "hop" .. math.min(hop, 3)
end

--- A link to one of a task's files: whole, part or 1080p.
--- @param token string|nil another signature than the task's own
function M.link(world, task, kind, token)
  return ("%s/media/task/%s/%s.mp4?Expires=%.0f&Signature=%s"):format(world.media_url, http.escape(task.id), kind,
    task.done_at / 1000 + 14 * 86400, token or task.token)
end

--- The links of a finished task.
function M.links(world, task)
  return { whole = M.link(world, task, "whole"), part = M.link(world, task, "part") }
end

--- What tells a task's files from any other's: a box that players skip.
function M.mark(id)
  return string.char(0, 0, math.floor((#id + 8) / 256), (#id + 8) % 256) .. "free" .. id
end

-- What tells files of the same name from others: Bernstein's hash.
local function hash(text)
  local sum = 5381
  for i = 1, #text do sum = (sum * 33 + text:byte(i)) % 4294967296 end
  return sum
end

local function file_of_clip(name, mark)
  local data, why = M.clip(name)
  if not data then return nil, why end
  mark = mark or ""
  data = data .. mark
  return { size = #data, etag = ('"%08x"'):format(hash(name .. mark)), bytes = function(first, last)
    return data:sub(first + 1, last + 1)
  end }
end

local function file_of_blob(size, seed)
  return { size = size, etag = ('"blob-%d-%s"'):format(size, seed), bytes = function(first, last)
    return blob.bytes(first, last, seed)
  end }
end

local function file_of_upload(upload)
  local content = upload and upload.content
  if not content then return nil end
  return { size = #content, etag = '"' .. upload.sha256:sub(1, 16) .. '"', bytes = function(first, last)
    return content:sub(first + 1, last + 1)
  end }
end

local function failure(status)
  local code = status == 404 and "NoSuchKey" or status == 410 and "Gone" or "AccessDenied"
  return { status = status, content_type = "application/xml",
    body = '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>' .. code .. "</Code></Error>\n" }
end

local function is_alive(task, signature)
  local fresh = signature == task.fresh_token
  if not fresh and signature ~= task.token then return false end
  local life = fresh and task.fresh_until or task.link_life and task.done + task.link_life
  return not life or cqueues.monotime() <= life
end

local function file_of_task(world, request, _, id, kind)
  local task = world.tasks:get(http.unescape(id))
  if not task then return nil end
  if not is_alive(task, request.query.Signature or "") then return nil, 403 end
  local mark = world.options.own_bytes and M.mark(task.id) or nil
  return file_of_clip(kind == "part" and "part" or M.clip_of_hop(task.hop), mark)
end

-- What a path names; the functions get what the pattern found, too.
local FILES = {
  { "^/media/blob/(%d+)/?([%w-]*)", function(_, _, effect, size, seed)
    return file_of_blob(tonumber(size), effect.etag or seed)
  end },
  { "^/media/upload/(%d+)/", function(world, _, _, number) return file_of_upload(world.uploads[tonumber(number)]) end },
  { "^/media/clip/(%w+)", function(_, _, _, name) return file_of_clip(name) end },
  { "^/media/task/([^/]+)/(%w+)%.mp4$", file_of_task },
}

local function find(world, request, effect)
  if effect.clip then return file_of_clip(effect.clip) end
  for _, kind in ipairs(FILES) do
    local first, second = request.path:match(kind[1])
    if first then return kind[2](world, request, effect, first, second) end
  end
  return nil
end

-- "bytes=a-b", "bytes=a-" or "bytes=-n"; nil when absent or of another kind (then it is ignored).
local function range_of(text, size)
  local from, to = (text or ""):match("^bytes=(%d*)%-(%d*)$")
  if not from or (from == "" and to == "") then return nil end
  if from == "" then return math.max(0, size - tonumber(to)), size - 1 end
  return tonumber(from), math.min(tonumber(to) or size - 1, size - 1)
end

--- The task that a link belongs to.
function M.task_id(request)
  local id = request.path:match("^/media/task/([^/]+)/")
  return id and http.unescape(id)
end

local function head_of(etag, effect)
  local headers = { { "Accept-Ranges", "bytes" } }
  if etag ~= false then headers = { { "ETag", etag }, { "Last-Modified", MODIFIED }, headers[1] } end
  return { status = 200, headers = headers, content_type = effect.content_type or "video/mp4" }
end

-- The range that was asked for, if it is heeded: If-Range names this file.
local function wanted_part(request, file, etag, effect)
  local first, last = range_of(request.headers.range, file.size)
  local condition = request.headers["if-range"]
  if not first or effect.ranges == false then return nil end
  if condition and condition ~= etag and condition ~= MODIFIED then return nil end
  return first, last
end

-- Makes the answer one of a part; the bytes that it has, or nil when the file has none of them.
local function narrow(response, file, effect, first, last)
  local headers = response.headers
  if first >= file.size or first > last then
    headers[#headers + 1] = { "Content-Range", ("bytes */%d"):format(file.size) }
    response.status, response.content_type, response.body = 416, nil, ""
    return nil
  end
  response.status = 206
  if effect.align then first = first - first % effect.align end
  if effect.piece then last = math.min(last, first + effect.piece - 1) end
  headers[#headers + 1] = { "Content-Range", ("bytes %d-%d/%s"):format(first, last,
    effect.untold and "*" or ("%d"):format(file.size)) }
  return first, last
end

local function fill(response, file, first, last)
  response.length = last - first + 1
  if response.length <= PIECE then
    response.body = response.length > 0 and file.bytes(first, last) or ""
    return
  end
  response.stream = function()
    if first > last then return nil end
    local piece = file.bytes(first, math.min(first + PIECE - 1, last))
    first = first + #piece
    return piece
  end
end

--- Answers a GET or HEAD of a file.
function M.answer(world, request, effect)
  if request.headers.authorization then world:violation(request, "the key was sent to a media host") end
  local file, status = find(world, request, effect)
  if not file then return failure(tonumber(status) or 404) end
  local etag = effect.etag
  if etag == nil then etag = file.etag end
  local response = head_of(etag, effect)
  local first, last = wanted_part(request, file, etag, effect)
  if first then
    first, last = narrow(response, file, effect, first, last)
    if not first then return response end
  else
    first, last = 0, file.size - 1
  end
  fill(response, file, first, last)
  return response
end

return M
