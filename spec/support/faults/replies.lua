-- What the fault servers say when they do answer.
local M = {}

-- A finished task's record, as the service's documentation shows it.
M.record = [[{"code":200,"msg":"success","data":{"taskId":"4d1c0f8e7a6b4e0f9b2d3c5a6e7f8091",]]
  .. [["paramJson":"{\"prompt\":\"the boat turns\"}","completeTime":1781234873000,"response":{]]
  .. [["taskId":"4d1c0f8e7a6b4e0f9b2d3c5a6e7f8091","resultUrls":["https://tempfile.example/v/0b7d.mp4"],]]
  .. [["fullResultUrls":["https://tempfile.example/v/77aa.mp4"],"originUrls":null,"resolution":"720p",]]
  .. [["hasAudioList":[true],"seeds":[48213]},"successFlag":1,"errorCode":null,"errorMessage":"",]]
  .. [["createTime":1781234500000,"fallbackFlag":false}}]]

M.accepted = [[{"code":200,"msg":"success","data":{"taskId":"veo_extend_task_xyz789"}}]]

---The good answer to a request of this method.
function M.body(method)
  return method == "POST" and M.accepted or M.record
end

return M
