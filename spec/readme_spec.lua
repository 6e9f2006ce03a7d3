--- The README tells the truth: every error code, option and method stands in it, what it and docs/ name exists, and
--- each of their blocks runs.

local errors = require "veo.errors"
local helper = require "spec.support.helper"
local options = require "veo.client.options"
local pages = require "spec.support.pages"
local simulators = require "veo.simulator"
local veo = require "veo"

-- What a page's blocks have saved when all have run.
local SAVED = {
  ["README.md"] = "boat night storm dawn rain fog turn long off off-night off-night-1080p",
  ["docs/command.md"] = "turned gulls night fog films/storm films/land",
  ["docs/downloads.md"] = "pieces",
  ["docs/hosts.md"] = "turn",
  ["docs/ledger.md"] = "renders/shot-12 long hop1 hop2",
  ["docs/service.md"] = "boat-1080p boat-4k",
  ["docs/simulator.md"] = "tested",
}

describe("the README", function()
  local text, shown = helper.read "README.md", {}
  for _, name in ipairs(pages.names()) do shown[name] = helper.read(name) end

  it("names every error code, as the table has it", function()
    for code, class in pairs(errors.codes) do
      local row = ("| `%s` | %s | %s | %s |"):format(code, class.summary, class.next, class.charged)
      assert.is_truthy(text:find(row, 1, true), "not in the README: " .. row)
    end
  end)

  it("names every option of veo.new", function()
    local names = { "retry", "rate", "wait", "download", "upgrade", "upload" }
    for name in pairs(options.new) do names[#names + 1] = name end
    for _, name in ipairs(names) do
      assert.is_truthy(text:find("`" .. name .. "`", 1, true) or text:find("`" .. name .. " ", 1, true),
        "not in the README: " .. name)
    end
  end)

  it("states the defaults", function()
    for _, group in ipairs { "rate", "wait", "download", "upgrade", "upload" } do
      for name, value in pairs(options.defaults[group]) do
        assert.is_truthy(text:find(name .. " = " .. tostring(value), 1, true), group .. "." .. name)
      end
    end
  end)

  it("names every parameter of an order, its known values, and the prices", function()
    local operations = require("veo.wire.veo").operations
    for _, operation in ipairs { "extend", "generate" } do
      for _, field in ipairs(operations[operation].fields) do
        assert.is_truthy(text:find("`" .. field.name .. "`", 1, true), field.name)
        for _, value in ipairs(field.known or {}) do
          assert.is_truthy(text:find("%f[%w]" .. value .. "%f[%W]"), field.name .. ": " .. value)
        end
      end
    end
    for model, price in pairs(veo.prices.extend) do
      assert.is_truthy(model == "default" or text:find(price .. " %(`" .. model .. "`%)")
        or text:find(price .. " credits (`" .. model .. "`)", 1, true), model)
    end
    assert.is_truthy(text:find(veo.prices.as_of, 1, true))
  end)

  it("names every method of the client", function()
    local client = veo.new { api_key = "not-a-real-key" }
    for name, value in pairs(getmetatable(client).__index) do
      if type(value) == "function" and name:sub(1, 1) ~= "_" then
        local word = "%f[%w_]" .. name .. "%f[^%w_]"
        assert.is_truthy(text:find(word) or shown["docs/upgrading.md"]:find(word), "not in the README: " .. name)
      end
    end
    client:close()
  end)

  it("says what each old name says", function()
    local client = veo.new { api_key = "not-a-real-key" }
    local methods, count = getmetatable(client).__index, 0
    local old = shown["docs/upgrading.md"]
    for name, said in old:gmatch "\n| `client:([%w_]+)%([^|]*%)` | (is gone: [^|]*) |" do
      count = count + 1
      local ok, message = pcall(methods[name], client)
      assert.is_false(ok)
      assert.is_truthy(tostring(message):find(name .. ": " .. said:gsub(" +$", ""), 1, true), message)
    end
    client:close()
    assert.equal(8, count)
    assert.is_truthy(old:find(select(2, pcall(require, "veo.money")):match "veo.money: (.*)$", 1, true))
  end)

  -- What may be nil stands in assert(…), or is one call; and no old name is left.
  it("and the examples show no call that breaks at the first error", function()
    local read = {}
    for name, page in pairs(shown) do
      if name ~= "CHANGELOG.md" and name ~= "docs/upgrading.md" then read[name] = page end
    end
    for name in helper.output("find examples -name '*.lua'"):gmatch "%S+" do read[name] = helper.read(name) end
    for name, code in pairs(read) do
      for _, call in ipairs { "extend", "generate", "wait", "save", "upgrade", "status", "download", "chain" } do
        for _, arguments in ipairs { "%b()", "%s*%b{}", '%s*%b""' } do
          assert.is_nil(code:match("[:.]" .. call .. arguments .. ":%w+"), name)
        end
      end
      for _, old in ipairs { "extend_and_wait", "client:get_", "client:pollfd", "client:events", "client:timeout",
        "client:warm", "poll%(client%)" } do
        assert.is_nil(code:find(old), name .. " has " .. old)
      end
    end
  end)

  it("names only files that are there", function()
    local specs = helper.output "find spec -name '*_spec.lua'"
    for name, page in pairs(shown) do
      if name ~= "CHANGELOG.md" then
        for path in page:gmatch "%f[%w](examples/[%w_/.]*[%w])" do
          assert.is_truthy(require("veo.core").kind(path), name .. ": " .. path)
        end
        for path in page:gmatch "`(spec/[%w_/]+%.lua)" do
          assert.is_truthy(require("veo.core").kind(path), name .. ": " .. path)
        end
        for spec in page:gmatch "`([%w_]+_spec)`" do
          assert.is_truthy(specs:find("/" .. spec .. ".lua", 1, true), name .. ": " .. spec)
        end
      end
    end
  end)

  it("takes five minutes before its reference", function()
    local front = text:match "^(.-)\n## Reference\n"
    local _, words = front:gsub("%S+", "")
    assert.is_true(words <= 1500, words .. " words before the reference")
    assert.is_truthy(front:find "\n%*%*Contents%*%*\n")
    for _, block in ipairs(pages.blocks(front)) do
      local lines = select(2, ("\n" .. block.code):gsub("\n%s*[^%s-]", ""))
      assert.is_true(lines <= 10, lines .. " lines:\n" .. block.code)
    end
  end)

  it("and its pages have links and pictures that lead somewhere", function()
    local count = 0
    for name, page in pairs(shown) do
      local folder = name:match "^(.*/)" or ""
      for target in pages.prose(page):gmatch "%]%(([^)%s]+)%)" do
        local path, anchor = target:match "^([^#]*)#?(.*)$"
        if not path:find "^https://" then
          local there = path == "" and page or helper.read((folder .. path):gsub("[^/]+/%.%./", ""))
          assert.is_truthy(there, name .. ": " .. target)
          assert.is_true(anchor == "" or pages.anchors(there)[anchor] ~= nil, name .. ": " .. target)
          count = count + 1
        end
      end
    end
    assert.is_true(count > 50)
  end)

  it("links every page of docs/", function()
    for name in pairs(shown) do
      assert.is_truthy(name == "README.md" or text:find("](" .. name, 1, true), name)
    end
  end)

  it("has small pictures", function()
    local bytes = 0
    for path in text:gmatch "!%[[^%]]+%]%(([^)]+)%)" do
      local content = helper.read(path)
      assert.is_true(#content > 2000, path .. " shows nothing")
      bytes = bytes + #content
    end
    assert.is_true(bytes > 0 and bytes <= 200 * 1024, bytes .. " bytes of pictures")
  end)

  it("and its pages name only functions that exist", function()
    local client = veo.new { api_key = "not-a-real-key" }
    local sim = simulators.start {}
    finally(function()
      client:close()
      sim:stop()
    end)
    local objects = { veo = veo, client = client, task = client:task "t", status = client:task "t", sim = sim,
      job = client:spawn(function() end), ["client.loop"] = client.loop }
    local count = 0
    for name, page in pairs(shown) do
      if name ~= "docs/upgrading.md" and name ~= "CHANGELOG.md" then
        for object, member in page:gmatch "%f[%w_.]([%l.]+)[.:]([%a_]+)%s*[%({]" do
          if objects[object] then
            assert.is_truthy(objects[object][member], name .. ": " .. object .. ":" .. member)
            count = count + 1
          end
        end
      end
    end
    assert.is_true(count > 100)
  end)

  it("and its pages name only commands and options of the command that exist", function()
    local helps = {}
    local function help(command)
      helps[command] = helps[command] or helper.output(("%s lua/veo/main.lua %s --help; echo status $?"):format(
        helper.lua(), command))
      return helps[command]
    end
    for name, page in pairs(shown) do
      for quoted in (name == "CHANGELOG.md" and "" or page):gmatch "`(veo %l[^`\n]*)`" do
        local said = help(quoted:match "^veo (%l+)")
        assert.is_truthy(said:find "status 0\n$", name .. ": " .. quoted)
        for option in quoted:gmatch " (%-%-?%l[%l-]*)" do
          assert.is_truthy(said:find("%f[%S]" .. option:gsub("%-", "%%-") .. "%f[%s,]"), name .. ": " .. quoted)
        end
      end
    end
  end)

  it("and its pages name only options that exist", function()
    local known = { already = true, ambiguous = true, pause = true, every = true }
    local function learn(kinds)
      for name, value in pairs(kinds) do
        known[name] = true
        if type(value) == "table" and not value.test then learn(value) end
      end
    end
    learn(options)
    learn(require("veo.policy.retry").defaults)
    learn(require("veo.simulator.effects").known)
    for word in ("open as_of day client extend generate url new_model"):gmatch "%S+" do known[word] = true end
    for name, page in pairs(shown) do
      for quoted in (name == "CHANGELOG.md" and "" or pages.prose(page)):gmatch "`([^`\n]+)`" do
        for option in quoted:gmatch "%f[%w_.]([%l_]+) = " do
          assert.is_true(known[option] ~= nil, name .. ": " .. quoted)
        end
      end
    end
  end)

  it("tells callbacks apart as its page says", function()
    local sim = simulators.start { speed = 3000, webhook_key = "whsec-example" }
    local reader = pages.reader(sim)
    finally(function()
      sim:stop()
      helper.sweep()
    end)
    for _, block in ipairs(pages.blocks(shown["docs/callbacks.md"])) do reader:type(block) end
    reader.program = reader.program .. ([[
      local now = os.time()
      local signed = { ["X-Webhook-Timestamp"] = tostring(now),
        ["X-Webhook-Signature"] = require("veo.simulator.callbacks").signature("whsec-example", "%s", now) }
      local body = '{"code":200,"data":{"taskId":"%s"}}'
      assert(handle(signed, body, "/veo") == 200)
      assert(handle({}, body, "/veo") == 401)]]):format(sim.source, sim.source)
    reader:flush()
  end)

  -- A page is a session: what one block leaves behind, the next one finds.
  for _, name in ipairs(pages.names()) do
    local blocks = pages.blocks(helper.read(name))
    if #blocks > 0 then
      it("runs every block of " .. name, function()
        local sim, typed = simulators.start { speed = 3000, rate = false }, {}
        local reader = pages.reader(sim)
        finally(function()
          sim:stop()
          helper.sweep()
        end)
        helper.write(reader.folder .. "/boat.png", "\137PNG\r\n\26\n")
        for _, block in ipairs(blocks) do
          assert.is_true(block.kind == "lua" or block.kind == "sh", "a block of an unknown kind: " .. block.kind)
          -- Installing is the same whatever Lua runs the specs; only 5.4 is sure to have its headers here.
          local builds = block.kind == "sh" and (block.code:find "%f[%a]make%f[%A]" or block.code:find "%f[%a]cc%f[%A]")
          if _VERSION == "Lua 5.4" or not builds then reader:type(block) end
          typed[#typed + 1] = block.kind == "sh" and block.code or nil
        end
        reader:flush()
        for _, block in ipairs(blocks) do -- a file that nothing runs would be a block that does not run
          local called = block.name and (block.name:match "^(.*)/main.lua$" or block.name)
          assert.is_true(not called or table.concat(typed, "\n"):find(called, 1, true) ~= nil, called)
        end
        for file in (SAVED[name] or ""):gmatch "%S+" do
          local content = helper.read(reader.folder .. "/" .. file .. ".mp4")
          assert.equal("ftyp", content and assert(helper.boxes(content))[1], file)
        end
        assert.is_true(helper.read(reader.folder .. "/demo.mp4") ~= nil or name ~= "README.md" or _VERSION ~= "Lua 5.4")
      end)
    end
  end
end)
