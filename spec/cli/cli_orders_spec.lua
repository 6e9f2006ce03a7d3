-- What the `veo` command orders: prompts from elsewhere, what it costs, and what is ordered in a dry run: nothing.

local cjson = require "cjson"
local command = require "spec.support.command"
local helper = require "spec.support.helper"

describe("the veo command", function()
  local world = command.world { setup = setup, teardown = teardown, before_each = before_each }
  local veo, extend, shell = world.veo, world.extend, world.shell
  local sim, folder

  before_each(function() sim, folder = world.sim, world.folder end)

  local function prompts()
    local list = {}
    for i, request in ipairs(sim:requests { endpoint = "extend" }) do list[i] = request.json.prompt end
    return list
  end

  describe("reads a prompt", function()
    it("from standard input and from a file, less one final newline", function()
      local text = folder .. "/here/prompt.txt"
      helper.write(text, "two\nlines\n\n")
      for _, given in ipairs { "-", "@-" } do
        local code, _, err = shell(("printf 'from %s\\r\\n' | %s"):format(given,
          world.command(extend(given, "--no-wait"))))
        assert.equal(0, code, err)
      end
      assert.equal(0, (veo(extend("@prompt.txt", "--no-wait"))))
      assert.equal(0, (veo(extend("@" .. text, "--no-wait", "--on-duplicate", "allow"))))
      assert.equal(0, (veo(extend("@@home", "--no-wait"))))
      assert.equal(0, (shell("echo piped | " .. world.command(extend("@/dev/stdin", "--no-wait")))))
      assert.same({ "from -", "from @-", "two\nlines\n", "two\nlines\n", "@home", "piped" }, prompts())
    end)

    it("for each hop of a chain, and standard input for one of them", function()
      helper.write(folder .. "/here/one", "one\n")
      local code, _, err = shell("echo two | "
        .. world.command { "chain", sim.source, "@one", "-", "--interval", "0.2" })
      assert.equal(0, code, err)
      assert.same({ "one", "two" }, prompts())
      code, _, err = veo { "chain", sim.source, "-", "-" }
      assert.equal(1, code)
      assert.matches("one prompt only", err)
    end)

    it("and orders nothing when it is not to be had", function()
      helper.write(folder .. "/here/empty", "\n")
      helper.output("mkfifo " .. folder .. "/here/pipe")
      local before = #sim:requests()
      for given, said in pairs { ["@none"] = "none: No such file", ["@empty"] = "empty is empty",
        ["-"] = "input is empty", ["@."] = "cannot be read", ["@/dev/zero"] = "longer than 1 MiB",
        ["@"] = "cannot be read", ["@pipe"] = "pipe is not a regular file" } do
        local code, out, err = veo(extend(given))
        assert.same({ 1, "" }, { code, out }, err)
        assert.is_truthy(err:find(said, 1, true), err)
      end
      assert.equal(before, #sim:requests())
    end)
  end)

  describe("with --dry-run", function()
    it("sends nothing, and tells the order, its price and what the ledger knows", function()
      if not command.has_ledger() then return pending("no LuaDBI here") end
      local code, out, err = veo(extend("x", "--dry-run", "--model", "quality", "--seeds", "12345"))
      assert.equal(0, code, err)
      for _, said in ipairs { "would order: extend", "prompt         x", "model          quality",
        "seeds          12345", "price: 250 credits, as listed on ", "knows no such order", "nothing was sent" } do
        assert.is_truthy(out:find(said, 1, true), out)
      end
      local told = cjson.decode((select(2, veo(extend("x", "--dry-run", "--json")))))
      assert.same({ true, 60, true, { taskId = sim.source, prompt = "x" } },
        { told.dry_run, told.price, told.price_known, told.request })
      code, out = veo { "generate", "a cat", "--dry-run" }
      assert.equal(0, code)
      assert.matches("price: not known here", out)
      code, out = veo { "chain", sim.source, "one", "two", "--dry-run" }
      assert.equal(0, code)
      assert.matches("price: 120 credits %(2 times 60%)", out)
      assert.equal(1, (veo(extend("x", "--dry-run", "--seeds", "5"))))
      assert.equal(0, #sim:requests())

      for _, more in ipairs { "--key=k", "--on-duplicate=allow" } do
        local _, id = veo(extend("y", "--no-wait", more))
        if more == "--key=k" then
          code, out = veo(extend("y", "--dry-run", more))
          assert.equal(0, code)
          assert.is_truthy(out:find("price: nothing", 1, true) and out:find(id:match("%S+"), 1, true), out)
        end
      end
      assert.equal(2, sim:count("POST", helper.EXTEND))
      local other, _, why = veo(extend("other", "--dry-run", "--key", "k"))
      assert.equal(1, other)
      assert.matches("belongs to another request", why)
      assert.equal(0, (veo(extend("z", "--dry-run", "--no-ledger"))))
      assert.equal(2, sim:count("POST", helper.EXTEND))
    end)
  end)

  it("tells the price before it is paid", function()
    local code, _, err = veo(extend("[sim code=402]", "--model", "lite"))
    assert.equal(2, code)
    assert.matches("price: 30 credits, as listed on %d%d%d%d%-%d%d%-%d%d\n.*insufficient_credits", err)
    assert.matches("price: not known here", (select(3, veo { "generate", "x", "--no-wait" })))
  end)

  it("orders nothing beyond --max-credits, of a chain nothing at all", function()
    local code, _, err = veo(extend("x", "--max-credits", "59"))
    assert.equal(2, code)
    assert.matches("%-%-max%-credits", err)
    code, _, err = veo { "generate", "x", "--max-credits", "1000" }
    assert.equal(2, code, err)
    assert.matches("price is unknown", err)
    for _, more in ipairs { "--dry-run", "--force" } do
      local exit, _, why = veo { "chain", sim.source, "a", "b", "--max-credits", "119", more }
      assert.equal(2, exit)
      assert.matches("119", why)
    end
    assert.equal(2, (veo(extend("x", "--max-credits", "59", "--dry-run"))))
    assert.equal(1, (veo(extend("x", "--max-credits", "some"))))
    assert.equal(0, #sim:requests())
    assert.equal(0, (veo(extend("x", "--max-credits", "60", "--no-wait"))))
    assert.equal(1, sim:count("POST", helper.EXTEND))
  end)
end)
