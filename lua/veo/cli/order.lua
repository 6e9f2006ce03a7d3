--- The commands that cost credits: extend, generate, chain.

local clean = require("veo.cli.terminal").clean
local save = require "veo.cli.save"

local M = {}

-- What cannot be saved is not ordered.
local function how(args)
  return { key = args.key, on_duplicate = args.on_duplicate, path = args.output, overwrite = args.force or nil,
    mkdir = args.mkdir }
end

-- Waits for an order and saves it, unless the arguments say that the taskId is enough.
local function finish(session, client, task, err)
  if not task then return nil, err end
  if task.already then return save.before(session, task) end
  if session.args.no_wait then
    return { text = clean(task.taskId), json = { taskId = task.taskId, ref = task.ref, key = task.key,
      joined = task.joined, state = task.state } }
  end
  session.taskId = task.taskId
  -- The download knows whether the file is this task's. The service is not asked: it may have forgotten the task.
  local problem = task.joined and task.video_url and save.problem(session, client)
  if problem and problem.code == "exists" then
    return save.save(session, client, { taskId = task.taskId, video_url = task.video_url, state = "succeeded" }, task)
  end
  return save.wait_and_save(session, client, task.taskId, task)
end

---@param session veo.cli.Session
---@param client veo.Client
function M.extend(session, client)
  local args = session.args
  session:showing("ordering", function() return "ordering" end, true)
  return finish(session, client, client:extend({ taskId = args.task, prompt = args.prompt, model = args.model,
    seeds = args.seeds, watermark = args.watermark, callBackUrl = args.callback }, how(args)))
end

---@param session veo.cli.Session
---@param client veo.Client
function M.generate(session, client)
  local args = session.args
  session:showing("ordering", function() return "ordering" end, true)
  return finish(session, client, client:generate({ prompt = args.prompt, model = args.model,
    imageUrls = args.image and args.image[1] and args.image or nil, generationType = args.type,
    aspect_ratio = args.aspect_ratio, resolution = args.resolution, duration = args.duration, seeds = args.seeds,
    watermark = args.watermark, callBackUrl = args.callback }, how(args)))
end

local function outcome_of(result)
  local hops = {}
  for i, hop in ipairs(result.hops) do
    hops[i] = { hop = hop.hop, taskId = hop.taskId, path = hop.path, joined = hop.joined, ref = hop.ref }
  end
  return { text = result.path or clean(result.taskId), json = { taskId = result.taskId, path = result.path,
    bytes = result.bytes, state = "succeeded", hops = hops, video_url = result.status and result.status.video_url } }
end

---@param session veo.cli.Session
---@param client veo.Client
function M.chain(session, client)
  local args = session.args
  session.hop, session.hops = 1, #args.prompts
  local wait = session:wait_options()
  session.waiting = nil -- not before something is ordered
  local look = wait.on_progress
  session:showing("ordering", function() return "looking at the source" end, true)
  local download
  if args.output then
    local shown = session.text
    download = session:download_options(args.output)
    session.saving, session.text = session.text, shown
  end
  local result, err = client:chain { taskId = args.task, prompts = args.prompts, path = args.output, key = args.key,
    save_hops = args.save_hops, overwrite = args.force, repeat_failed = args.repeat_failed or nil, model = args.model,
    seeds = args.seeds, watermark = args.watermark, callBackUrl = args.callback,
    wait = { timeout = wait.timeout, first = wait.first, interval = wait.interval, max_interval = wait.max_interval,
      growth = wait.growth, jitter = wait.jitter, on_progress = look },
    download = { on_progress = download and download.on_progress, mkdir = args.mkdir },
    on_progress = function(info)
      session.hop = info.hop
      if info.state == "submitting" then
        session:showing("ordering " .. info.hop, function()
          return ("hop %d of %d: ordering"):format(info.hop, info.hops)
        end, true)
      elseif info.state == "saving" and session.saving then
        session:showing("saving " .. args.output, session.saving, true)
      end
    end }
  if not result then return nil, err end
  if result.path and result.already then
    session.term:note("saved before: " .. result.path)
  elseif result.path and result.bytes then
    session.term:note(("saved: %s, %d bytes"):format(result.path, result.bytes))
  end
  return outcome_of(result)
end

return M
