--- The client's calls over many tasks at once.

local ipairs, type = ipairs, type

local batch = require "veo.task.batch"
local errors = require "veo.errors"
local ends = require "veo.task.wait_each"
local callable = require "veo.util.callable"
local options = require "veo.client.options"

local MAP = { map = options.many }
local EACH = { wait = options.wait, many = options.many }

---@param Client veo.Client   the class
---@param tools veo.client.Tools
return function(Client, tools)
  local context, misuse, split, begin = tools.context, tools.misuse, tools.split, tools.begin
  local task_id_of, handle = tools.task_id_of, tools.handle

  function Client:map(list, fn, given)
    local ctx = context(self, "map")
    if type(list) ~= "table" or errors.is(list) then misuse("map", tools.unexpected(ctx, "list: a table", list, fn)) end
    if not callable(fn) then misuse("map", "a function expected, got " .. type(fn)) end
    local opts, busy = begin(ctx, "map", split(ctx, MAP, given))
    if not opts then return nil, busy end
    return batch.map(ctx, list, fn, opts.map.limit or 20)
  end

  function Client:wait_each(tasks, given)
    local ctx = context(self, "wait_each")
    if type(tasks) ~= "table" or errors.is(tasks) then
      misuse("wait_each", tools.unexpected(ctx, "a list of taskIds", tasks, given))
    end
    if tasks.taskId ~= nil then misuse("wait_each", "a list of taskIds expected, got one task") end
    local opts, problem = split(ctx, EACH, given)
    if not opts then misuse("wait_each", problem) end
    local ids = {}
    for i, task in ipairs(tasks) do
      ids[i] = task_id_of(ctx, "wait_each", task) or "" -- refused as such, in its turn
    end
    local each = ends.wait_each(ctx, ids, opts.wait, opts.many.limit or 20)
    return function()
      local taskId, status, err = each()
      return taskId, handle(self, status, err)
    end
  end
end
