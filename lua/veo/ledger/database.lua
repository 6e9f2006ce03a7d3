--- One database behind the ledger, SQLite or PostgreSQL, through LuaDBI. A transaction is a function; what goes wrong in
--- it is raised in here, rolled back, and comes out as nil and a problem.
---
--- What LuaDBI 0.7.2 does (tried): a transaction is open until autocommit is on, so BEGIN and COMMIT are ours, by SQL;
--- `autocommit(true)` returns false on SQLite although it works; integers come back as 32 bits, so whatever may be longer
--- is text or a double; numbers go to PostgreSQL with 14 digits; strings are cut at NUL; a statement that has failed
--- repeats its failure for ever, so it is thrown away.

local error, ipairs, pairs, pcall = error, ipairs, pairs, pcall
local select, setmetatable, tonumber, type = select, setmetatable, tonumber, type
local min = math.min
local byte, char, find = string.byte, string.char, string.find
local format, gsub, sub = string.format, string.gsub, string.sub
local unpack = table.unpack or unpack -- luacheck: ignore

local core = require "veo.core"
local drivers = require "veo.ledger.driver"
local engines = require "veo.ledger.engines"
local file_watch = require "veo.ledger.file_watch"
local locations = require "veo.ledger.location"
local problem = require "veo.ledger.problem"
local processes = require "veo.ledger.process"
local texts = require "veo.util.text"

-- As pcall; a limit on the length of files (ulimit -f) makes SQLite's write fail instead of killing the process.
local hold_pcall = core.hold_pcall

local M = {}

---@class veo.Database
---@field kind "sqlite"|"postgresql"
---@field boot string|nil  this boot of the machine, where the database is the machine's own
---@field shown string    the place, without a password
---@field file string|nil      SQLite's file, by its whole name, once it was opened
---@field identity string|nil  which file that was
local Database = {}
Database.__index = Database

-- A server whose processes are stopped does not answer, and no time-out of libpq ends that: a transaction may take this
-- share of an exchange's time, and at most LONGEST seconds.
local SHARE = 0.3
local LONGEST = engines.STATEMENT_TIMEOUT + 2
-- The tables of an earlier lua-veo are brought up to date once, and their indexes made: 7 s for 300,000 orders. The
-- limit of other transactions would never let that end.
local MIGRATION_TIMEOUT = 900

-- Opening --------------------------------------------------------------------------------------------------------------

---What the `ledger` option names. Nothing is opened yet; nil and the problem when it cannot be one, or LuaDBI is not there.
---@param where string  a file name, or postgresql://…
---@param options { create: boolean|nil, timeout: number|nil }|nil  `create` = false: only one that is there; `timeout`: seconds of an exchange
---@return veo.Database|nil, string|nil problem
function M.new(where, options)
  local kind, wrong = locations.kind(where)
  if not kind then return nil, wrong end
  local engine = engines.all[kind]
  local driver, missing = drivers.load(engine)
  if not driver then return nil, missing end
  options = options or {}
  return setmetatable({
    pid = core.pid(), kind = kind, engine = engine, driver = driver, where = where,
    boot = kind == "sqlite" and processes.boot() or nil, create = options.create ~= false,
    limit = min(LONGEST, (options.timeout or 60) * SHARE), shown = texts.without_password(where),
  }, Database)
end

local function connect(db)
  local guard = db.kind == "postgresql" and core.guard()
  local connection = drivers.connect(db)
  db.connection, db.statements = connection, {}
  if guard and guard:locate() then
    db.guard = guard
    guard:arm(db.limit)
  end
  connection:autocommit(true)
  for _, sql in ipairs(db.engine.setup) do db:select(sql) end
  file_watch.opened(db)
  drivers.probe(db)
  if db.prepare then db.prepare(db) end
  if guard then
    guard:disarm()
    guard:arm(db.limit)
  end
  file_watch.remember(db)
end

---Drops the connection; the next transaction opens another.
function Database:disconnect()
  file_watch.closing(self)
  local connection, statements, guard = self.connection, self.statements, self.guard
  self.connection, self.statements, self.guard, self.log, self.index = nil, nil, nil, nil, nil
  if connection then
    -- SQLite does not let go of a file while a statement is left.
    for _, made in pairs(statements) do pcall(made.close, made) end
    hold_pcall(connection.close, connection)
  end
  if guard then guard:close() end
end

-- Connections that a parent process still uses: closing or collecting them here could end them there.
local abandoned = {}

---Whether another process made it: after a fork the child has copies of all that is its parent's.
function Database:is_foreign()
  return core.pid() ~= self.pid
end

---Leaves the connection to the parent.
function Database:abandon()
  abandoned[#abandoned + 1] = { self.connection, self.statements, self.guard }
  self.connection, self.statements, self.guard = nil, nil, nil
end

-- Statements -----------------------------------------------------------------------------------------------------------

local function statement(db, sql)
  local made = db.statements[sql]
  if made then return made end
  local why
  made, why = db.connection:prepare(sql)
  if not made then error(problem(why), 0) end
  core.keep(made, db.connection) -- or collecting both may crash the host
  db.statements[sql] = made
  return made
end

-- What a text cannot hold (PostgreSQL takes no bytes that are not UTF-8, and LuaDBI cuts at NUL), it holds in digits,
-- with a mark before them that no text of ours begins with.
local MARK = "\1bytes:"

local function digits_of(c) return format("%02x", byte(c)) end
local function byte_of(digits) return char(tonumber(digits, 16)) end

local function storable(db, value)
  if type(value) ~= "string" or not find(value, "[%z\1\128-\255]") then return value end
  local whole = not find(value, "[%z\1]") and (db.kind == "sqlite" or not texts.bad_utf8(value))
  return whole and value or MARK .. gsub(value, ".", digits_of)
end

local function restored(value)
  if type(value) ~= "string" or byte(value) ~= 1 or sub(value, 1, #MARK) ~= MARK then return value end
  return (gsub(sub(value, #MARK + 1), "%x%x", byte_of))
end

local function once(db, sql, ...)
  local made = statement(db, sql)
  local count, values = select("#", ...), { ... }
  for i = 1, count do values[i] = storable(db, values[i]) end
  local ok, why = made:execute(unpack(values, 1, count))
  if ok then return made end
  db.statements[sql] = nil
  pcall(made.close, made)
  error(problem(why), 0)
end

local function is_busy(err)
  return type(err) == "table" and err.cause == "busy"
end

-- SQLite waits for another process's lock for as long as it was told, if at all, and is asked again until the time is over.
local function execute(db, sql, ...)
  if db.kind ~= "sqlite" then return once(db, sql, ...) end
  local deadline = core.now() + engines.BUSY_TIMEOUT
  local ok, made
  repeat ok, made = pcall(once, db, sql, ...) until ok or not is_busy(made) or core.now() >= deadline
  if not ok then error(made, 0) end
  return made
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
    for name, value in pairs(row) do copy[name] = restored(value) end
    out[#out + 1] = copy
  end
  return out
end

---A number with all its digits, for `CAST(? AS DOUBLE PRECISION)`.
---@param n number
---@return number|string
function Database:exact(n)
  return self.kind == "sqlite" and n or format("%.17g", n)
end

---Epoch seconds by the database's clock, which all who share it share.
---@return number
function Database:time()
  return self:select(self.engine.now)[1].now
end

---Gives the rest of this transaction the time that a migration takes.
function Database:take_time()
  if self.kind ~= "postgresql" then return end
  self:run(format("SET LOCAL statement_timeout TO %d", MIGRATION_TIMEOUT * 1000))
  if self.guard then
    self.guard:disarm()
    self.guard:arm(MIGRATION_TIMEOUT)
  end
end

-- Transactions ---------------------------------------------------------------------------------------------------------

local function alive(db)
  if not db.connection then return false end -- a finalizer has closed the client
  if db.kind == "sqlite" then return true end
  local ok, up = pcall(db.connection.ping, db.connection)
  return ok and up
end

local function roll_back(db)
  if not db.connection then return end
  local rolled = hold_pcall(execute, db, "ROLLBACK")
  if not rolled and not alive(db) then db:disconnect() end
  db.inside = false
end

-- A finalizer runs wherever Lua allocates, and its call of the client may end this transaction in the middle: what follows
-- would be committed without what was before. PostgreSQL says nothing of a COMMIT outside of one.
local function check_own(db, own)
  if db.inside ~= own then error(problem("another call came in the middle of this transaction", "within"), 0) end
end

local function body(db, fn, begin)
  local own = {}
  file_watch.same(db)
  if db.guard then db.guard:arm(db.limit) end
  if not db.connection then connect(db) end
  db.inside = own -- from before it is: an error, as Ctrl-C, may come from anywhere
  for _, sql in ipairs(db.engine[begin]) do db:select(sql) end
  local value = fn(db)
  check_own(db, own)
  db:run("COMMIT")
  db.inside = false
  return value
end

-- After a try that failed: nothing of it is left, and no connection that is of no use.
local function clean_up(db, connected)
  if db.inside then
    roll_back(db)
  elseif not connected or not alive(db) then
    db:disconnect() -- opening failed half way, or the server is gone
  end
  if db.guard then db.guard:disarm() end
end

---Runs `fn(db)` as one commit. It must not wait, and may run again: once, when the connection turns out to be gone, or a
---finalizer's call came in the middle.
---@generic T
---@param fn fun(db: veo.Database): T
---@param kind "reading"|"bulk"|"row"|"bulk_rows"|nil  it only reads: one state of the database, without a lock; or how it begins (engines.lua)
---@return T|nil value
---@return { message: string, cause: string }|nil problem
function Database:transaction(fn, kind)
  if self:is_foreign() then
    return nil, problem("this client was made before a fork: make a new one in this process", "fork")
  end
  for try = 1, 2 do
    if self.inside then roll_back(self) end -- left open by an error that nothing in here saw
    local connected = self.connection ~= nil
    local ok, value = hold_pcall(body, self, fn, kind or "begin")
    if ok then
      if self.guard then self.guard:disarm() end
      return value
    end
    if type(value) ~= "table" then value = problem(value, "bug") end
    clean_up(self, connected)
    -- A connection that stood idle may be dead without anybody's fault.
    local died = connected and not self.connection and value.cause ~= "gone"
    if try == 2 or not died and value.cause ~= "within" then return nil, value end
  end
end

---Reads the whole of SQLite's file: a damaged page may hide an earlier task. 7.4 s at 620 MB that no cache holds.
---@return true|nil, { message: string, cause: string }|nil problem
function Database:check()
  return self:transaction(function(db)
    local row = db.kind == "sqlite" and db:select("PRAGMA quick_check(1)")[1]
    if row and row.quick_check ~= "ok" then error(problem(row.quick_check, "corrupt"), 0) end
    return true
  end, "reading")
end

return M
