-- Which errors waiting may mend.

local errors = require "veo.errors"
local transient = require "veo.util.transient"

describe("a transient error", function()
  it("is one of the connection, of the service or of its gateway", function()
    local found = {}
    for code in pairs(errors.codes) do
      if transient.is { code = code } then found[#found + 1] = code end
    end
    table.sort(found)
    assert.same({ "malformed", "network", "rate_limited", "server", "unavailable" }, found)
  end)

  it("is none whose certificate does not hold, or whose proxy refuses", function()
    assert.is_true(transient.is { code = "network", curl_code = 7 })
    assert.is_false(transient.is { code = "network", curl_code = 60 })
    assert.is_true(transient.is_lasting { curl_code = 60 })
    for status, lasting in pairs { [403] = true, [407] = true, [408] = false, [429] = false, [502] = false } do
      assert.equal(not lasting, transient.is { code = "network", proxy_status = status })
    end
  end)
end)
