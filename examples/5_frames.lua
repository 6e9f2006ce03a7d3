-- In a frame loop: the work is a job, and step(0) once a frame lets it go on without ever sleeping.
--
--   KIE_API_KEY=… lua5.4 examples/5_frames.lua TASK_ID boat.mp4

local veo = require "veo"
local client = veo.new { ledger = "renders.db" }
local job = client:spawn(client.extend_and_save, client, { taskId = arg[1], prompt = "The boat turns" }, arg[2])
job:on_end(function() local file, err = job:result() print(file and file.path or err) end)
while job:status() == "pending" do
  client:step(0) -- and here the host updates, draws, and waits for its next frame
end
