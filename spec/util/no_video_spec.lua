-- What a status lacks to be saved.

local no_video = require "veo.util.no_video"

describe("a status that names no video", function()
  it("is an error by its state, with its task", function()
    for code, status in pairs {
      failed = { taskId = "t1", state = "failed", errorMessage = "no\ngood", video_url = "https://h/a.mp4" },
      timeout = { taskId = "t1", state = "generating" },
      no_result = { taskId = "t1", state = "succeeded" },
    } do
      local err = no_video(status)
      assert.same({ code, "t1", "download" }, { err.code, err.taskId, err.operation })
      assert.equal(status, err.status)
    end
  end)

  it("is none when it names one", function()
    assert.is_nil(no_video { taskId = "t1", state = "succeeded", video_url = "https://h/a.mp4" })
  end)
end)
