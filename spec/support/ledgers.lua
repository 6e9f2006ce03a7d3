--- What the ledger's specs share: looking into a ledger from outside, over a connection of their own.
local dbi = require "DBI"
local helper = require "spec.support.helper"

local M = {}

---@param where string  as for the `ledger` option
function M.connect(where)
  local kind = where:find("^postgres") and "PostgreSQL" or "SQLite3"
  local connection = assert(dbi.Connect(kind, where))
  connection:autocommit(true)
  return connection
end

---Runs SQL and returns its rows, name → value.
function M.query(where, sql, ...)
  local connection = type(where) == "string" and M.connect(where) or where
  local statement = assert(connection:prepare(sql))
  local ok, why = statement:execute(...)
  if not ok then
    statement:close() -- left open, it would keep the transaction of the next one open too
    error(why, 2)
  end
  local out = {}
  if #(statement:columns() or {}) > 0 then
    for row in statement:rows(true) do
      local copy = {}
      for name, value in pairs(row) do copy[name] = value end
      out[#out + 1] = copy
    end
  end
  statement:close()
  if type(where) == "string" then connection:close() end
  return out
end

---A database of its own.
---@param server table  of spec.support.postgres
---@return string place
function M.fresh(server)
  server.made = (server.made or 0) + 1
  M.query(server.uri, "CREATE DATABASE test" .. server.made)
  return (server.uri:gsub("/postgres$", "/test" .. server.made))
end

---The states of all orders, oldest first, in one string.
function M.states(where)
  local out = {}
  for i, row in ipairs(M.query(where, "SELECT state FROM veo_tasks ORDER BY created, ref")) do out[i] = row.state end
  return table.concat(out, " ")
end

---How many charges each order of the simulator's list has; and how many tasks were charged.
function M.charged(sim)
  local by_task, list = sim:charges()
  local twice, tasks = 0, 0
  for _, charge in pairs(by_task) do
    tasks = tasks + 1
    if charge.count > 1 then twice = twice + 1 end
  end
  return tasks, #list, twice
end

---Runs a piece of Lua in another process, with the modules of this one; `name=value` pairs come as `arg`.
---@return string command  to be run in the background or waited for
function M.script(lua, path, ...)
  local arguments = {}
  for i, value in ipairs { ... } do arguments[i] = "'" .. tostring(value):gsub("'", "'\\''") .. "'" end
  return ("LUA_PATH='%s' LUA_CPATH='%s' exec %s %s %s"):format(package.path, helper.cpath(), lua, path,
    table.concat(arguments, " "))
end

return M
