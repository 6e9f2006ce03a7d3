--- The client's main calls: extend, status, credits, wait, download.

local type = type

local destinations = require "veo.task.download.destination"
local downloads = require "veo.task.download"
local errors = require "veo.errors"
local options = require "veo.client.options"
local query = require "veo.task.query"
local submits = require "veo.task.submit"
local texts = require "veo.util.text"
local waits = require "veo.task.wait"

-- Whether a table says anything of which video is meant; an error says nothing.
local function names_video(source)
  return type(source) == "table" and not errors.is(source)
    and (source.video_url or source.url or source.taskId or source.ref) ~= nil
end

local SUBMIT = { submit = options.submit }
local FREE = { free = options.free }
local WAIT = { wait = options.wait }
local DOWNLOAD = { download = options.download }
local CHECK_PATH = { download = { overwrite = options.download.overwrite, mkdir = options.download.mkdir } }

---@param Client veo.Client   the class
---@param tools veo.client.Tools
return function(Client, tools)
  local context, misuse, split, begin = tools.context, tools.misuse, tools.split, tools.begin
  local task_id_of, handle, misplaced = tools.task_id_of, tools.handle, tools.misplaced
  local noted, unexpected = tools.noted, tools.unexpected

  ---Extends a video. Billable: sent again by itself only when nothing of it left or the service turned it away (429, 455).
  ---With a ledger an identical order is joined until its video is saved, and a `duplicate` for 24 hours from its end.
  ---Documentation: POST /api/v1/veo/extend.
  ---@param params { taskId: string, prompt: string, seeds: integer|nil, model: string|nil, watermark: string|nil, callBackUrl: string|nil, extra: table|nil }
  ---@param given { timeout: number|nil, deadline: number|nil, retry: table|nil, key: string|nil, on_duplicate: "refuse"|"join"|"allow"|nil, path: string|nil, overwrite: boolean|nil, mkdir: boolean|nil }|nil  seconds; one exchange 60, the whole call 300. `path`: where the video is going to be saved; what cannot be is not ordered
  ---@return veo.Task|nil task  { taskId, raw, ref, joined, already }, with methods. `already`: the same order's video is at `path`
  ---@return veo.Error|nil err  exists, busy, io, invalid, uncertain, insufficient_credits, rejected, duplicate, budget, ledger, …
  function Client:extend(params, given)
    local ctx = context(self, "extend")
    if type(params) ~= "table" then misuse("extend", unexpected(ctx, "a table of parameters", params, given)) end
    local opts, busy = begin(ctx, "extend", split(ctx, SUBMIT, given, true, "extend"))
    if not opts then return nil, busy end
    local err = misplaced(ctx, "extend", params)
    if err then return nil, err end
    tools.of_path(ctx, opts.submit)
    return noted(ctx, handle(self, submits.submit(ctx, "extend", params, opts)))
  end

  ---Asks for a task's state, now. Free; repeated on passing errors.
  ---Documentation: GET /api/v1/veo/record-info.
  ---@param task string|table  a taskId, or what extend returned
  ---@param given { timeout: number|nil, deadline: number|nil, retry: table|nil }|nil  seconds
  ---@return veo.Status|nil status
  ---@return veo.Error|nil err  not_found, expired, unauthorized, network, server, malformed, …
  function Client:status(task, given)
    local ctx = context(self, "status")
    local id = task_id_of(ctx, "status", task, given)
    local opts, busy = begin(ctx, "status", split(ctx, FREE, given, true))
    if not opts then return nil, busy end
    return noted(ctx, query.status(ctx, id, opts))
  end

  ---The account's credits; may be fractional. Free.
  ---@param given { timeout: number|nil, deadline: number|nil, retry: table|nil }|nil  seconds
  ---@return number|nil credits
  ---@return veo.Error|nil err
  function Client:credits(given)
    local ctx = context(self, "credits")
    local opts, busy = begin(ctx, "credits", split(ctx, FREE, given, true))
    if not opts then return nil, busy end
    return query.call(ctx, "credits", {}, opts)
  end

  ---Waits until a task has succeeded. On a timeout the task goes on; waiting again is free.
  ---@param task string|table  a taskId, or what extend returned
  ---@param given { timeout: number|nil, first: number|nil, interval: number|nil, growth: number|nil, max_interval: number|nil, jitter: number|nil, grace: number|nil, max_errors: integer|false|nil, on_progress: nil|fun(status: veo.Status, info: veo.WaitInfo) }|nil  seconds
  ---@return veo.Status|nil status
  ---@return veo.Error|nil err  timeout, failed, no_result, not_found, … with the taskId
  function Client:wait(task, given)
    local ctx = context(self, "wait")
    local id = task_id_of(ctx, "wait", task, given)
    local opts, busy = begin(ctx, "wait", split(ctx, WAIT, given))
    if not opts then return nil, busy end
    if tools.is_version(task) then return task end
    return noted(ctx, tools.waited(self, task, waits.wait(ctx, id, opts.wait)))
  end

  ---Saves a finished video. Until it is whole it stands in `target .. ".part"`; a later download goes on from there.
  ---With a function as target, it gets the bytes piece by piece, may wait itself, and ends the download by returning false.
  ---@param source veo.Status|string|{ url: string, taskId: string|nil }|{ taskId: string }  a succeeded status, a URL (with the taskId a dead link is made anew), or a task: its taskId, what extend returned, a ledger's record; one look then says where its video is, and nothing is waited for
  ---@param target string|fun(chunk: string): false|nil
  ---@param given { on_progress: nil|fun(bytes: integer, total: integer|nil, info: veo.Progress), max_bytes: integer|nil, overwrite: boolean|nil, attempts: integer|nil, stall: integer|nil, verify: boolean|nil, mkdir: boolean|nil }|nil  `stall`: a try ends after so many seconds under 1 KiB/s, 60 unless given; `verify = false`: the boxes of an MP4 are not looked at; `mkdir`: makes the folder
  ---@return { path: string|nil, bytes: integer, taskId: string|nil, requests: integer, resumed: integer|nil, already: boolean|nil, verified: boolean|nil }|nil file  `verified`: true when the boxes of an MP4 fill it, false when it may be cut; `already`: with a ledger, the task's own video was there
  ---@return veo.Error|nil err  exists, busy, io, expired, not_video, too_large, changed, network, …; of a task `timeout`: it has not ended, and failed, no_result, not_found, …
  function Client:download(source, target, given)
    local ctx = context(self, "download")
    if type(source) ~= "string" and not names_video(source) then
      misuse("download", unexpected(ctx, "a status, a task or a URL", source, target))
    end
    local unusable = tools.unusable_target(target)
    if unusable then misuse("download", unusable) end
    local opts, busy = begin(ctx, "download", split(ctx, DOWNLOAD, given))
    if not opts then return nil, busy end
    return downloads.download(ctx, source, target, opts.download)
  end

  ---Whether download could save under this name now. Nothing is fetched or left behind, but for the folder with `mkdir`.
  ---An order does the same with its option `path`.
  ---@param path string
  ---@param given { overwrite: boolean|nil, mkdir: boolean|nil }|nil
  ---@return true|nil fine
  ---@return veo.Error|nil err  exists, busy, io, missing
  function Client:check_path(path, given)
    local ctx = context(self, "check_path")
    local unusable = texts.path_problem(path)
    if unusable then misuse("check_path", "path: " .. unusable) end
    local opts, busy = begin(ctx, "check_path", split(ctx, CHECK_PATH, given))
    if not opts then return nil, busy end
    local err = destinations.busy(ctx, path)
      or destinations.try(ctx, path, opts.download.overwrite, opts.download.mkdir)
    if err then return nil, err end
    return true
  end
end
