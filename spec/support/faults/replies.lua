-- What the fault servers say when they do answer.
local content = require "content"

local M = {}

-- A finished task's record, as the service's documentation shows it.
M.record = [[{"code":200,"msg":"success","data":{"taskId":"4d1c0f8e7a6b4e0f9b2d3c5a6e7f8091",]]
  .. [["paramJson":"{\"prompt\":\"the boat turns\"}","completeTime":1781234873000,"response":{]]
  .. [["taskId":"4d1c0f8e7a6b4e0f9b2d3c5a6e7f8091","resultUrls":["https://tempfile.example/v/0b7d.mp4"],]]
  .. [["fullResultUrls":["https://tempfile.example/v/77aa.mp4"],"originUrls":null,"resolution":"720p",]]
  .. [["hasAudioList":[true],"seeds":[48213]},"successFlag":1,"errorCode":null,"errorMessage":"",]]
  .. [["createTime":1781234500000,"fallbackFlag":false}}]]

M.accepted = [[{"code":200,"msg":"success","data":{"taskId":"veo_extend_task_xyz789"}}]]

local function envelope(code, field, value)
  return ('{"code":%d,"msg":"said","data":{"%s":"%s"}}'):format(code, field, value)
end

-- Below /k/<word>/ a reply names what was asked for, so that one for another request shows.
local function named(word, rest)
  if rest:find("/extend$") then
    return envelope(200, "taskId", "next-" .. word)
  end
  local id, n = rest:match("[?&]taskId=([^&]+)"), rest:match("[?&]n=([^&]+)")
  return envelope(200, id and "taskId" or "n", id or n or "")
end

---The good answer to a request of this method (and path).
function M.body(method, path)
  local file = path and path:match("^/files/([^?]+)")
  if file then
    return content.of(file)
  end
  local word, rest = (path or ""):match("^/k/([^/?]+)(.*)$")
  if word then
    return named(word, rest)
  end
  return method == "POST" and M.accepted or M.record
end

-- Whole replies that are no success: status, body.
M.other = {
  refuse = { "402 Payment Required", envelope(402, "why", "credits") },
  refuse_in_body = { "200 OK", envelope(402, "why", "credits") },
  page = { "200 OK", "<html><body>a gateway's page</body></html>" },
  too_large = { "200 OK", '{"code":200,"data":"' .. ("x"):rep(1200000) .. '"}' },
}

return M
