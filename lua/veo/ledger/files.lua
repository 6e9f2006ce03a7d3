--- Where videos are saved, and what tells them: a file is a task's video only when its length and the hash of its ends are
--- those that were noted before it got its name. Methods of the ledger.

local ipairs, type = ipairs, type
local floor = math.floor

local clocks = require "veo.ledger.clock"
local workers = require "veo.ledger.workers"

local HELD = "('accepted', 'done', 'saved')"

local M = {}

-- Whether another order keeps the name. Its video may be whole under it already, or in the unfinished file; what else a
-- killed process left is fetched again, and keeps nothing.
local function keeps(db, row, path, take, clock, part)
  if row.state == "saved" then return take == "free" end
  if row.digest then return true end
  local look = type(part) == "function"
  if take == "replace" and not look then return false end
  if look then part = part(path) end
  row.live = workers.holds(db, row, clock) or part == "locked"
  return row.live or part == "whole"
end

---The order that keeps a name from a new one, or from a task. Rows of the same task keep nothing from it.
---@param db veo.Database
---@param path string            absolute
---@param own { ref: string|nil, taskId: string|nil }
---@param take "replace"|"free"|nil
---@param part nil|"whole"|fun(path: string): "locked"|"whole"|nil  what is in the unfinished file: all of another's video; a function finds out
---@param clock veo.ledger.Clock|nil
---@return table|nil row
function M.holder(db, path, own, take, part, clock)
  clock = clock or clocks.read(db)
  for _, row in ipairs(db:select([[SELECT ref, task_id, state, digest, owner, lease, boot, boot_lease FROM veo_tasks
    WHERE path = ? AND state IN ('intent', 'accepted', 'done', 'saved')]], path)) do
    local is_own = row.ref == own.ref or own.taskId ~= nil and row.task_id == own.taskId
    if not is_own and keeps(db, row, path, take, clock, part) then return row end
  end
  return nil
end

---Notes a file of the rows that `where` names (with one value), unless its name is another task's. Of one that was saved
---there the name is taken away: its file is gone, or to be replaced.
---@param db veo.Database
---@param file { path: string|nil, size: number|nil, digest: string|nil, take: "replace"|"free"|nil, part: "whole"|nil }  an absolute path; `take`: also a name where another task's file is to be replaced; only one that no task has; `part`: what is in the unfinished file is all of another's
---@param clock veo.ledger.Clock|nil
---@return { held: table|nil }
function M.note(db, taskId, file, where, value, clock)
  local path = file.path
  clock = clock or clocks.read(db)
  local other = path and M.holder(db, path, { taskId = taskId }, file.take, file.part, clock)
  if other then return { held = other } end
  if path then
    db:run("UPDATE veo_tasks SET path = NULL WHERE path = ? AND (task_id IS NULL OR task_id <> ?)", path, taskId)
  end
  db:run("UPDATE veo_tasks SET path = ?, size = ?, digest = ?, updated = ? WHERE " .. where, path, file.size,
    file.digest, clock.now, value)
  return {}
end

local function saved(db, taskId, path, identity)
  local now = db:time()
  if not identity then
    return db:run([[UPDATE veo_tasks SET state = 'saved', path = ?, owner = NULL, lease = 0, updated = ?,
      ended = COALESCE(ended, ?) WHERE task_id = ? AND state IN ('accepted', 'done')]],
      path, now, now, taskId)
  end
  return db:run([[UPDATE veo_tasks SET state = 'saved', path = ?, size = ?, digest = ?, owner = NULL, lease = 0,
    updated = ?, ended = COALESCE(ended, ?) WHERE task_id = ? AND state IN ('accepted', 'done', 'saved')]],
    path, identity.size, identity.digest, now, now, taskId)
end

---@param Ledger veo.Ledger   the class
function M.methods(Ledger)
  ---What is noted of a task's video, and which other task has the name: before anything is fetched.
  ---@param path string  absolute
  ---@return { size: number|nil, digest: string|nil, state: string|nil, held: table|nil }|nil, veo.Error|nil
  function Ledger:file(taskId, path)
    return self:read("download", function(db)
      local known = db:select([[SELECT size, digest, state FROM veo_tasks WHERE task_id = ? AND state IN ]] .. HELD
        .. " ORDER BY digest IS NULL", taskId)[1] or {}
      local other = db:select("SELECT task_id FROM veo_tasks WHERE path = ? AND task_id <> ? AND state IN " .. HELD
        .. " AND (state = 'saved' OR digest IS NOT NULL)", path, taskId)[1]
      -- A database's column of doubles holds the length: 5.3 and later would print it as 13682.0.
      return { size = known.size and floor(known.size), digest = known.digest, state = known.state, held = other }
    end)
  end

  ---A file is about to be begun, or to get its name, and then with what tells it. Of a saved task that is fetched once
  ---more nothing is forgotten before the new file stands.
  ---@return { held: table|nil }|nil
  function Ledger:saving(taskId, file)
    return self:note(function(db)
      return M.note(db, taskId, file, "task_id = ? AND state IN ('accepted', 'done')", taskId)
    end)
  end

  ---The download came to nothing: the name is free for others.
  function Ledger:unsaved(taskId, path)
    return self:note(function(db)
      return db:run("UPDATE veo_tasks SET path = NULL WHERE task_id = ? AND path = ? AND state IN ('accepted', 'done')",
        taskId, path or "")
    end)
  end

  ---A call of this client that was to save there has ended before it began to: the name is free for others.
  function Ledger:unnamed(path)
    return self:note(function(db)
      return db:run([[UPDATE veo_tasks SET path = NULL WHERE path = ? AND owner = ? AND digest IS NULL
        AND state IN ('accepted', 'done')]], path, self.owner)
    end)
  end

  ---Which order keeps the name from one that is made now.
  ---@param taskId string|nil  the order's own task, when it has one
  ---@param look fun(path: string): "locked"|"whole"|nil
  ---@return table|false|nil row, veo.Error|nil
  function Ledger:keeper(path, taskId, overwrite, look)
    return self:read("download", function(db)
      return M.holder(db, path, { taskId = taskId }, overwrite and "replace" or nil, look) or false
    end)
  end

  ---The file stands, whole. Without an identity it is another form of the video, and the noted one stays.
  ---@param identity { size: number, digest: string }|nil
  function Ledger:saved(taskId, path, identity)
    return self:note(function(db) return saved(db, taskId, path, identity) end)
  end

  ---These videos are contained in another one: nothing is left to save of them.
  ---@param refs string[]
  function Ledger:contained(refs)
    return self:note(function(db)
      for _, ref in ipairs(refs) do
        db:run("UPDATE veo_tasks SET state = 'saved', owner = NULL, lease = 0 WHERE ref = ? AND state = 'done'", ref)
      end
      return #refs
    end)
  end
end

return M
