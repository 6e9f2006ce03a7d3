--- Uploads, on their own host: a file as multipart, streamed and never held whole, or by URL.
local endpoints = require "veo.simulator.endpoints"
local json = require "veo.simulator.json"
local multipart = require "veo.simulator.multipart"

local M = { STREAM = "POST /api/file-stream-upload" }

local KEEP = 8 * 1024 * 1024  -- a file up to this size can be fetched again

local function hex(bytes)
  return (bytes:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end))
end

--- A sink for the body of a stream upload; what it found is left in request.upload.
function M.sink(request)
  local kind = request.headers["content-type"] or ""
  local boundary = kind:match('^multipart/form%-data;.*boundary="?([^";]+)')
  local upload = { size = 0 }
  request.upload = upload
  local digest = require("openssl.digest").new("sha256")
  local pieces, bytes = {}, 0
  local push, finish = multipart.parser(boundary or "-", function(name, filename)
    upload.part, upload.filename = name, filename
    return function(piece)
      upload.size = upload.size + #piece
      digest:update(piece)
      if upload.size <= KEEP then pieces[#pieces + 1] = piece end
    end
  end)
  return function(piece)
    bytes = bytes + #piece
    push(piece)
  end, function()
    request.body_bytes = bytes
    upload.fields, upload.wrong = finish()
    if not boundary then upload.wrong = "Content-Type is not multipart/form-data with a boundary" end
    upload.sha256 = hex(digest:final())
    if upload.size <= KEEP then upload.content = table.concat(pieces) end
  end
end

local function accept(world, file)
  world.uploads[#world.uploads + 1] = file
  file.url = ("%s/media/upload/%d/%s"):format(world.media_url, #world.uploads, file.name)
  local data = json.encode {
    success = true, fileName = file.name, filePath = file.path .. "/" .. file.name, downloadUrl = file.url,
    fileSize = file.size, mimeType = "video/mp4",
  }
  return 200, "File uploaded successfully", data
end

local function stream_upload(world, request)
  local upload = request.upload or { wrong = "no body" }
  local fields = upload.fields or {}
  local wrong = upload.wrong or upload.part ~= "file" and "the part `file` is missing"
    or not (fields.uploadPath or ""):find("%S") and "uploadPath is required"
  if wrong then
    world:violation(request, wrong)
    return endpoints.refuse(400, wrong)
  end
  for name in pairs(fields) do
    if name ~= "uploadPath" and name ~= "fileName" then world:violation(request, ("unknown field %q"):format(name)) end
  end
  local content = upload.content
  upload.content = nil
  return accept(world, {
    name = fields.fileName or upload.filename, path = fields.uploadPath, size = upload.size, sha256 = upload.sha256,
    content = content,
  })
end

local function url_upload(world, request)
  local body = request.json
  local refusal = endpoints.check(world, request, "upload_url", body)
  if refusal then return endpoints.refuse(400, refusal) end
  local name = body.fileName or body.fileUrl:gsub("[?#].*", ""):match("^.*/(.+)$") or "file"
  return accept(world, { name = name, path = body.uploadPath, size = 0, source = body.fileUrl })
end

endpoints.routes[M.STREAM] = { name = "upload", answer = stream_upload }
endpoints.routes["POST /api/file-url-upload"] = { name = "upload_url", json = true, answer = url_upload }

return M
