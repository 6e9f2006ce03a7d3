--- The ledger's tables, with their version. A change is another step at the end; a step that has been released stays as
--- it is. All of it is SQL that SQLite and PostgreSQL read alike.

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
function M.prepare(db)
  for _, sql in ipairs(db.engine.begin) do db:select(sql) end
  local ok, err = pcall(function()
    local have = version(db)
    if have > M.version then
      error({ cause = "newer", message = ("it was written by a newer lua-veo (schema %d, this one knows %d)")
        :format(have, M.version) }, 0)
    end
    for step = have + 1, M.version do
      for _, sql in ipairs(STEPS[step]) do db:run(sql) end
    end
    if have == 0 then
      db:run("INSERT INTO veo_meta (name, value) VALUES ('schema', ?)", tostring(M.version))
    else
      -- A write even when nothing changes: what cannot be written must show here, before anything is sent.
      db:run("UPDATE veo_meta SET value = ? WHERE name = 'schema'", tostring(M.version))
    end
    db:run("COMMIT")
  end)
  if not ok then
    pcall(db.run, db, "ROLLBACK")
    error(err, 0)
  end
end

return M
