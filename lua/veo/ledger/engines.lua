--- The two engines behind a ledger, as data: their drivers, what they are told at first, and how long they may take.

local ipairs = ipairs
local floor, max, min = math.floor, math.max, math.min
local find, format = string.find, string.format

local M = {}

-- Seconds a write waits for another process to finish its own (SQLite), and limits for a server that does not answer.
M.BUSY_TIMEOUT = 5
local CONNECT_TIMEOUT = 5
M.STATEMENT_TIMEOUT = 10
-- A worker that is stopped or cut off inside a transaction must not hold the others up for longer than they wait.
local IDLE_TIMEOUT = 4
-- Serialises orders over all machines of an account; any number of our own will do.
local LOCK = 860824531

-- Whatever the database's default: at a higher level the snapshot is taken before the lock is granted, and who waited
-- for it reads what was there before (one order made by two processes at once was sent twice, seen).
local ONE_BY_ONE = { "BEGIN ISOLATION LEVEL READ COMMITTED",
  format("SELECT 1 AS got FROM (SELECT pg_advisory_xact_lock(%d)) AS held", LOCK) }

-- What decides by more than the rows that it writes goes one by one: an order by the orders before it, the budget, the rate
-- window and the names of files. What is told by a token or by the state of its row, as a claim, a heartbeat and a step of a
-- claimed task, needs no more than the row's own lock. With the one lock for all of it an order waited for 4.9 s beside 50
-- workers that held 100,000 tasks.
local ROW_BY_ROW = { "BEGIN ISOLATION LEVEL READ COMMITTED" }

-- The two engines, as data. `begin`: an order; `bulk`: one of many commits; `row` and `bulk_rows`: the same where the rows
-- that are written need no other lock. `hold`: the longest of many commits in a row (seconds). `room`: after it the lock is left
-- free for at least this long, and for as long as the commit took; 0: not at all. `steps`: of
-- claimed tasks, in one statement.
M.all = {
  sqlite = {
    driver = "SQLite3", module = "dbd.sqlite3", package = "dbi-sqlite3",
    now = "SELECT (julianday('now') - 2440587.5) * 86400.0 AS now",
    -- SQLite has no queue: who looks for the lock more often gets it. An order does every millisecond. Who makes commit
    -- after commit is left to SQLite's own handler, which sleeps for up to 100 ms between looks, and so lets orders in.
    -- (With that one, an order beside three who resume 10,000 tasks waited for the lock for up to 1,000 ms; now 40.)
    begin = { "PRAGMA busy_timeout=2", "BEGIN IMMEDIATE" },
    bulk = { format("PRAGMA busy_timeout=%d", M.BUSY_TIMEOUT * 1000), "BEGIN IMMEDIATE" },
    lock = "", skip = "", these = { "IN (", ")" }, -- one writes at a time
    hold = 0.005, room = 0.01, steps = 1,
    reading = { "BEGIN" }, -- in WAL, a snapshot: whoever reads and whoever writes do not wait for one another
    probe = "SELECT ? AS a, ? AS b, ? AS c, ? AS d",
    -- FULL: a commit is on the disk when it returns; in WAL, NORMAL would lose the last ones with the power.
    setup = { "PRAGMA busy_timeout=2", "PRAGMA journal_mode=WAL",
      "PRAGMA synchronous=FULL" },
  },
  postgresql = {
    driver = "PostgreSQL", module = "dbd.postgresql", package = "dbi-postgresql",
    now = "SELECT CAST(extract(epoch FROM clock_timestamp()) AS DOUBLE PRECISION) AS now",
    begin = ONE_BY_ONE, bulk = ONE_BY_ONE, row = ROW_BY_ROW, bulk_rows = ROW_BY_ROW,
    lock = " FOR UPDATE", skip = " FOR UPDATE SKIP LOCKED",
    these = { "= ANY (ARRAY(", "))" }, -- read once, whatever the plan: each reading would lock other rows
    -- For the rest of a transaction, whatever the statistics say: they are old when thousands of tasks were just claimed.
    by_index = "SELECT set_config('enable_bitmapscan', 'off', true), set_config('enable_sort', 'off', true)",
    hold = 0.02, room = 0, -- who asked first is next
    steps = 20,
    reading = { "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" },
    probe = "SELECT CAST(? AS TEXT) AS a, CAST(? AS TEXT) AS b, CAST(? AS DOUBLE PRECISION) AS c, "
      .. "CAST(? AS DOUBLE PRECISION) AS d",
    -- libpq prints notices, and nothing here prints.
    -- A plan is compiled where its cost is guessed high: 600 ms for what takes 2.
    setup = { "SELECT set_config(name, 'off', false) AS jit FROM pg_settings WHERE name = 'jit'",
      "SET client_min_messages TO error", "SET client_encoding TO 'UTF8'", "SET synchronous_commit TO on",
      format("SET statement_timeout TO %d", M.STATEMENT_TIMEOUT * 1000),
      format("SET lock_timeout TO %d", M.BUSY_TIMEOUT * 1000),
      format("SET idle_in_transaction_session_timeout TO %d", IDLE_TIMEOUT * 1000) },
  },
}

M.all.sqlite.row, M.all.sqlite.bulk_rows = M.all.sqlite.begin, M.all.sqlite.bulk

---libpq would wait for a dead server for many minutes; what the caller wrote in the URI wins.
---@param uri string
---@param limit number  seconds
---@return string
function M.with_limits(uri, limit)
  local out = uri
  for _, each in ipairs { { "connect_timeout", max(2, min(CONNECT_TIMEOUT, floor(limit))) },
    { "tcp_user_timeout", M.STATEMENT_TIMEOUT * 1000 }, { "keepalives_idle", M.STATEMENT_TIMEOUT } } do
    if not find(out, "[?&]" .. each[1] .. "=") then
      out = out .. (find(out, "?", 1, true) and "&" or "?") .. each[1] .. "=" .. each[2]
    end
  end
  return out
end

return M
