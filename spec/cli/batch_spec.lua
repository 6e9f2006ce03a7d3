-- `veo batch`: a file of orders, as people and scripts meet it, and its parts.

local cjson = require "cjson"
local csv = require "veo.cli.commands.batch.csv"
local helper = require "spec.support.helper"
local json = require "veo.cli.commands.batch.json"
local ledgers = require "spec.support.ledgers"
local plans = require "veo.cli.commands.batch.plan"
local row_orders = require "veo.cli.commands.batch.order"
local rows = require "veo.cli.commands.batch.rows"
local simulator = require "veo.simulator"
local veo = require "veo"
local wire = require "veo.wire"

describe("a batch's file", function()
  local function records(text)
    local out = {}
    for i, record in ipairs(csv.parse(text)) do
      out[i] = record.line .. ": " .. table.concat(record, "|") .. (record.problem and " !" .. record.problem or "")
    end
    return out
  end

  it("is read as RFC 4180 has CSV", function()
    assert.same({ "1: a|b", "2: 1|2" }, records "a,b\n1,2")
    assert.same({ "1: a|b", "2: 1|2", "3: |" }, records "a,b\r\n1,2\r\n,\r\n")
    assert.same({ "1: a|b", '2: x "y", z|', "3: 1\n2|3", "5: 4|5" },
      records 'a,b\n"x ""y"", z",\n"1\n2",3\n4,5\n')
    assert.same({ "1: a|b", "2: 1\r\n2|3", "4: 4|5" }, records 'a,b\r\n"1\r\n2",3\r\n4,5')
    assert.same({ "1: a|b", "3: 1|2" }, records "a,b\n\n1,2\n\n")
    assert.same({ "1: a|b", "2: 1|2" }, records "a,b\r1,2\r")
    assert.same({ "1: a|b", "2: 1,5|2" }, records "a;b\n1,5;2\n")
    assert.same({ "1: a|b", "2: 1,5|2;3" }, records "a\tb\n1,5\t2;3\n")
    assert.same({ "1: a,b;c|d", "2: 1|2" }, records '"a,b;c";d\n1;2\n')
    assert.same({ "1: a", "2: x !text behind a closing quote", "3: 5" }, records 'a\n"x"y\n5\n')
    assert.same({ "1: a", "2: 1", "3:  !a quote is not closed" }, records 'a\n1\n"2\n3')
  end)

  it("is read as JSON, each object by itself", function()
    local function read(text, how)
      local found, problem = json[how](text)
      local out = {}
      for i, record in ipairs(found or {}) do
        out[i] = record.line .. ": " .. (record.problem and "!" or tostring(record.fields.a))
      end
      return table.concat(out, " ") .. (problem and " " .. problem or "")
    end
    assert.equal("1: 1 2: x,]}\"{ 5: nil", read('[{"a":"1"},\n{"a":"x,]}\\"{"},\n\n\n{"a":null}]', "array"))
    assert.equal("1: 1 2: ! 3: ! 4: 2", read('[{"a":"1"},\n{"a":},\n[1],\n{"a":"2"}]', "array"))
    assert.matches("not closed", read('[{"a":1}', "array"))
    assert.matches("behind the list's end", read('[{"a":1}] x', "array"))
    assert.equal("", read("[ ]", "array"))
    assert.equal("1: 1 2: ! 4: 2", read('{"a":"1"}\n{"a"\n\n{"a":"2"}\r\n', "lines"))
    assert.equal("1: 1", read('{\n"a":"1"}\n', "lines"))
  end)

  it("says what is wrong with all of it", function()
    local function problem(text) return select(2, rows.read(text)) or "" end
    assert.matches("did you mean prompt", problem "taskId,promt\n1,2\n")
    assert.matches("there are taskId, prompt", problem "taskId,colour\n1,2\n")
    assert.matches("twice", problem "taskId,taskId\n1,2\n")
    assert.matches("UTF%-8", problem "\255\254t\0a\0")
    assert.matches("empty", problem " \n")
    assert.matches("no rows", problem "taskId,prompt\n")
    assert.equal("", problem "\239\187\191taskId,prompt\n1,2\n")
    local read = rows.read 'taskId,seeds,enableTranslation,imageUrls\nt,12345,FALSE,"http://a\nhttp://b"\nt,x,,\n'
    assert.same({ taskId = "t", seeds = 12345, enableTranslation = false, imageUrls = { "http://a", "http://b" } },
      read[1].fields)
    assert.same({ taskId = "t", seeds = "x" }, read[2].fields)
  end)

  it("may have each field of extend and generate", function()
    local known = { operation = true, key = true, output = true }
    for _, operation in ipairs { "extend", "generate" } do
      for _, rule in ipairs(wire.veo.operations[operation].fields) do known[rule.name] = true end
    end
    for _, name in ipairs(rows.COLUMNS) do
      assert.is_true(known[name], name)
      known[name] = nil
    end
    assert.same({}, known)
  end)

  describe("row by row", function()
    local client
    before_each(function() client = veo.new { api_key = "spec-key-0123456789", base_url = "http://127.0.0.1:1" } end)
    after_each(function() client:close() end)

    -- Problem, key, output of each row.
    local function checked(text, output)
      local out = {}
      for i, row in ipairs(rows.check(client, assert(rows.read(text)), output)) do
        out[i] = row.problem or row.key .. " " .. row.output
      end
      return out
    end

    it("gets a key that follows from what it asks for, wherever it stands and however it is spelt", function()
      local one = checked "taskId,prompt\nt,a\nt,b\n"
      local two = checked '[{"prompt":"b","taskId":"t","model":"fast","output":"x.mp4"},{"taskId":"t","prompt":"a"}]'
      assert.equal(one[1], two[2])
      assert.equal(one[2]:match("^%S+"), two[1]:match("^%S+"))
      assert.is_true(one[1] ~= one[2])
      assert.matches("^row%-%x+ {taskId}.mp4$", one[1])
      assert.matches(" renders/{taskId}.mp4$", checked("taskId,prompt\nt,a\n", "renders/")[1])
      assert.matches(" a%.mp4$", checked("taskId,prompt,output\nt,a,a.mp4\n", "renders/")[1])
    end)

    it("that asks for the same as another one needs a key", function()
      assert.matches("same as line 2: give this one alone a key", checked("taskId,prompt\nt,a\nt,a\n")[2])
      local list = checked "taskId,prompt,key\nt,a,one\nt,a,two\nt,a,\nt,b,one\n"
      assert.same({ "one {taskId}.mp4", "two {taskId}.mp4" }, { list[1], list[2] })
      assert.matches("^row%-", list[3])
      assert.equal("the key one is that of line 2 too", list[4])
    end)

    it("has a file of its own, however its name is spelt", function()
      local folder = helper.folder()
      assert(os.execute(("mkdir %s/real && ln -s real %s/link"):format(folder, folder)))
      local text = "taskId,prompt,output\nt,0,F/real/a.mp4\n"
      for i, path in ipairs { "F/real/a.mp4", "F/real/./a.mp4", "F/real/new/../a.mp4", "F/link/a.mp4",
        "F/real/b.mp4" } do
        text = text .. ("t,%d,%s\n"):format(i, path)
      end
      local list = checked((text:gsub("F/", folder .. "/")))
      for i = 2, 5 do assert.equal(("line 2 has the output %s/real/a.mp4 too"):format(folder), list[i]) end
      assert.matches("^row%-%x+ .*/b.mp4$", list[6])
      helper.sweep()
    end)

    it("is refused as its order would be, and says which column", function()
      local list = checked("taskId,prompt,seeds,operation,output\nt,,,,\nt,a,5,,\nt,a,x,,\n,a,,generate,\n"
        .. "t,a,,generate,\nt,a,,make,\nt,a,,,{colour}.mp4\nt,a,,,{day}.mp4\nt\n")
      for i, pattern in ipairs { "prompt: given nothing", "seeds: given 5", "seeds: given the string", "^row%-",
        "generate has no field taskId", "operation: ", "unknown field {colour}", "needs {taskId}", "it has 1 field" } do
        assert.matches(pattern, list[i])
      end
      assert.matches("did you mean seeds", checked('{"taskId":"t","prompt":"a","seed":1}\n')[1])
      assert.matches("key: a text", checked('{"taskId":"t","prompt":"a","key":1}\n')[1])
    end)
  end)
end)

describe("a batch's plan", function()
  local folder, orders, client, real
  before_each(function()
    folder, orders = helper.folder(), {}
    real = veo.new { api_key = "spec-key-0123456789", base_url = "http://127.0.0.1:1" }
    -- The ledger's orders by their keys; one that is an error is why the ledger cannot be read.
    client = { check_path = function(_, ...) return real:check_path(...) end, tasks = function(_, filter)
      local found = orders[filter.key] or {}
      if found.code then return nil, found end
      return found
    end }
  end)
  after_each(function()
    real:close()
    helper.sweep()
  end)

  local function row(key, fields)
    local out = { line = 2, operation = "extend", params = { prompt = "row's" }, key = key, own_key = key, price = 60,
      output = folder .. "/" .. key .. ".mp4" }
    for name, value in pairs(fields or {}) do out[name] = value or nil end
    if fields and fields.own_key == false then out.own_key = nil end
    return out
  end
  local function order(state, fields)
    local out = { state = state, api = "veo", params = { prompt = "ledger's" }, price = 60 }
    for name, value in pairs(fields or {}) do out[name] = value end
    return out
  end
  local function planned(list, args) return plans.plan(client, list, args or {}) end

  it("orders again what was refused or lost, within --max-credits", function()
    orders.a, orders.b = { order "refused" }, { order "lost" }
    orders.c = { order("saved", { consumed = 55 }), order "refused" }
    local list = { row "a", row "b", row "c" }
    local plan = planned(list, { max_credits = 115 })
    assert.same({ 1, 1, 60, 55 }, { plan.before, plan.new, plan.price, plan.spent })
    assert.same({ false, true, false }, { list[1].over or false, list[2].over or false, list[3].over or false })
    assert.equal("saved", list[3].record.state)
  end)

  it("goes on with the last repeat of a row that failed, and makes another one only when that is asked for", function()
    orders.a, orders["a (repeat 1)"] = { order "failed" }, { order("failed", { consumed = 10 }) }
    for _, again in ipairs { false, true } do
      local one = row "a"
      local plan = planned({ one }, { repeat_failed = again })
      assert.equal(again and "a (repeat 2)" or "a (repeat 1)", one.key)
      assert.same({ again and 1 or 0, 70 }, { plan.new, plan.spent })
    end
    orders["a (repeat 2)"] = { order "saved" }
    local one = row "a"
    local plan = planned({ one }, { repeat_failed = true })
    assert.same({ 1, 130, "a (repeat 2)" }, { plan.before, plan.spent, one.key })
  end)

  it("orders nothing when the ledger cannot be read", function()
    local function assert_ends()
      for _, again in ipairs { false, true } do
        local plan, why = planned({ row "a" }, { repeat_failed = again })
        assert.same({ nil, "ledger" }, { plan, why and why.code })
      end
    end
    local err = { code = "ledger" }
    orders.a = err
    assert_ends()
    orders.a, orders["a (repeat 1)"] = { order "failed" }, err
    assert_ends()
  end)

  it("takes an order's own parameters for what a row asks for otherwise, not for what has another key", function()
    for i, case in ipairs { { "ledger's", "veo", false }, { "row's", "veo", "a" }, { "row's", "jobs", false },
      { "row's", "veo", false, {} } } do
      orders.a = { order("saved", { api = case[2], params = case[4] }) }
      local one = row("a", { own_key = case[3] })
      planned { one, row("b", { own_key = false }) }
      assert.equal(case[1], one.params.prompt, i)
    end
  end)

  it("counts neither what cannot be saved nor what --max-credits leaves no room for", function()
    helper.write(folder .. "/mine.mp4", "mine")
    local mine = { output = folder .. "/mine.mp4" }
    local list = { row("a", mine), row "b", row("c", { price = false }), row("d", { problem = "bad" }) }
    orders.d = { order "saved" }
    local plan = planned(list)
    assert.equal(0, plan.before)
    assert.same({ 2, 60, 1 }, { plan.new, plan.price, plan.unpriced })
    assert.matches("exists", list[1].problem)
    list = { row("a", mine), row("b", { price = false }), row "c", row "e" }
    plan = planned(list, { force = true, max_credits = 120 })
    assert.same({ 2, 120, 0 }, { plan.new, plan.price, plan.unpriced })
    assert.matches("not known", list[2].problem)
    assert.is_nil(list[1].problem)
    assert.is_true(list[4].over)
  end)

  it("makes no folder whose name follows from the task", function()
    planned { row("a", { output = folder .. "/{taskId}/x.mp4" }), row("b", { output = folder .. "/b/{taskId}.mp4" }) }
    assert.same({ "b" }, helper.list(folder))
  end)
end)

describe("a batch's row that is not saved", function()
  local failed = row_orders.failed

  it("says whether money may have gone, and whether its task goes on", function()
    for i, case in ipairs {
      { "failed 4", { taskId = "t" }, { code = "failed" } },
      { "running 3", { taskId = "t" }, { code = "timeout" } },
      { "running 3", { taskId = "t" }, { code = "cancelled" } },
      { "running 3", { taskId = "t" }, { code = "closed" } },
      { "running 3", { taskId = "t" }, { code = "network" } },
      { "running 3", { taskId = "t" }, { code = "server" } },
      { "running 3", {}, { code = "uncertain", charged = "yes", taskId = "t" } },
      { "running 3", { record = { taskId = "t" } }, { code = "timeout" } },
      { "not saved 3", { taskId = "t", state = "saving" }, { code = "cancelled" } },
      { "not saved 3", { taskId = "t", state = "succeeded" }, { code = "network" } },
      { "not saved 3", { taskId = "t" }, { code = "io" } },
      { "not saved 3", { taskId = "t" }, { code = "job_failed" } },
      { "uncertain 3", { taskId = "t" }, { code = "uncertain" } },
      { "uncertain 3", {}, { code = "uncertain" } },
      { "uncertain 3", {}, { code = "closed", charged = "maybe" } },
      { "uncertain 3", {}, { code = "job_failed" } },
      { "not ordered 130", {}, { code = "cancelled" } },
      { "not ordered 130", {}, { code = "closed" } },
      { "refused 1", {}, { code = "invalid" } },
      { "refused 1", {}, { code = "missing" } },
      { "refused 2", {}, { code = "insufficient_credits", taskId = "another order's" } },
    } do
      case[3].message = "why"
      local out = failed(case[2], case[3])
      assert.equal(case[1], out.state .. " " .. out.exit, i)
      assert.equal(not case[1]:find "^refused" and (case[2].taskId or case[2].record and "t" or case[3].taskId) or nil,
        out.taskId, i)
      assert.equal(case[3].code == "cancelled" and "interrupted" or "why", out.problem, i)
    end
  end)

  it("names what is to be settled where that is not known", function()
    for _, place in ipairs { { ref = "abc" }, {} } do
      local out = failed(place, { code = "uncertain", message = "why", ref = not place.ref and "abc" or nil })
      assert.matches("why; find out, then: veo settle abc TASK", out.problem)
      assert.equal("abc", out.ref)
    end
    assert.equal("why", failed({ ref = "abc" }, { code = "invalid", message = "why" }).problem)
  end)

  it("stops the others where none of them can be ordered, and not where it was ordered itself", function()
    for _, code in ipairs { "insufficient_credits", "unauthorized", "forbidden", "key_limit", "disabled", "ledger",
      "network" } do
      local err = { code = code, message = "why" }
      assert.is_true(row_orders.halts(failed({}, err)), code)
      assert.is_false(row_orders.halts(failed({ taskId = "t" }, err)), code)
    end
    assert.is_false(row_orders.halts(failed({}, { code = "invalid", message = "why" })))
    assert.is_false(row_orders.halts(row_orders.left({}, "why", 130)))
  end)

  it("is what the ledger says, when it was not begun", function()
    for state, told in pairs { saved = "saved before 0", failed = "failed 4", uncertain = "uncertain 3",
      accepted = "running 3", done = "running 3" } do
      local out = row_orders.left({ record = { state = state, taskId = "t", ref = "abc" } }, "why", 130)
      assert.same({ told, "t", "abc", true, "why" }, { out.state .. " " .. out.exit, out.taskId, out.ref, out.unbegun,
        out.problem })
      assert.equal(state ~= "saved" and "why" or nil, out.error and out.error.message)
    end
    local out = row_orders.left({}, "why", 130)
    assert.same({ "not ordered", 130, "why" }, { out.state, out.exit, out.error.message })
  end)
end)

describe("veo batch", function()
  local sim, folder

  setup(function()
    sim = simulator.start { speed = 1000, rate = false, own_bytes = true }
    folder = helper.folder()
    helper.write(folder .. "/veo", 'require "veo.main"\n')
  end)
  teardown(function()
    sim:stop()
    helper.sweep()
  end)
  before_each(function()
    sim:reset()
    os.execute("rm -rf " .. folder .. "/out " .. folder .. "/*.db*")
  end)

  local function quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

  local function command(...)
    local words = { "env KIE_API_KEY=" .. sim.api_key, "KIE_BASE_URL=" .. sim.url, helper.lua(), folder .. "/veo",
      "batch", folder .. "/rows", "--ledger", folder .. "/l.db", "--interval", "0.2" }
    for _, word in ipairs { ... } do words[#words + 1] = quote(word) end
    return table.concat(words, " ")
  end

  -- Exit code, standard output, standard error.
  local function shell(text)
    local code = helper.output(("{ %s; } >%s/stdout 2>%s/stderr; echo $?"):format(text, folder, folder))
    return tonumber(code), helper.read(folder .. "/stdout"), helper.read(folder .. "/stderr")
  end

  local function batch(...) return shell(command(...) .. " </dev/null") end

  -- A CSV of orders; `more` goes into the prompt.
  local function write_rows(n, more)
    local lines = { "taskId,prompt,output" }
    for i = 1, n do
      lines[#lines + 1] = ('%s,"shot %d. %s",%s/out/%d.mp4'):format(sim.source, i, more or "", folder, i)
    end
    helper.write(folder .. "/rows", table.concat(lines, "\n"))
  end

  local function they(name, fn)
    it(name, function()
      if not pcall(require, "dbd.sqlite3") then return pending "no LuaDBI here" end
      fn()
    end)
  end

  -- Each file is its own order's, and whole.
  local function check_files(n)
    local by_prompt = {}
    for _, task in ipairs(sim:tasks()) do by_prompt[task.prompt or ""] = task.taskId end
    for i = 1, n do
      local bytes = helper.read(("%s/out/%d.mp4"):format(folder, i))
      local clip = helper.read "lua/veo/simulator/clips/hop1.mp4"
      assert.is_true(bytes ~= nil and bytes:sub(1, #clip) == clip, i)
      local found
      for prompt, taskId in pairs(by_prompt) do
        if prompt:find(("^shot %d%%."):format(i)) then found = taskId end
      end
      assert.is_truthy(bytes:find(found, #clip, true), i)
      assert.is_truthy(helper.boxes(bytes))
    end
  end

  they("orders, waits and saves, and does nothing twice", function()
    write_rows(5)
    local code, out, err = batch()
    assert.equal(0, code, err)
    assert.equal(5, select(2, out:gsub("[^\n]*/out/%d%.mp4\n", "")))
    assert.matches("5 rows to order: 300 credits; the account has 10000", err)
    assert.matches("5 saved; 300 credits, 9700 credits left", err)
    check_files(5)
    local posts, gets = sim:count("POST", helper.EXTEND), #sim:requests { endpoint = "media" }
    code, out, err = batch()
    assert.equal(0, code, err)
    assert.equal(5, select(2, out:gsub("\n", "")))
    assert.matches("0 rows to order, 5 ordered before", err)
    assert.matches("5 saved before", err)
    assert.same({ 5, posts, gets }, { posts, sim:count("POST", helper.EXTEND), #sim:requests { endpoint = "media" } })
    -- Neither a default that is spelt out nor a callback makes another order.
    helper.write(folder .. "/rows", ("taskId,prompt,model,callBackUrl\n%s,shot 1. ,fast,http://127.0.0.1:1/\n"):format(
      sim.source))
    code, out, err = batch("-o", folder .. "/out/{taskId}.mp4")
    assert.equal(0, code, out .. err)
    assert.matches("1 ordered before", err)
    assert.equal(posts, sim:count("POST", helper.EXTEND))
  end)

  they("killed again and again, pays once for each row and saves each whole", function()
    local n = 10
    write_rows(n, "[sim render=700]")
    for _, charges in ipairs { 1, 3, 6, 8 } do
      local pid = helper.output(("sh -c %s >/dev/null 2>&1 & echo $!"):format(quote("exec " .. command("--jobs", "4")
        .. " </dev/null"))):match "%d+"
      for _ = 1, 3000 do
        if select(2, ledgers.charged(sim)) >= charges then break end
        os.execute "sleep 0.02"
      end
      os.execute("kill -9 " .. pid)
    end
    local code, out, err = batch()
    -- A kill between an order and its answer leaves it to a person, who looks at the service's list.
    local open = ledgers.query(folder .. "/l.db", "SELECT ref, body FROM veo_tasks WHERE state = 'uncertain'")
    for _, row in ipairs(open) do
      assert.equal(3, code)
      assert.is_truthy(err:find("veo settle " .. row.ref, 1, true), err)
      local word = "lost"
      for _, task in ipairs(sim:tasks()) do
        if task.prompt == cjson.decode(row.body).prompt then word = task.taskId end
      end
      assert.equal(0, (shell(command():gsub("batch.*", "settle ") .. row.ref .. " " .. word .. " --ledger " .. folder
        .. "/l.db")))
      code, out, err = batch()
    end
    assert.equal(0, code, out .. err)
    local tasks, charges, twice = ledgers.charged(sim)
    assert.same({ n, n, 0 }, { tasks, charges, twice })
    check_files(n)
  end)

  they("names bad rows by their lines before anything is ordered, and does the others", function()
    helper.write(folder .. "/rows", "taskId,prompt,seeds\n" .. sim.source .. ',"a\nb",\n' .. sim.source .. ",c,5\n"
      .. sim.source .. ",d,\n" .. sim.source .. ",d,\n")
    local code, out, err = batch("-o", folder .. "/out/")
    assert.equal(1, code, err)
    assert.equal(2, select(2, out:gsub("\n", "")))
    assert.matches("^line 4: bad: extend: seeds: given 5.-\nline 6: bad: it asks for the same as line 5.-\n"
      .. "batch: 2 rows", err)
    assert.equal(2, sim:count("POST", helper.EXTEND))
    helper.write(folder .. "/rows", "taskId,promt\n1,2\n")
    code, out, err = batch()
    assert.same({ 1, "" }, { code, out })
    assert.matches("did you mean prompt", err)
    assert.equal(2, sim:count("POST", helper.EXTEND))
  end)

  they("orders nothing that cannot be saved", function()
    helper.write(folder .. "/mine.mp4", "mine")
    helper.write(folder .. "/rows", ("taskId,prompt,output\n%s,a,%s/mine.mp4\n%s,b,%s/rows/{taskId}.mp4\n%s,c,\n")
      :format(sim.source, folder, sim.source, folder, sim.source))
    local code, out, err = batch("-o", folder .. "/out/{day}/{key}.mp4")
    assert.equal(1, code, err)
    assert.matches("line 2: bad: output: [^\n]*mine.mp4 exists already.-line 3: bad: output: ", err)
    assert.matches("^[^\n]*/out/%d+%-%d+%-%d+/row%-%x+%.mp4\n$", out)
    assert.same({ 1, "mine" }, { sim:count("POST", helper.EXTEND), helper.read(folder .. "/mine.mp4") })
    code, out, err = batch("-o", folder .. "/one.mp4")
    assert.same({ 1, "" }, { code, out })
    assert.matches("%-o [^\n]*/one.mp4: the pattern needs {taskId}", err)
  end)

  they("prints an object a row as they end, with --json", function()
    helper.write(folder .. "/rows", ('[{"taskId":"%s","prompt":"a [sim render=900]"},\n{"taskId":"%s","prompt":"b"},\n'
      .. '{"taskId":"%s"},{"taskId":"%s","prompt":"[sim fail=2]"},{"taskId":"%s","prompt":"[sim code=400]"}]')
      :gsub("%%s", sim.source))
    local code, out, err = batch("--json", "-o", folder .. "/out/{key}.mp4")
    assert.equal(4, code, err)
    local by_line, order = {}, {}
    for line in out:gmatch("[^\n]+") do
      local told = cjson.decode(line)
      by_line[#order + 1], order[#order + 1] = told, told.state
    end
    assert.equal(5, #order)
    assert.equal("bad", order[1])
    assert.equal("saved", order[5]) -- the slowest
    assert.same({ true, 0, 1 }, { by_line[5].ok, by_line[5].exit, by_line[5].line })
    table.sort(order)
    assert.same({ "bad", "failed", "refused", "saved", "saved" }, order)
    assert.is_truthy(helper.read(by_line[5].path))
    -- The refused one is ordered again, the failed one only when that is asked for.
    local posts = sim:count("POST", helper.EXTEND)
    batch("--json", "-o", folder .. "/out/{key}.mp4")
    assert.equal(posts + 1, sim:count("POST", helper.EXTEND))
    batch("--repeat-failed", "-o", folder .. "/out/{key}.mp4")
    assert.equal(posts + 3, sim:count("POST", helper.EXTEND))
    batch("-o", folder .. "/out/{key}.mp4") -- the second task of the row is looked at
    assert.equal(posts + 4, sim:count("POST", helper.EXTEND))
  end)

  they("orders a failed row again under a name that is no other row's key", function()
    local function row(prompt, key) return ("%s,%s,%s\n"):format(sim.source, prompt, key) end
    local first = "taskId,prompt,key\n" .. row("[sim:status flag=3 times=1] scene", "scene")
    helper.write(folder .. "/rows", first)
    assert.equal(4, (batch("-o", folder .. "/out/{key}.mp4")))
    helper.write(folder .. "/rows", first .. row("another scene", "scene.2"))
    local code, out, err = batch("--repeat-failed", "-o", folder .. "/out/{key}.mp4")
    assert.is_nil(err:find("refused", 1, true), err)
    assert.equal(3, sim:count("POST", helper.EXTEND))
    assert.is_truthy(helper.read(folder .. "/out/scene.2.mp4"), code .. out)
  end)

  they("names its ledger where it says how an order without an answer is settled", function()
    write_rows(1, "[sim code=500 times=1]")
    local code, _, err = batch()
    assert.equal(3, code, err)
    local ledger = " --ledger " .. folder .. "/l.db"
    assert.is_truthy(err:match("veo settle %x+ TASK(.-)   %(or lost%)") == ledger, err)
    local function run(verb)
      local line = command():gsub("'?batch'? .*", verb .. ledger)
      return shell(line)
    end
    code, _, err = run "watch"
    assert.is_truthy(err:find("see veo settle" .. ledger, 1, true), code .. err)
    local _, out = run "doctor"
    assert.is_truthy(out:find("--state uncertain" .. ledger .. "`", 1, true), out)
    assert.is_truthy(out:find("settle REF TASK" .. ledger .. "`", 1, true), out)
  end)

  they("keeps to its credits over all runs, and orders nothing on a dry run", function()
    write_rows(4)
    local code, out, err = batch("--dry-run")
    assert.same({ 0, "" }, { code, out }, err)
    assert.matches("4 rows to order: 240 credits", err)
    assert.equal(0, sim:count("POST", helper.EXTEND))
    for _ = 1, 2 do
      code, out, err = batch("--max-credits", "150")
      assert.equal(2, code, out .. err)
      assert.matches("line 4: not ordered: its 60 credits would pass %-%-max%-credits 150", err)
      assert.equal(2, sim:count("POST", helper.EXTEND))
    end
    assert.equal(0, (batch("--max-credits", "240")))
    assert.equal(4, sim:count("POST", helper.EXTEND))
  end)

  they("ends at Ctrl-C without losing an order, and says how to go on", function()
    write_rows(6, "[sim delay=1]")
    local code, _, err = shell(([[%s </dev/null & pid=$!
      n=0; until grep -q 'to order' %s/stderr || [ $n -gt 500 ]; do n=$((n + 1)); sleep 0.01; done
      sleep 0.3; kill -INT $pid; wait $pid]]):format(command("--jobs", "2"), folder))
    assert.equal(3, code, err)
    assert.matches("stopping", err)
    assert.matches("2 running, 4 not ordered", err)
    assert.is_truthy(err:find("to go on: veo batch " .. folder .. "/rows --ledger ", 1, true), err)
    assert.equal("accepted accepted", ledgers.states(folder .. "/l.db"))
    code, _, err = batch()
    assert.equal(0, code, err)
    assert.equal(6, select(2, ledgers.charged(sim)))
    check_files(6)
  end)

  they("shows a line an order on a terminal, and what has ended above", function()
    if helper.output "command -v script" == "" then return pending "needs script" end
    write_rows(3, "[sim render=900]")
    local shown = helper.output(("TERM=xterm script -qec %s /dev/null </dev/null"):format(quote(command())))
    assert.is_truthy(shown:find("    3  generating     0:0%d  [^\r\n]*/out/2.mp4[\r\n]"), shown)
    assert.is_truthy(shown:find("0 of 3 ended after 0:0%d, 9820 credits left"), shown)
    assert.is_truthy(shown:find("line 3: saved after 0:0%d: [^\r\n]*/out/2.mp4 %(13.7 kB%)[\r\n]"), shown)
    assert.is_nil(shown:find("internal error", 1, true), shown)
    check_files(3)
  end)

  they("orders nothing more once nothing can be ordered", function()
    write_rows(5)
    sim:credits(120)
    local code, _, err = batch("--jobs", "1")
    assert.equal(2, code, err)
    assert.matches("2 saved, 1 refused, 2 not ordered", err)
    assert.equal(3, sim:count("POST", helper.EXTEND))
  end)

  they("reads standard input, and generates where a row says so", function()
    helper.write(folder .. "/rows", '{"prompt":"a cat","operation":"generate","duration":8}\n')
    local code, out, err = shell((command("-o", folder .. "/out/"):gsub("batch %S+", "batch -")) .. " <" .. folder
      .. "/rows")
    assert.equal(0, code, err)
    assert.matches("/out/%x+%.mp4\n$", out)
    assert.same({ prompt = "a cat", duration = 8 }, sim:requests { endpoint = "generate" }[1].json)
    helper.output(("cd %s; rm rows; mkfifo rows"):format(folder)) -- nobody would write into it
    code, out, err = batch()
    assert.equal(1, code, out .. err)
    assert.matches("rows is not a regular file", err)
  end)
end)
