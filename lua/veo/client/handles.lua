--- Tasks as handles: plain tables, which encode as JSON and whose fields are the service's, with methods. Whose they are
--- stands in a weak table, so that no field shows it. On Lua 5.1 and LuaJIT a handle that is held keeps its client.

local getmetatable, pairs, setmetatable, tostring, type = getmetatable, pairs, setmetatable, tostring, type
local error, format = error, string.format

local errors = require "veo.errors"
local options = require "veo.client.options"
local saves = require "veo.task.save"
local texts = require "veo.util.text"

local SAVE = { wait = options.wait, download = options.download }

---@type veo.Task
local Task = {}

local clients = setmetatable({}, { __mode = "k" }) -- handle → its client; nil is no key, and finds nothing
local decoders = setmetatable({}, { __mode = "k" }) -- client → what decodes the `raw` of its statuses when that is read

local Handle = { __name = "veo.task" }

function Handle.__index(task, name)
  local method = Task[name]
  if method ~= nil then return method end
  local decode = decoders[clients[task]]
  return decode and decode(task, name)
end

function Handle.__tostring(task)
  local what = task.state or task.joined and "joined" or task.raw and "ordered" or ""
  local shown = format("veo task %s", texts.printable(tostring(task.taskId), 80))
  return what == "" and shown or format("%s (%s)", shown, texts.printable(tostring(what), 40))
end

---@param Client veo.Client   the class
---@param tools veo.client.Tools
return function(Client, tools)
  local context, misuse, split, begin = tools.context, tools.misuse, tools.split, tools.begin

  local function make_handle(client, task)
    local meta = getmetatable(task)
    if meta ~= Handle then
      if meta and not decoders[client] then decoders[client] = meta.__index end
      setmetatable(task, Handle)
    end
    clients[task] = client
    return task
  end

  -- Makes what a call returned a handle: a task or a status, or nil and whatever follows.
  function tools.handle(client, task, ...)
    if task == nil then return nil, ... end
    return make_handle(client, task), ...
  end
  local handle = tools.handle
  tools.Task, tools.unconfirmed = Task, saves.refusal

  -- The client and its context, for a method that begins here.
  local function owner(task, call)
    local client = clients[task]
    if not client then error("call it with a colon, on a task: task:" .. call .. "(…)", 3) end
    return client
  end
  tools.owner = owner

  -- What a wait for a handle returns: with what the handle came from, so that an upgrade of it is known as one.
  function tools.waited(client, task, status)
    if clients[task] then status.source = task.source end
    return make_handle(client, status)
  end

  -- A 1080P version in the family veo has no task of its own: waiting for it would find the plain video.
  function tools.is_version(task)
    return clients[task] ~= nil and task.version ~= nil
  end

  -- `beside`: the error that a nil came with, as in client:task(client:extend { … }).
  function Client:task(task, beside)
    local ctx = context(self, "task")
    if clients[task] == self then return task end
    local fields = type(task) == "table" and not errors.is(task) and task or { taskId = task }
    local taskId, ref = fields.taskId, fields.ref
    if taskId == nil and type(ref) == "string" then
      return nil, errors.new { code = "invalid", operation = "task", field = "taskId", ref = ref, sent = "no",
        message = "task: the order " .. texts.printable(ref, 80) .. " has no task yet" }
    end
    if type(taskId) ~= "string" or taskId == "" then
      misuse("task", tools.unexpected(ctx, "a taskId, or a table that has one,", task, beside))
    end
    local uncertain = fields.state == "uncertain"
    return handle(self, { taskId = taskId, ref = uncertain and ref or nil, state = uncertain and "uncertain" or nil })
  end

  function Task:status(given)
    return owner(self, "status"):status(self, given)
  end

  function Task:wait(given)
    local client = owner(self, "wait")
    local unconfirmed = saves.refusal(self)
    if unconfirmed then return tools.noted(context(client, "wait"), nil, unconfirmed) end
    return client:wait(self, given)
  end

  function Task:extend(params, given)
    local client = owner(self, "extend")
    if type(params) ~= "table" then misuse("extend", "a table of parameters expected, got " .. type(params)) end
    if params.taskId ~= nil and params.taskId ~= self.taskId then
      misuse("extend", "taskId: it is this task that is extended; client:extend takes another one")
    end
    local unconfirmed = saves.refusal(self)
    if unconfirmed then return tools.noted(context(client, "extend"), nil, unconfirmed) end
    local all = {}
    for name, value in pairs(params) do all[name] = value end
    all.taskId = self.taskId
    return client:extend(all, given)
  end

  function Task:save(target, given)
    local ctx = context(owner(self, "save"), "save")
    local unusable = tools.unusable_target(target)
    if unusable then misuse("save", unusable) end
    local opts, busy = begin(ctx, "save", split(ctx, SAVE, given))
    if not opts then return nil, busy end
    return saves.save(ctx, self, target, opts)
  end
end
