--- The calls around extend: generation, upgrades, links, uploads.

local pairs, type = pairs, type
local lower = string.lower

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
local OF_SERVICE = { index = true, callBackUrl = true, extra = true } -- what an upgrade's options hold for it
local UPLOADED = { path = true, url = true, uploadPath = true, fileName = true }

local IS_UPGRADE = { get_1080p = true, get_4k = true }

-- What an upgrade was made of, by its handle or its order in the ledger.
local function source_of(ctx, task)
  if task.source or not ctx.ledger then return task.source end
  local order = ctx.ledger:find { taskId = task.taskId }
  if not order or not IS_UPGRADE[order.operation] then return nil end
  local fields = type(order.params.input) == "table" and order.params.input or order.params
  return fields.taskId or fields.task_id
end

-- The video that is upgraded: a task's own, or the source of an upgrade, which is not paid for again.
local function upgrade_params(ctx, task, given)
  local source, index = source_of(ctx, task), given.index
  if index == nil and not source and task.version then index = task.index end
  return { taskId = source or task.taskId, index = index, callBackUrl = given.callBackUrl, extra = given.extra }
end

---@param Client veo.Client   the class
---@param tools veo.client.Tools
return function(Client, tools)
  local context, misuse, split, begin = tools.context, tools.misuse, tools.split, tools.begin
  local Task = tools.Task

  ---Generates a video. Billable, under the same rules as extend.
  ---Documentation: POST /api/v1/veo/generate; jobs: the model veo-3-1, which takes no `model`.
  ---@param params { prompt: string, imageUrls: string[]|nil, model: string|nil, generationType: string|nil, aspect_ratio: string|nil, resolution: string|nil, duration: integer|nil, seeds: integer|nil, watermark: string|nil, enableTranslation: boolean|nil, callBackUrl: string|nil, extra: table|nil }
  ---@param given { timeout: number|nil, deadline: number|nil, retry: table|nil, path: string|nil, overwrite: boolean|nil, mkdir: boolean|nil }|nil  seconds; `path` as for extend
  ---@return veo.Task|nil task  { taskId, raw }, with methods
  ---@return veo.Error|nil err
  function Client:generate(params, given)
    local ctx = context(self, "generate")
    if type(params) ~= "table" then
      misuse("generate", tools.unexpected(ctx, "a table of parameters", params, given))
    end
    local opts, busy = begin(ctx, "generate", split(ctx, SUBMIT, given, true, "generate"))
    if not opts then return nil, busy end
    local err = tools.misplaced(ctx, "generate", params)
    if err then return nil, err end
    tools.of_path(ctx, opts.submit)
    return tools.noted(ctx, tools.handle(self, submits.submit(ctx, "generate", params, opts)))
  end

  local function order_4k(ctx, params, opts)
    tools.of_path(ctx, opts.submit)
    local order, err = submits.submit(ctx, "get_4k", params, opts)
    upgrades.after_4k(ctx, params.taskId, order, err)
    if order then order.source = params.taskId end
    return order, err
  end

  local UPGRADES = { ["1080p"] = { options = UPGRADE, call = upgrades.get_1080p },
    ["4k"] = { options = SUBMIT, call = order_4k } }

  ---A better version of this finished video, which can no longer be extended afterwards. Both can be saved.
  ---"1080p": the first call orders it (and costs once); this one asks until it is there. In the jobs family it is an order
  ---like extend, with a task of its own: `taskId` is that, `source` the video's. With a ledger one that was asked for over
  ---the other family is not ordered again; its state there is returned.
  ---"4k": an order, billable, whose task is waited for like any other; where the service has it ready already, `video_url`
  ---is there at once.
  ---Documentation: GET /api/v1/veo/get-1080p-video, POST /api/v1/veo/get-4k-video; jobs: the models veo/get-1080p-video and
  ---veo/get-4k-video, which take no `index`.
  ---@param which "1080p"|"4k"
  ---@param given { index: integer|nil, callBackUrl: string|nil, extra: table|nil, timeout: number|nil, interval: number|nil, retry: table|nil, deadline: number|nil, key: string|nil, on_duplicate: string|nil, path: string|nil, overwrite: boolean|nil, mkdir: boolean|nil }|nil  `index`, `callBackUrl`, `extra`: the service's. 1080p: `timeout` 600 s, `interval` 25 s, `retry`; 4k: as extend
  ---@return veo.Task|nil result  1080p: { taskId, url, video_url, source, ref, joined, creditsConsumed, raw }; 4k: { taskId, video_url, resultUrls, processing, raw }
  ---@return veo.Error|nil err  timeout, …
  function Task:upgrade(which, given)
    local client = tools.owner(self, "upgrade")
    local ctx = context(client, "upgrade")
    local upgrade = type(which) == "string" and UPGRADES[lower(which)]
    if not upgrade then misuse("upgrade", 'which: "1080p" or "4k" expected') end
    local fields, rest = {}, given
    if type(given) == "table" then
      rest = {}
      for name, value in pairs(given) do
        local part = OF_SERVICE[name] and fields or rest
        part[name] = value
      end
    end
    local unconfirmed = tools.unconfirmed(self)
    if unconfirmed then return tools.noted(ctx, nil, unconfirmed) end
    local opts, busy = begin(ctx, "upgrade", split(ctx, upgrade.options, rest, true))
    if not opts then return nil, busy end
    return tools.noted(ctx, tools.handle(client, upgrade.call(ctx, upgrade_params(ctx, self, fields), opts)))
  end

  ---A link to a result that works for 20 minutes. Free.
  ---Documentation: POST /api/v1/common/download-url.
  ---@param url string  a result's URL, as the service gave it
  ---@param given { timeout: number|nil, deadline: number|nil, retry: table|nil }|nil  seconds
  ---@return string|nil url
  ---@return veo.Error|nil err  rejected when the service does not know the URL
  function Client:download_url(url, given)
    local ctx = context(self, "download_url")
    if type(url) ~= "string" then misuse("download_url", tools.unexpected(ctx, "a URL", url, given)) end
    local opts, busy = begin(ctx, "download_url", split(ctx, FREE, given, true))
    if not opts then return nil, busy end
    return tools.noted(ctx, query.call(ctx, "download_url", { url = url }, opts))
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
      misuse("upload", tools.unexpected(ctx, "a path, or a table with either path or url", source, given))
    end
    local unusable = params.path ~= nil and texts.path_problem(params.path)
    if unusable then misuse("upload", "path: " .. unusable) end
    unusable = checks.unknown("field", params, UPLOADED)
    if unusable then misuse("upload", unusable) end
    local opts, busy = begin(ctx, "upload", split(ctx, UPLOAD, given, true))
    if not opts then return nil, busy end
    return uploads.upload(ctx, params, opts)
  end
end
