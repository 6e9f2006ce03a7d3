--- LuaDBI's driver for an engine: loaded, connected, and tried before it is trusted.

local error, pcall, require = error, pcall, require
local tostring = tostring
local format = string.format

local core = require "veo.core"
local engines = require "veo.ledger.engines"
local problem = require "veo.ledger.problem"
local texts = require "veo.util.text"

local M = {}

---@param engine table  of engines.lua
---@return table|nil driver
---@return string|nil problem  what to install
function M.load(engine)
  local ok, driver = pcall(require, engine.module)
  if ok and pcall(require, "DBI") then return driver end
  return nil, format("a ledger needs LuaDBI with its driver for %s: Debian's package lua-%s, or luarocks install lua%s",
    engine.driver, engine.package, engine.package)
end

-- SQLite says no more than "disk I/O error" of them, and may wait for a pipe's other end.
local NO_FILE = { directory = "it is a directory", other = "it is a pipe, a socket or a device" }

-- Nothing is made where nothing is to be made. What is made is its owner's alone, as SQLite's log and index then are.
local function make(db)
  local kind = db.kind == "sqlite" and core.kind(db.where) or nil
  if db.kind ~= "sqlite" or kind == "file" then return end
  if NO_FILE[kind] then error(problem(NO_FILE[kind] .. ", and a ledger is a regular file", "open"), 0) end
  if not db.create then error(problem("there is none, and create = false", "absent"), 0) end
  core.create(db.where) -- or SQLite says why not
end

---Connects; raises a problem.
---@param db veo.Database
---@return userdata connection
function M.connect(db)
  make(db)
  local where = db.kind == "postgresql" and engines.with_limits(db.where, db.limit) or db.file or db.where
  local connection, why = db.driver.New(where) -- as DBI.Connect does, which looks globals up
  if connection then return connection end
  error(problem(texts.without_password(tostring(why)), db.kind == "sqlite" and "open" or nil), 0)
end

---Every kind of value the ledger keeps, there and back: a driver or an encoding that changes one is found here, not in a
---task id. Raises a problem.
---@param db veo.Database  connected
function M.probe(db)
  local text = "\206\177 'quoted' \"double\" ? $1 \\ %s\n\t9007199254740993"
  local row = db:select(db.engine.probe, nil, text, 1795504944.6025, 5916.25)[1]
  if not row or row.a ~= nil or row.b ~= text or row.c ~= 1795504944.6025 or row.d ~= 5916.25 then
    error(problem("the driver does not give back the values it was given", "driver"), 0)
  end
end

return M
