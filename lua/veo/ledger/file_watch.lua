--- Whether SQLite's files are still those that were opened. SQLite goes on in a file that was removed, while the next
--- process makes a new one of that name: what is paid would be forgotten.
---
--- Three of them: the database; its log (-wal), which holds the newest commits, and which the last one who closes takes in;
--- and the index of the log (-shm), by which all who have it open know of each other. With two indexes they do not, and
--- overwrite each other's commits (7 charges of 4 orders, and rows lost).

local error = error
local find = string.find
local open = io and io.open

local core = require "veo.core"

local M = {}

local function gone(message)
  error({ cause = "gone", message = message }, 0)
end

-- The log is whole, and whoever opens it makes an index of its own.
local function has_lost_index(db)
  return db.connection and db.index and core.identity(db.file .. "-shm") ~= db.index
end

---Remembers what was opened.
function M.remember(db)
  if db.kind ~= "sqlite" then return end
  db.identity = core.identity(db.file)
  db.log, db.index = core.identity(db.file .. "-wal"), core.identity(db.file .. "-shm")
end

---After opening, before anything is written. SQLite shares an index in a process: where another client still has one that
---was removed, this one got it as well. Seen on Linux.
function M.opened(db)
  if db.kind ~= "sqlite" then return end
  db.file = db:select("PRAGMA database_list")[1].file
  local maps = open("/proc/self/maps", "r")
  local line = maps and maps:read("*l")
  while line and not find(line, db.file .. "-shm (deleted)", 1, true) do line = maps:read("*l") end
  if maps then maps:close() end
  if line then gone("the index of its log (-shm) was removed while this process has it open: close all its clients") end
end

---Before a connection is closed: one with a lost index must not take the log in, for it does not know what others wrote.
function M.closing(db)
  if has_lost_index(db) and core.identity(db.file .. "-wal") then core.keep_log(db.file) end
end

---Before a transaction. Raises; after a lost index the next one opens it anew, which is sound.
function M.same(db)
  if not db.identity then return end
  if core.identity(db.file) ~= db.identity
    or db.connection and db.log and core.identity(db.file .. "-wal") ~= db.log then
    gone("its file was removed or replaced while it was open: put it back, or make a new client for what stands there "
      .. "now")
  end
  if has_lost_index(db) then
    db:disconnect()
    gone("the index of its log (-shm) was removed while it was open: try again")
  end
end

return M
