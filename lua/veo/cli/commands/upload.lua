--- `veo upload`: a picture for `generate --image`.

local arguments = require "veo.cli.arguments"
local phrases = require "veo.cli.phrases"
local texts = require "veo.util.text"
local visible = require "veo.util.visible"

local M = {}

function M.arguments(parser)
  local upload = parser:command("upload", "Upload a picture, print its link for `generate --image`. Free.")
  upload:argument("source", "The file, or a URL that the service fetches."):convert(arguments.file)
  upload:option("--name", "Its name at the service."):argname("NAME"):convert(arguments.line)
  upload:option("--folder", "Its folder at the service (lua-veo)."):argname("FOLDER"):convert(arguments.line)
  arguments.network(upload)
end

---@param session veo.cli.Session
---@param client veo.Client
function M.upload(session, client)
  local args = session.args
  local bytes, total, info = 0, nil, {}
  session:showing("uploading", function()
    return ("uploading %s: %s%s%s"):format(args.source, phrases.bytes(bytes),
      total and (" of %s"):format(phrases.bytes(total)) or "",
      info.rate and (" (%s/s)"):format(phrases.bytes(info.rate)) or "")
  end, true)
  local link = texts.is_link(args.source)
  local file, err = client:upload({ path = not link and args.source or nil, url = link and args.source or nil,
    fileName = args.name, uploadPath = args.folder }, { deadline = args.deadline,
    on_progress = function(...) bytes, total, info = ... end })
  if not file then return nil, err end
  session.term:note("uploaded; the service deletes it after a day")
  local json = {}
  for name, value in pairs(file) do json[name] = type(value) ~= "table" and value or nil end
  return { text = visible(file.downloadUrl), json = json }
end

return M
