--- The calls around extend: generation, upgrades, links, uploads.

local type = type

local lazy = require("veo.util.lazy").room
local checks = require "veo.util.options"
local options = require "veo.client.options"
local query = require "veo.task.query"
local submits = require "veo.task.submit"
local texts = require "veo.util.text"
local upgrades = require "veo.task.upgrade"
local uploads = lazy "veo.task.upload"

local SUBMIT = { submit = options.submit }
local FREE = { free = options.free }
local UPGRADE = { upgrade = options.upgrade }
local UPLOAD = { upload = options.upload }
local UPLOADED = { path = true, url = true, uploadPath = true, fileName = true }

-- The parameters of an upgrade: its own, or the taskId of a task or status.
local function upgrade_params(task)
  if type(task) ~= "table" then return { taskId = task } end
  if task.source then return { taskId = task.source } end -- of a 1080P version that is a task of its own
  if task.upgrade == "1080P" then return { taskId = task.taskId, index = task.index } end
  if task.state ~= nil or task.raw ~= nil then return { taskId = task.taskId } end
  return task
end

---@param Client veo.Client   the class
---@param tools veo.client.Tools
return function(Client, tools)
  local context, misuse, split, begin = tools.context, tools.misuse, tools.split, tools.begin

  ---Generates a video. Billable, under the same rules as extend.
  ---Documentation: POST /api/v1/veo/generate; jobs: the model veo-3-1, which takes no `model`.
  ---@param params { prompt: string, imageUrls: string[]|nil, model: string|nil, generationType: string|nil, aspect_ratio: string|nil, resolution: string|nil, duration: integer|nil, seeds: integer|nil, watermark: string|nil, enableTranslation: boolean|nil, callBackUrl: string|nil, extra: table|nil }
  ---@param given { timeout: number|nil, deadline: number|nil, retry: table|nil, path: string|nil, overwrite: boolean|nil, mkdir: boolean|nil }|nil  seconds; `path` as for extend
  ---@return { taskId: string, raw: table }|nil task
  ---@return veo.Error|nil err
  function Client:generate(params, given)
    local ctx = context(self, "generate")
    if type(params) ~= "table" then misuse("generate", "a table of parameters expected, got " .. type(params)) end
    local opts, busy = begin(ctx, "generate", split(ctx, SUBMIT, given, true))
    if not opts then return nil, busy end
    return submits.submit(ctx, "generate", params, opts)
  end

  ---The 1080P version of a finished video. The first call orders it (and costs once); this one asks until it is there.
  ---The video can no longer be extended afterwards. The result can be given to download. In the jobs family it is an order
  ---like extend, with a task of its own: `taskId` is that, `source` the video's. With a ledger one that was asked for over
  ---the other family is not ordered again; its state there is returned.
  ---Documentation: GET /api/v1/veo/get-1080p-video; jobs: the model veo/get-1080p-video.
  ---@param task string|{ taskId: string, index: integer|nil, callBackUrl: string|nil }|veo.Status  `index` not in the jobs family, `callBackUrl` only there
  ---@param given { timeout: number|nil, interval: number|nil, retry: table|nil }|nil  seconds; 600 and 25 unless given
  ---@return { taskId: string, url: string, video_url: string, source: string|nil, ref: string|nil, joined: boolean|nil, creditsConsumed: number|nil, raw: table }|nil result
  ---@return veo.Error|nil err  timeout, …
  function Client:get_1080p(task, given)
    local ctx = context(self, "get_1080p")
    local opts, busy = begin(ctx, "get_1080p", split(ctx, UPGRADE, given, true))
    if not opts then return nil, busy end
    return upgrades.get_1080p(ctx, upgrade_params(task), opts)
  end

  ---Orders the 4K version of a finished video. Billable. The task it returns is waited for like any other; where the
  ---service has it ready already, `video_url` is there at once. The video can no longer be extended afterwards.
  ---Documentation: POST /api/v1/veo/get-4k-video; jobs: the model veo/get-4k-video, which takes no `index`.
  ---@param task string|{ taskId: string, index: integer|nil, callBackUrl: string|nil }|veo.Status
  ---@param given { timeout: number|nil, deadline: number|nil, retry: table|nil, path: string|nil, overwrite: boolean|nil, mkdir: boolean|nil }|nil  seconds; `path` as for extend
  ---@return { taskId: string, video_url: string|nil, resultUrls: string[]|nil, processing: boolean|nil, raw: table }|nil task
  ---@return veo.Error|nil err
  function Client:get_4k(task, given)
    local ctx = context(self, "get_4k")
    local opts, busy = begin(ctx, "get_4k", split(ctx, SUBMIT, given, true))
    if not opts then return nil, busy end
    local params = upgrade_params(task)
    local order, err = submits.submit(ctx, "get_4k", params, opts)
    upgrades.after_4k(ctx, params.taskId, order, err)
    return order, err
  end

  ---A link to a result that works for 20 minutes. Free.
  ---Documentation: POST /api/v1/common/download-url.
  ---@param url string  a result's URL, as the service gave it
  ---@param given { timeout: number|nil, deadline: number|nil, retry: table|nil }|nil  seconds
  ---@return string|nil url
  ---@return veo.Error|nil err  rejected when the service does not know the URL
  function Client:download_url(url, given)
    local ctx = context(self, "download_url")
    local opts, busy = begin(ctx, "download_url", split(ctx, FREE, given, true))
    if not opts then return nil, busy end
    return query.call(ctx, "download_url", { url = url }, opts)
  end

  ---Uploads a file, or has the service fetch one, for `imageUrls`. Free. The file is read while it is sent.
  ---Documentation: File Upload API, POST /api/file-stream-upload and /api/file-url-upload.
  ---@param source string|{ path: string|nil, url: string|nil, uploadPath: string|nil, fileName: string|nil }
  ---@param given { on_progress: nil|fun(bytes: integer, total: integer|nil, info: veo.Progress), timeout: number|nil, deadline: number|nil, retry: table|nil }|nil  seconds; no timeout while bytes move, deadline 3600
  ---@return { downloadUrl: string }|nil file  and what else the service says of it
  ---@return veo.Error|nil err
  function Client:upload(source, given)
    local ctx = context(self, "upload")
    local params = type(source) == "string" and { path = source } or source
    if type(params) ~= "table" or (params.path == nil) == (params.url == nil) then
      misuse("upload", "a path, or a table with either path or url expected")
    end
    local unusable = params.path ~= nil and texts.path_problem(params.path)
    if unusable then misuse("upload", "path: " .. unusable) end
    unusable = checks.unknown("field", params, UPLOADED)
    if unusable then misuse("upload", unusable) end
    local opts, busy = begin(ctx, "upload", split(ctx, UPLOAD, given, true))
    if not opts then return nil, busy end
    return uploads.upload(ctx, params, opts)
  end

  ---@deprecated `veo preview VIDEO` makes the contact sheet; examples/preview.lua does from a script.
  function Client:preview()
    context(self, "preview")
    misuse("preview", "is gone: the command `veo preview` makes contact sheets, and examples/preview.lua shows how")
  end
end
