--- The ledger's tables, with their version. A change is another step at the end; a step that has been released stays as
--- it is. All of it is SQL that SQLite and PostgreSQL read alike, but for what is marked as one's own.

local error, ipairs, pcall, tonumber, tostring, type = error, ipairs, pcall, tonumber, tostring, type
local format = string.format

local M = {}

-- Times are epoch seconds and prices credits, both as doubles; bodies, results and errors are JSON text.
local STEPS = {
  {
    [[CREATE TABLE veo_tasks (
      ref TEXT PRIMARY KEY,
      state TEXT NOT NULL,
      operation TEXT NOT NULL,
      api TEXT NOT NULL,
      body TEXT NOT NULL,
      hash TEXT NOT NULL,
      intent_key TEXT,
      task_id TEXT,
      price DOUBLE PRECISION,
      day DOUBLE PRECISION NOT NULL,
      client TEXT NOT NULL,
      owner TEXT,
      claim TEXT,
      lease DOUBLE PRECISION NOT NULL,
      sending DOUBLE PRECISION NOT NULL,
      created DOUBLE PRECISION NOT NULL,
      updated DOUBLE PRECISION NOT NULL,
      result TEXT,
      error TEXT,
      evidence TEXT,
      path TEXT)]],
    -- One live intent a key, whatever else goes wrong.
    [[CREATE UNIQUE INDEX veo_tasks_key ON veo_tasks (intent_key)
      WHERE intent_key IS NOT NULL AND state NOT IN ('refused', 'lost')]],
    "CREATE INDEX veo_tasks_hash ON veo_tasks (hash)",
    "CREATE INDEX veo_tasks_task_id ON veo_tasks (task_id)",
    "CREATE INDEX veo_tasks_state ON veo_tasks (state, lease)",
    "CREATE INDEX veo_tasks_day ON veo_tasks (day)",
    "CREATE TABLE veo_slots (at DOUBLE PRECISION NOT NULL)",
  },
  {
    "CREATE TABLE veo_upgrades (task_id TEXT PRIMARY KEY, what TEXT NOT NULL, at DOUBLE PRECISION NOT NULL)",
  },
  {
    -- A row for each client that asked; together they are one charge.
    [[CREATE TABLE veo_charges (
      ref TEXT NOT NULL,
      client TEXT NOT NULL,
      price DOUBLE PRECISION NOT NULL,
      day DOUBLE PRECISION NOT NULL,
      at DOUBLE PRECISION NOT NULL,
      PRIMARY KEY (ref, client))]],
    "CREATE INDEX veo_charges_day ON veo_charges (day)",
  },
  {
    -- What tells the saved file: its length, and a hash of its first and last 64 KiB.
    "ALTER TABLE veo_tasks ADD COLUMN size DOUBLE PRECISION",
    "ALTER TABLE veo_tasks ADD COLUMN digest TEXT",
    -- Credits that the service says it took, and when the task ended.
    "ALTER TABLE veo_tasks ADD COLUMN consumed DOUBLE PRECISION",
    "ALTER TABLE veo_tasks ADD COLUMN ended DOUBLE PRECISION",
    -- The lease once more, on the clock of the boot in which it was written: wall clocks jump.
    "ALTER TABLE veo_tasks ADD COLUMN boot TEXT",
    "ALTER TABLE veo_tasks ADD COLUMN boot_lease DOUBLE PRECISION",
    -- The order that this one repeats after a lost answer, or whose second task this is.
    "ALTER TABLE veo_tasks ADD COLUMN repeats TEXT",
    "CREATE INDEX veo_tasks_repeats ON veo_tasks (repeats) WHERE repeats IS NOT NULL",
    -- A task id, as a path, may be longer than an entry of PostgreSQL's other indexes can be (2,704 bytes).
    { postgresql = "DROP INDEX veo_tasks_task_id" },
    { postgresql = "CREATE INDEX veo_tasks_task_id ON veo_tasks USING hash (task_id)" },
    { sqlite = "CREATE INDEX veo_tasks_path ON veo_tasks (path)",
      postgresql = "CREATE INDEX veo_tasks_path ON veo_tasks USING hash (path)" },
    "CREATE INDEX veo_tasks_created ON veo_tasks (created, ref)",
    "CREATE INDEX veo_tasks_operation ON veo_tasks (operation, created, ref)",
    -- A page of a list is read in its order, whatever it asks for. None is of states alone: SQLite, which has no statistics,
    -- takes it for as good as one of names (`task_id = ? AND state = ?`), and reads half of the table.
    "DROP INDEX veo_tasks_state",
    [[CREATE INDEX veo_tasks_open ON veo_tasks (created, ref)
      WHERE state IN ('intent', 'accepted', 'done', 'uncertain')]],
    [[CREATE INDEX veo_tasks_owner ON veo_tasks (owner)
      WHERE owner IS NOT NULL AND state IN ('intent', 'accepted', 'done')]],
    "CREATE INDEX veo_tasks_any_key ON veo_tasks (intent_key) WHERE intent_key IS NOT NULL",
    -- Two hundred thousand orders of a day are summed from the index alone.
    "DROP INDEX veo_tasks_day",
    "CREATE INDEX veo_tasks_day ON veo_tasks (day, state, price)",
  },
  {
    -- Who holds tasks: a heartbeat renews this one row. With a lease in each task, 50 workers that held 100,000 wrote 3,300
    -- rows a second for nothing else.
    [[CREATE TABLE veo_workers (
      owner TEXT PRIMARY KEY,
      lease DOUBLE PRECISION NOT NULL,
      boot TEXT,
      boot_lease DOUBLE PRECISION)]],
    -- What may be claimed, in its order; and what one holds, which also tells all who hold something.
    [[CREATE INDEX veo_tasks_free ON veo_tasks (created, ref)
      WHERE owner IS NULL AND state IN ('accepted', 'done')]],
    "DROP INDEX veo_tasks_owner",
    [[CREATE INDEX veo_tasks_owner ON veo_tasks (owner, created, ref)
      WHERE owner IS NOT NULL AND state IN ('intent', 'accepted', 'done')]],
    "CREATE INDEX veo_tasks_intents ON veo_tasks (owner) WHERE state = 'intent'",
    "CREATE INDEX veo_tasks_uncertain ON veo_tasks (created, ref) WHERE state = 'uncertain'",
  },
}
M.version = #STEPS
M.steps = STEPS

local function version(db)
  db:run("CREATE TABLE IF NOT EXISTS veo_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
  local row = db:select("SELECT value FROM veo_meta WHERE name = 'schema'")[1]
  return row and tonumber(row.value) or 0
end

---Brings the tables up to this version, all steps in one commit. For `Database.prepare`: raises what goes wrong.
---@param db veo.Database
---@param also fun(db: veo.Database)|nil  what else belongs into that commit
function M.prepare(db, also)
  for _, sql in ipairs(db.engine.begin) do db:select(sql) end
  local ok, err = pcall(function()
    local have = version(db)
    if have > M.version then
      error({ cause = "newer", message = format("it was written by a newer lua-veo (schema %d, this one knows %d)",
        have, M.version) }, 0)
    end
    if have == 0 and not db.create then
      error({ cause = "absent", message = "there is none, and create = false" }, 0)
    end
    if have > 0 and have < M.version then db:take_time() end
    for step = have + 1, M.version do
      for _, sql in ipairs(STEPS[step]) do
        if type(sql) == "table" then sql = sql[db.kind] end
        if sql then db:run(sql) end
      end
    end
    if have == 0 then
      db:run("INSERT INTO veo_meta (name, value) VALUES ('schema', ?)", tostring(M.version))
    else
      -- A write even when nothing changes: what cannot be written must show here, before anything is sent.
      db:run("UPDATE veo_meta SET value = ? WHERE name = 'schema'", tostring(M.version))
    end
    if also then also(db) end
    db:run("COMMIT")
  end)
  if not ok then
    pcall(db.run, db, "ROLLBACK")
    error(err, 0)
  end
end

return M
