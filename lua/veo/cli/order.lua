--- The commands that cost credits: extend, generate, chain.

local clean = require("veo.cli.terminal").clean
local dry_run = require "veo.cli.dry_run"
local errors = require "veo.errors"
local prices = require "veo.cli.price"
local save = require "veo.cli.save"

local M = {}

-- What cannot be saved is not ordered.
local function how(session, operation)
  local args = session.args
  return { key = args.key, on_duplicate = args.on_duplicate, path = session.target:before(args.key, operation),
    overwrite = args.force or nil, mkdir = true }
end

-- The video of an order that was made and saved before, under a name that follows from its task.
local function saved_as(session, client, found)
  local path = session.target.open and type(found.taskId) == "string" and save.path(session, found)
  local before = path and save.saved_before(client, found.taskId, save.problem(session, client, path))
  return before and save.save(session, client, before, found) or nil
end

-- Waits for an order and saves it, unless the arguments say that the taskId is enough.
local function finish(session, client, task)
  if task.already then return save.before(session, task) end
  if session.args.no_wait then
    return { text = clean(task.taskId), json = { taskId = task.taskId, ref = task.ref, key = task.key,
      joined = task.joined, state = task.state } }
  end
  session.taskId = task.taskId
  -- The download knows whether the file is this task's. The service is not asked: it may have forgotten the task.
  local path = task.joined and task.video_url and save.path(session, task)
  local problem = path and save.problem(session, client, path)
  if problem and problem.code == "exists" then
    return save.save(session, client, { taskId = task.taskId, video_url = task.video_url, state = "succeeded" }, task)
  end
  return save.wait_and_save(session, client, task.taskId, task)
end

local function order(session, client, operation, params)
  local args = session.args
  session:showing("ordering", function() return "ordering" end, true)
  local problem = save.folder_problem(session, client)
  if problem then return nil, problem end
  local options = how(session, operation)
  if args.dry_run then return dry_run.run(session, client, operation, params, options) end
  session.price = "price: " .. prices.tell(nil, operation, params.model)
  local task, err = client[operation](client, params, options)
  if task then return finish(session, client, task) end
  local before = err.code == "duplicate" and not args.on_duplicate and not args.no_wait
    and saved_as(session, client, err)
  if before then return before end
  return nil, err
end

---@param session veo.cli.Session
---@param client veo.Client
function M.extend(session, client)
  local args = session.args
  return order(session, client, "extend", { taskId = args.task, prompt = args.prompt, model = args.model,
    seeds = args.seeds, watermark = args.watermark, callBackUrl = args.callback })
end

---@param session veo.cli.Session
---@param client veo.Client
function M.generate(session, client)
  local args = session.args
  return order(session, client, "generate", { prompt = args.prompt, model = args.model,
    imageUrls = args.image and args.image[1] and args.image or nil, generationType = args.type,
    aspect_ratio = args.aspect_ratio, resolution = args.resolution, duration = args.duration, seeds = args.seeds,
    watermark = args.watermark, callBackUrl = args.callback })
end

-- A chain -------------------------------------------------------------------------------------------------------------

local function json_of(result)
  local hops = {}
  for i, hop in ipairs(result.hops) do
    hops[i] = { hop = hop.hop, taskId = hop.taskId, path = hop.path, joined = hop.joined, ref = hop.ref }
  end
  return { taskId = result.taskId, path = result.path, bytes = result.bytes, state = "succeeded", hops = hops,
    video_url = result.status and result.status.video_url }
end

-- What all of it may cost is looked at before its first hop is paid.
local function over_budget(args)
  local price = prices.listed("extend", args.model)
  local all = price and price * #args.prompts
  if not args.max_credits or all and all <= args.max_credits then return nil end
  return errors.new { code = "budget", operation = "chain", sent = "no", price = all, limit = args.max_credits,
    message = all and ("chain: its %d prompts cost %g credits, more than the %g of --max-credits"):format(#args.prompts,
      all, args.max_credits) or "chain: what it costs is not known, so --max-credits cannot be kept" }
end

local function options_of(session, path)
  local args = session.args
  local wait = session:wait_options()
  session.waiting = nil -- not before something is ordered
  session:showing("ordering", function() return "looking at the source" end, true)
  local download
  if path then
    local shown = session.text
    download = session:download_options(path)
    session.saving, session.text = session.text, shown
  end
  return { taskId = args.task, prompts = args.prompts, path = path, key = args.key,
    save_hops = args.save_hops, overwrite = args.force, repeat_failed = args.repeat_failed or nil, model = args.model,
    seeds = args.seeds, watermark = args.watermark, callBackUrl = args.callback,
    wait = { timeout = wait.timeout, first = wait.first, interval = wait.interval, max_interval = wait.max_interval,
      growth = wait.growth, jitter = wait.jitter, on_progress = wait.on_progress },
    download = { on_progress = download and download.on_progress, mkdir = true },
    on_progress = function(info)
      session.hop = info.hop
      if info.state == "submitting" then
        session:showing("ordering " .. info.hop, function()
          return ("hop %d of %d: ordering"):format(info.hop, info.hops)
        end, true)
      elseif info.state == "saving" and session.saving then
        session:showing("saving " .. path, session.saving, true)
      end
    end }
end

---@param session veo.cli.Session
---@param client veo.Client
function M.chain(session, client)
  local args = session.args
  session.hop, session.hops = 1, #args.prompts
  local path = session.target:before(args.key, "chain")
  local problem = over_budget(args) or save.folder_problem(session, client)
  if problem then return nil, problem end
  if args.dry_run then return dry_run.chain(session, client, path) end
  session.price = "price: " .. prices.tell(nil, "extend", args.model, #args.prompts)
  local result, err = client:chain(options_of(session, path))
  if not result then return nil, err end
  local json = json_of(result)
  if not path and not session.target.none then
    local saved
    saved, err = save.save(session, client, result.status)
    if not saved then return nil, errors.paid(err) end
    json.path, json.bytes = saved.json.path, saved.json.bytes
    return { text = saved.text, json = json }
  end
  if result.path and result.already then
    session.term:note("saved before: " .. result.path, "good")
  elseif result.path and result.bytes then
    session.term:note(("saved: %s, %d bytes"):format(result.path, result.bytes), "good")
  end
  return { text = args.print ~= "id" and result.path or clean(result.taskId), json = json }
end

return M
