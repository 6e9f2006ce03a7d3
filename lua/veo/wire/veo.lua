--- The documented API family under /api/v1/veo, as data. Paths, fields and rules are the service's own words.

---@type veo.wire.Field
local seeds = { name = "seeds", kind = "integer", min = 10000, max = 99999 }
local watermark = { name = "watermark", kind = "text", about = "text to burn into the picture" }
local callback = { name = "callBackUrl", kind = "url" }
local source_task = { name = "taskId", kind = "id", required = true, about = "the task id of the source video" }
local task = { name = "taskId", kind = "id", required = true, about = "the task id to ask for" }
local prompt = { name = "prompt", kind = "text", required = true, about = "the description of the video" }
local index = { name = "index", kind = "integer", min = 0, max = 1000, about = "which of the task's videos" }
local upload_path = { name = "uploadPath", kind = "line", about = "folder at the service" }
local file_name = { name = "fileName", kind = "line" }

return {
  name = "veo",
  reader = "veo", -- the reader of a task's record, in wire/status.lua
  look = "look",  -- the core's call for one; it reads this family's usual record by itself
  upload_url = "https://kieai.redpandaai.co", -- documented: docs.kie.ai, "File Upload API Quickstart", API Base URL
  operations = {
    extend = {
      method = "POST", path = "/api/v1/veo/extend", billable = true,
      fields = {
        source_task, prompt, seeds,
        { name = "model", kind = "line", known = { "fast", "quality", "lite" } },
        watermark, callback,
      },
    },
    generate = {
      method = "POST", path = "/api/v1/veo/generate", billable = true,
      fields = {
        prompt,
        { name = "imageUrls", kind = "urls", min = 1, max = 3 },
        { name = "model", kind = "line", known = { "veo3_fast", "veo3", "veo3_lite" } },
        { name = "generationType", kind = "line",
          known = { "TEXT_2_VIDEO", "FIRST_AND_LAST_FRAMES_2_VIDEO", "REFERENCE_2_VIDEO" } },
        { name = "aspect_ratio", kind = "line", known = { "16:9", "9:16", "Auto" } },
        { name = "resolution", kind = "line", known = { "720p", "1080p", "4k" } },
        { name = "duration", kind = "integer", known = { 4, 6, 8 }, about = "seconds" },
        seeds, watermark,
        { name = "enableTranslation", kind = "boolean" },
        callback,
      },
    },
    status = { method = "GET", path = "/api/v1/veo/record-info", fields = { task } },
    -- Costs credits once. The documentation says to repeat it until it is ready: a repeat is not a second order.
    get_1080p = {
      method = "GET", path = "/api/v1/veo/get-1080p-video", fields = { task, index },
      not_ready = { [400] = true, [404] = true, [422] = true },
    },
    get_4k = {
      method = "POST", path = "/api/v1/veo/get-4k-video", billable = true, fields = { task, index, callback },
      not_ready = { [422] = true },
    },
    credits = { method = "GET", path = "/api/v1/chat/credit", fields = {}, result = "number" },
    download_url = {
      method = "POST", path = "/api/v1/common/download-url", result = "url",
      fields = { { name = "url", kind = "url", required = true, about = "the link of a result of this service" } },
    },
    -- Uploads live on another host: `host = "upload"` names the client's upload_url option.
    upload_url = {
      method = "POST", path = "/api/file-url-upload", host = "upload", result = "downloadUrl",
      fields = {
        { name = "fileUrl", kind = "url", required = true, about = "where the service fetches the file" },
        upload_path, file_name,
      },
    },
    upload_file = {
      method = "POST", path = "/api/file-stream-upload", host = "upload", result = "downloadUrl", multipart = "file",
      fields = { upload_path, file_name },
    },
  },
}
