--- The client's main calls: extend, status, credits, wait, download.

local type = type

local core = require "veo.core"
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

  function Client:status(task, given)
    local ctx = context(self, "status")
    local id = task_id_of(ctx, "status", task, given)
    local opts, busy = begin(ctx, "status", split(ctx, FREE, given, true))
    if not opts then return nil, busy end
    return noted(ctx, query.status(ctx, id, opts))
  end

  function Client:credits(given)
    local ctx = context(self, "credits")
    local opts, busy = begin(ctx, "credits", split(ctx, FREE, given, true))
    if not opts then return nil, busy end
    return query.call(ctx, "credits", {}, opts)
  end

  function Client:wait(task, given)
    local ctx = context(self, "wait")
    local id = task_id_of(ctx, "wait", task, given)
    local opts, busy = begin(ctx, "wait", split(ctx, WAIT, given))
    if not opts then return nil, busy end
    if task ~= id and tools.is_version(task) then return task end
    local status, err = waits.wait(ctx, id, opts.wait)
    if status == nil then return noted(ctx, nil, err) end
    return tools.waited(self, task, status)
  end

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

  function Client:check_path(path, given)
    local ctx = context(self, "check_path")
    local unusable = texts.path_problem(path)
    if unusable then misuse("check_path", "path: " .. unusable) end
    local opts, busy = begin(ctx, "check_path", split(ctx, CHECK_PATH, given))
    if not opts then return nil, busy end
    local err = destinations.busy(ctx, path)
      or destinations.try(ctx, path, opts.download.overwrite, opts.download.mkdir)
    return not err or nil, err, core.absolute(path)
  end
end
