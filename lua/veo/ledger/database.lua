--- One database behind the ledger, SQLite or PostgreSQL, through LuaDBI. A transaction is a function; what goes wrong in
--- it is raised in here, rolled back, and comes out as nil and a problem.
---
--- What LuaDBI 0.7.2 does (tried): a transaction is open until autocommit is on, so BEGIN and COMMIT are ours, by SQL;
--- `autocommit(true)` returns false on SQLite although it works; integers come back as 32 bits, so whatever may be longer
--- is text or a double; numbers go to PostgreSQL with 14 digits; strings are cut at NUL; a statement that has failed
--- repeats its failure for ever, so it is thrown away.

local canonical = require "veo.ledger.canonical"
local core = require "veo.core"

local M = {}

---@class veo.Database
---@field kind "sqlite"|"postgresql"
---@field shown string    the place, without a password
local Database = {}
Database.__index = Database

-- Seconds a write waits for another process to finish its own (SQLite), and limits for a server that does not answer.
local BUSY_TIMEOUT = 5
local CONNECT_TIMEOUT = 5
local STATEMENT_TIMEOUT = 10
-- A worker that is stopped or cut off inside a transaction must not hold the others up for longer than they wait.
local IDLE_TIMEOUT = 4
-- Serialises what must not run twice at once over all machines of an account; any number of our own will do.
local LOCK = 860824531

-- The two engines, as data.
local ENGINES = {
  sqlite = {
    driver = "SQLite3", module = "dbd.sqlite3", package = "dbi-sqlite3",
    now = "SELECT (julianday('now') - 2440587.5) * 86400.0 AS now",
    begin = { "BEGIN IMMEDIATE" },
    probe = "SELECT ? AS a, ? AS b, ? AS c, ? AS d",
    -- FULL: a commit is on the disk when it returns; in WAL, NORMAL would lose the last ones with the power.
    setup = { ("PRAGMA busy_timeout=%d"):format(BUSY_TIMEOUT * 1000), "PRAGMA journal_mode=WAL",
      "PRAGMA synchronous=FULL" },
    skip_locked = "",
  },
  postgresql = {
    driver = "PostgreSQL", module = "dbd.postgresql", package = "dbi-postgresql",
    now = "SELECT CAST(extract(epoch FROM clock_timestamp()) AS DOUBLE PRECISION) AS now",
    -- Whatever the database's default: at a higher level the snapshot is taken before the lock is granted, and who waited
    -- for it reads what was there before (one order made by two processes at once was sent twice, seen).
    begin = { "BEGIN ISOLATION LEVEL READ COMMITTED",
      ("SELECT 1 AS got FROM (SELECT pg_advisory_xact_lock(%d)) AS held"):format(LOCK) },
    probe = "SELECT CAST(? AS TEXT) AS a, CAST(? AS TEXT) AS b, CAST(? AS DOUBLE PRECISION) AS c, "
      .. "CAST(? AS DOUBLE PRECISION) AS d",
    -- libpq prints notices, and nothing here prints.
    setup = { "SET client_min_messages TO error", "SET client_encoding TO 'UTF8'", "SET synchronous_commit TO on",
      ("SET statement_timeout TO %d"):format(STATEMENT_TIMEOUT * 1000),
      ("SET lock_timeout TO %d"):format(BUSY_TIMEOUT * 1000),
      ("SET idle_in_transaction_session_timeout TO %d"):format(IDLE_TIMEOUT * 1000) },
    skip_locked = " FOR UPDATE SKIP LOCKED",
  },
}

-- What a driver's message means, first match first.
local CAUSES = {
  { "locked", "busy" }, { "lock timeout", "busy" }, { "disk is full", "full" }, { "No space left", "full" },
  { "readonly", "readonly" }, { "read%-only", "readonly" }, { "not a database", "corrupt" }, { "malformed", "corrupt" },
  { "disk I/O error", "io" }, { "unable to open", "open" }, { "could not connect", "open" },
  { "connection to server", "open" }, { "Failed to connect", "open" },
  { "closed the connection", "lost" }, { "no connection", "lost" }, { "could not receive", "lost" },
  { "could not send", "lost" }, { "administrator command", "lost" }, { "statement timeout", "slow" },
  { "idle%-in%-transaction", "lost" }, { "invalid byte sequence", "value" }, { "violates .*constraint", "value" },
}

local function cause_of(message)
  for _, rule in ipairs(CAUSES) do
    if message:find(rule[1]) then return rule[2] end
  end
  return "database"
end

-- A problem as it is raised inside a transaction and as it leaves one.
local function problem(message, cause)
  message = tostring(message):gsub("^Execute failed ", ""):gsub("^Error executing statement parameters: ", "")
    :gsub("^Error preparing statement handle: ", ""):gsub("%s+", " "):gsub("%s+$", "")
  return { message = message, cause = cause or cause_of(message) }
end

-- Opening --------------------------------------------------------------------------------------------------------------

-- libpq would wait for a dead server for many minutes; what the caller wrote in the URI wins.
local function with_limits(uri)
  local out = uri
  for _, limit in ipairs { { "connect_timeout", CONNECT_TIMEOUT }, { "tcp_user_timeout", STATEMENT_TIMEOUT * 1000 },
    { "keepalives_idle", STATEMENT_TIMEOUT } } do
    if not out:find("[?&]" .. limit[1] .. "=") then
      out = out .. (out:find("?", 1, true) and "&" or "?") .. limit[1] .. "=" .. limit[2]
    end
  end
  return out
end

---What the `ledger` option names. Nothing is opened yet; nil and the problem when LuaDBI is not there.
---@param where string  a file name, or postgresql://…
---@return veo.Database|nil, string|nil problem
function M.new(where)
  local kind = where:find("^postgres%a*://") and "postgresql" or "sqlite"
  local engine = ENGINES[kind]
  local ok, dbi = pcall(require, "DBI")
  if not ok or not pcall(require, engine.module) then
    return nil, ("a ledger needs LuaDBI with its driver for %s: Debian's package lua-%s, or luarocks install lua%s")
      :format(engine.driver, engine.package, engine.package)
  end
  return setmetatable({
    kind = kind, engine = engine, dbi = dbi, where = where, skip_locked = engine.skip_locked,
    shown = (where:gsub("^(%a+://[^:@/]*):[^@/]*@", "%1@"):gsub("password=[^&]*", "password=…")),
  }, Database)
end

-- Every kind of value the ledger keeps, there and back: a driver or an encoding that changes one is found here, not in
-- a task id.
local function probe(db)
  local text = "\206\177 'quoted' \"double\" ? $1 \\ %s\n\t9007199254740993"
  local row = db:select(db.engine.probe, nil, text, 1795504944.6025, 5916.25)[1]
  if not row or row.a ~= nil or row.b ~= text or row.c ~= 1795504944.6025 or row.d ~= 5916.25 then
    error(problem("the driver does not give back the values it was given", "driver"), 0)
  end
end

-- A damaged file can hide an earlier task, and then it would be paid again.
local function check(db)
  if db.kind ~= "sqlite" then return end
  local row = db:select("PRAGMA quick_check(1)")[1]
  if row and row.quick_check ~= "ok" then error(problem(row.quick_check, "corrupt"), 0) end
end

local function connect(db)
  local where = db.kind == "postgresql" and with_limits(db.where) or db.where
  local connection, why = db.dbi.Connect(db.engine.driver, where)
  if not connection then error(problem(why, db.kind == "sqlite" and "open" or nil), 0) end
  db.connection, db.statements = connection, {}
  connection:autocommit(true)
  -- SQLite does not wait for its busy timeout when several processes turn a new file to WAL at once.
  local deadline = core.now() + BUSY_TIMEOUT
  for _, sql in ipairs(db.engine.setup) do
    local ok, trouble = pcall(db.select, db, sql)
    while not ok and type(trouble) == "table" and trouble.cause == "busy" and core.now() < deadline do
      ok, trouble = pcall(db.select, db, sql)
    end
    if not ok then error(trouble, 0) end
  end
  check(db)
  probe(db)
  if db.prepare then db.prepare(db) end
end

---Drops the connection; the next transaction opens another.
function Database:disconnect()
  local connection, statements = self.connection, self.statements
  self.connection, self.statements = nil, nil
  if not connection then return end
  -- SQLite does not let go of a file while a statement is left.
  for _, made in pairs(statements) do pcall(made.close, made) end
  pcall(connection.close, connection)
end

-- Statements -----------------------------------------------------------------------------------------------------------

local function statement(db, sql)
  local made = db.statements[sql]
  if made then return made end
  local why
  made, why = db.connection:prepare(sql)
  if not made then error(problem(why), 0) end
  db.statements[sql] = made
  return made
end

local function execute(db, sql, ...)
  local made = statement(db, sql)
  local ok, why = made:execute(...)
  if ok then return made end
  db.statements[sql] = nil
  pcall(made.close, made)
  error(problem(why), 0)
end

---Runs a statement; returns how many rows it changed. Inside a transaction only.
---@return integer
function Database:run(sql, ...)
  return execute(self, sql, ...):affected()
end

---Runs a query; returns its rows, name → value, all of them read so that no lock stays. Inside a transaction only.
---@return table[]
function Database:select(sql, ...)
  local made = execute(self, sql, ...)
  local out = {}
  if #(made:columns() or {}) == 0 then return out end
  for row in made:rows(true) do
    local copy = {} -- the driver may hand out one table again and again
    for name, value in pairs(row) do copy[name] = value end
    out[#out + 1] = copy
  end
  return out
end

---A file's name, where the database can keep it: on PostgreSQL nil for one that is no UTF-8.
---@param name string|nil
---@return string|nil
function Database:file_name(name)
  return name and (self.kind == "sqlite" or canonical.is_text(name)) and name or nil
end

---Epoch seconds by the database's clock, which all who share it share.
---@return number
function Database:time()
  return self:select(self.engine.now)[1].now
end

-- Transactions ---------------------------------------------------------------------------------------------------------

local function alive(db)
  if db.kind == "sqlite" then return true end
  local ok, up = pcall(db.connection.ping, db.connection)
  return ok and up
end

local function roll_back(db)
  if not db.connection then return end
  local rolled = pcall(execute, db, "ROLLBACK")
  if not rolled and not alive(db) then db:disconnect() end
  db.inside = false
end

local function body(db, fn)
  if not db.connection then connect(db) end
  db.inside = true -- from before it is: an error, as Ctrl-C, may come from anywhere
  for _, sql in ipairs(db.engine.begin) do db:select(sql) end
  local value = fn(db)
  db:run("COMMIT")
  db.inside = false
  return value
end

---Runs `fn(db)` as one commit. It must not wait, and may run again: once, when the connection turns out to be gone.
---@generic T
---@param fn fun(db: veo.Database): T
---@return T|nil value
---@return { message: string, cause: string }|nil problem
function Database:transaction(fn)
  for try = 1, 2 do
    if self.inside then roll_back(self) end -- left open by an error that nothing in here saw
    local connected = self.connection ~= nil
    local ok, value = pcall(body, self, fn)
    if ok then return value end
    if type(value) ~= "table" then value = problem(value, "bug") end
    if self.inside then
      roll_back(self)
    elseif not connected or not alive(self) then
      self:disconnect() -- opening failed half way, or the server is gone
    end
    -- A connection that stood idle may be dead without anybody's fault.
    if try == 2 or not connected or self.connection then return nil, value end
  end
end

return M
