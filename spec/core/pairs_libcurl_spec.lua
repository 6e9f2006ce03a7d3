-- A libcurl that fails: each allocation inside it, and each option that is set, in turn, in an exchange of each kind.
-- The exchange ends, and exchanges of all kinds then work in the same client. In child processes, with
-- spec/support/curl_faults.c preloaded. VEO_PAIRS thins it out, as it does pairs_spec.lua.

local child = require "spec.support.pairs.child"
local helper = require "spec.support.helper"
local needs = require "spec.support.needs"
local worlds = require "spec.support.pairs.world"

local thin = os.getenv "VEO_PAIRS"
local THINNER = thin == "thin" and 13 or tonumber(thin or 1)

-- Every so manieth allocation. Over TLS libcurl makes more, and most of them as over plain HTTP. Over HTTP/2 every one:
-- one or two of 713 end the process, those of curl_easy_pause.
local STEP = { http = 2, tls = 7, h2 = 1 }

needs.block("nginx", describe)("a libcurl that fails:", function()
  local world, library

  setup(function()
    library = child.library()
    world = library and worlds.start(0, {})
  end)
  teardown(function()
    if world then world:stop() end
    helper.sweep()
  end)

  -- The problems of a sweep, a line each.
  local function problems(list)
    local lines = {}
    for _, row in ipairs(list) do
      if row.problem then
        lines[#lines + 1] = ("%s, %d%s: %s"):format(row.kind, row.n, row.option and " (" .. row.option .. ")" or "",
          row.problem)
      end
    end
    return table.concat(lines, "\n")
  end

  local function fired(list)
    local count = 0
    for _, row in ipairs(list) do if row.fired or row.died then count = count + 1 end end
    return count
  end

  for _, transport in ipairs(worlds.transports) do
    for _, what in ipairs { "memory", "option" } do
      it(what .. " over " .. transport, function()
        if not library then return pending "needs curl_faults.so, and LD_PRELOAD" end
        local step = what == "option" and 3 or STEP[transport]
        local list = child.sweep(library, world, what, transport, step * THINNER)
        io.stdout:write(("\n%s over %s: %d points\n"):format(what, transport, #list))
        assert.is_true(fired(list) * THINNER > 20, fired(list) .. " points failed")
        assert.equal("", problems(list))
      end)
    end
  end

  -- A refused option is nobody's mistake but ours or libcurl's: it says which, and in libcurl's words.
  it("a refused option is named", function()
    if not library then return pending "needs curl_faults.so, and LD_PRELOAD" end
    for _, row in ipairs(child.sweep(library, world, "option", "http", THINNER)) do
      if row.reason then
        assert.equal("internal", row.reason, row.kind .. ": " .. tostring(row.option))
        assert.is_truthy(row.message:find(row.option, 1, true), row.message)
        assert.is_truthy(row.message:find("A libcurl function was given a bad argument", 1, true), row.message)
      end
    end
  end)
end)
