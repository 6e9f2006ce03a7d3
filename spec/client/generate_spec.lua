-- Generation, links and credits: the calls around extend, under the same money rules.

local helper = require "spec.support.helper"
local simulator = require "veo.simulator"

local GENERATE = "/api/v1/veo/generate"

describe("generate", function()
  local sim, client

  setup(function() sim = simulator.start { speed = 10000, rate = false } end)
  teardown(function() sim:stop() end)
  before_each(function()
    sim:reset()
    client = helper.client(sim)
  end)
  after_each(function() client:close() end)

  it("makes a video that can be waited for, extended and downloaded", function()
    local task = assert(client:generate { prompt = "a boat", model = "veo3", aspect_ratio = "16:9", seeds = 12345,
      imageUrls = { "https://example.com/a.png" }, generationType = "REFERENCE_2_VIDEO", duration = 8,
      resolution = "720p", enableTranslation = false, watermark = "mine" })
    local status = assert(client:wait(task))
    assert.equal("succeeded", status.state)
    assert.is_string(status.video_url)
    assert(client:extend { taskId = task.taskId, prompt = "it turns" })
    local request = sim:requests({ endpoint = "generate" })[1].json
    assert.same({ "a boat", "veo3", "16:9", 12345, false }, { request.prompt, request.model, request.aspect_ratio,
      request.seeds, request.enableTranslation })
    assert.same({}, sim:violations())
  end)

  it("refuses bad parameters before anything is sent", function()
    for name, bad in pairs { seeds = 5, prompt = "", imageUrls = {}, enableTranslation = "yes", callBackURL = "x" } do
      local params = { prompt = "a boat" }
      params[name] = bad
      local task, err = client:generate(params)
      assert.is_nil(task)
      assert.same({ "invalid", name }, { err.code, err.field })
    end
    assert.equal(0, sim:count())
  end)

  it("is sent once when the answer is lost, and uncertain then", function()
    sim:script { { on = "generate", close = "unanswered" } }
    local task, err = client:generate { prompt = "a boat" }
    assert.is_nil(task)
    assert.equal("uncertain", err.code)
    assert.equal(1, sim:count("POST", GENERATE))
  end)

  it("is repeated after 429", function()
    sim:script { { on = "generate", code = 429, times = 1 } }
    assert(client:generate { prompt = "a boat" })
    assert.equal(2, sim:count("POST", GENERATE))
    local _, charges = sim:charges()
    assert.equal(1, #charges)
  end)

  it("misuse raises", function()
    assert.error_matches(function() client:generate "a boat" end, "generate: a table of parameters expected")
    assert.error_matches(function() client:generate({ prompt = "x" }, { timout = 1 }) end, "did you mean timeout")
  end)
end)

describe("credits and links", function()
  local sim, client

  setup(function() sim = simulator.start { speed = 10000, rate = false } end)
  teardown(function() sim:stop() end)
  before_each(function()
    sim:reset()
    client = helper.client(sim)
  end)
  after_each(function() client:close() end)

  it("are fractional", function()
    sim:credits(5916.25)
    assert.equal(5916.25, client:credits())
    sim:script { { on = "credits", data = "12.5" } }
    assert.equal(12.5, client:credits())
  end)

  it("download_url gives a link that works, and says when the URL is foreign", function()
    local status = assert(client:status(sim.source))
    local link = assert(client:download_url(status.video_url))
    assert.is_not.equal(status.video_url, link)
    local dir = helper.folder()
    assert(client:download(link, dir .. "/a.mp4"))
    helper.sweep()
    local none, err = client:download_url "https://example.com/a.mp4"
    assert.is_nil(none)
    assert.same({ "rejected", 422 }, { err.code, err.service_code })
    assert.matches("url is wrong", err.message)
  end)

  it("are repeated on passing errors", function()
    sim:script { { on = { "credits", "download_url" }, http = 503, form = "html", times = 1, each = true } }
    assert.is_number(client:credits())
    assert(client:download_url(sim.media_url .. "/media/clip/hop1.mp4"))
  end)
end)

describe("examples/generate.lua", function()
  it("runs as it stands: uploads, generates, extends, saves", function()
    local folder = helper.folder()
    local said = helper.output(("VEO_SIMULATE=1 %s examples/generate.lua %s/a.mp4 LICENSE; echo status $?"):format(
      helper.lua(), folder))
    assert.matches("status 0\n$", said)
    assert.matches("extended:  task %S+", said)
    assert.same({ "a.mp4" }, helper.list(folder))
    helper.sweep()
  end)
end)
