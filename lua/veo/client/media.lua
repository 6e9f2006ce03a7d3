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

  function Client:download_url(url, given)
    local ctx = context(self, "download_url")
    if type(url) ~= "string" then misuse("download_url", tools.unexpected(ctx, "a URL", url, given)) end
    local opts, busy = begin(ctx, "download_url", split(ctx, FREE, given, true))
    if not opts then return nil, busy end
    return tools.noted(ctx, query.call(ctx, "download_url", { url = url }, opts))
  end

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
