-- A selection of pairs_spec.lua's pairs as a user meets them: many looks at once, then many downloads at once, and
-- downloads behind one that failed, in one client, through every transport.

local content = require "spec.support.faults.content"
local ends = require "spec.support.pairs.ends"
local helper = require "spec.support.helper"
local needs = require "spec.support.needs"
local worlds = require "spec.support.pairs.world"

local FILES = 10

needs.block("nginx", describe)("one client:", function()
  local world, client

  setup(function()
    world = worlds.start(0, ends.redirects)
    for i = 1, FILES do world:serve(("video%d-300k.bin"):format(i)) end
  end)
  teardown(function()
    world:stop()
    helper.sweep()
  end)
  after_each(function()
    if client then client:close() end
    client = nil
  end)

  local function open(transport, more)
    more = more or {}
    more.ca_file = world.ca_file
    client = helper.client(world.origin[transport] .. "/k/row", more)
  end

  local function ids(count)
    local list = {}
    for i = 1, count do list[i] = ("video%d-300k.bin"):format((i - 1) % FILES + 1) end
    return list
  end

  -- Saves a status's video; true when its bytes are right, else why they are not.
  local function save(status)
    local path = world:path "video"
    local file, err = client:download(status, path)
    if not file then return tostring(err) end
    local same = helper.read(path) == content.of(status.taskId)
    os.remove(path)
    return same or "other bytes"
  end

  local function all_saved(count, results)
    local saved, first = 0, nil
    for i = 1, count do
      if results[i] == true then saved = saved + 1 else first = first or tostring(results[i]) end
    end
    assert.equal(count .. " saved", saved .. " saved" .. (first and "; " .. first or ""))
  end

  for _, transport in ipairs(worlds.transports) do
    for _, count in ipairs { 2, 8, 50, 200 } do
      it(("%d looks at once, then %d downloads at once over %s"):format(count, count, transport), function()
        open(transport)
        local found = client:map(ids(count), function(id) return client:status(id) end, { limit = count })
        assert.equal(count, #found)
        all_saved(count, client:map(found, save, { limit = count }))
      end)
    end

    it("wait_each, then each video as it comes, over " .. transport, function()
      open(transport)
      local found, results = {}, {}
      for _, status, err in client:wait_each(ids(8)) do
        assert.is_nil(err)
        found[#found + 1] = status
      end
      for i, status in ipairs(found) do results[i] = save(status) end
      all_saved(8, results)
    end)

    local retried
    for name, fail in pairs {
      ["a host that is not known"] = function()
        local job = client:spawn(client.download, client, "https://no-such-host.invalid/x.mp4", world:path "x")
        repeat client:step(20) until retried
        job:cancel()
        return job:result()
      end,
      ["a link that leads to file:"] = function()
        return client:download(world.origin[transport] .. ends.path_to "file:///etc/passwd", world:path "x")
      end,
      ["a function that had enough"] = function()
        return client:download(world.origin[transport] .. "/files/second-3072k.bin", function() return false end)
      end,
      ["a file that is too large"] = function()
        return client:download(world.origin[transport] .. "/files/second-3072k.bin", world:path "x",
          { max_bytes = 100000 })
      end,
    } do
      it(("downloads behind %s over %s"):format(name, transport), function()
        retried = false
        open(transport, { download = { attempts = 2 }, log = function(event) retried = event.event == "retry" end })
        local file, err = fail()
        assert.is_nil(file)
        assert.is_not.equal("invalid", err.code)
        local found = client:map(ids(8), function(id) return client:status(id) end)
        all_saved(8, client:map(found, save))
      end)
    end
  end
end)
