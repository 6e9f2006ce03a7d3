--- 1080P and 4K versions of a finished video, and fresh links to its files.
local cqueues = require "cqueues"
local endpoints = require "veo.simulator.endpoints"
local http = require "veo.simulator.http"
local json = require "veo.simulator.json"
local media = require "veo.simulator.media"
local tasks = require "veo.simulator.tasks"

local refuse = endpoints.refuse

local HD_SECONDS = 120
-- Real ones, as link_life is: with a speed of 10,000 a link would be dead before a busy machine has followed it.
local LINK_SECONDS = 20 * 60

local not_ready = {
  ["400"] = { 400, "1080P is processing. It should be ready in 1-2 minutes. Please check back shortly." },
  ["404"] = { 404, "1080P video not found" },
  ["422"] = { 422, "record is null" },
}

local function get_1080p(world, request, effect)
  local query = request.query
  if not query.taskId or query.taskId == "" then
    world:violation(request, "taskId is missing")
    return refuse(422, "taskId is required")
  end
  if query.index and not query.index:find("^%d+$") then world:violation(request, "index must be an integer from 0") end
  local source, code, msg = endpoints.source(world, query.taskId)
  if not source then return refuse(code, msg) end
  if not source.hd_done then
    local price = tasks.prices["1080p"]
    if not world.tasks:charge(price) then return refuse(402) end
    source.hd_done, source.upgraded = cqueues.monotime() + (effect.render or HD_SECONDS) / world.options.speed, true
    world.tasks:record_charge(source, price, "get_1080p", request)
  end
  if effect.not_ready or cqueues.monotime() < source.hd_done then
    local form = not_ready[tostring(effect.not_ready)] or not_ready["400"]
    return refuse(form[1], form[2])
  end
  return 200, "success", json.encode { resultUrl = media.link(world, source, "1080p") }
end

-- Asked again, it says 422 while at work and 422 when done, then with the URLs.
local function repeated_4k(world, task)
  local done = world.tasks:state(task) == "succeeded"
  local urls = done and json.list { media.link(world, task, "whole") } or "null"
  local data = ('{"taskId":%s,"resultUrls":%s,"imageUrls":null}'):format(json.encode(task.id), urls)
  if done then return 422, "The video has been generated successfully", data end
  return 422, "4k is processing. It should be ready in 5-10 minutes. Please check back shortly.", data
end

local function get_4k(world, request, effect)
  local body = request.json
  local refusal = endpoints.check(world, request, "get_4k", body)
  if refusal then return refuse(422, refusal) end
  local source, code, msg = endpoints.source(world, body.taskId)
  if not source then return refuse(code, msg) end
  if source.uhd then return repeated_4k(world, source.uhd) end
  code, msg = endpoints.submit(world, request, effect, {
    kind = "4k", hop = source.hop, source = source.id, prompt = source.prompt, seeds = source.seeds,
    callback = body.callBackUrl, params = body, resolution = "4k", upgraded = true,
  }, tasks.prices["4k"])
  if code ~= 200 then return refuse(code, msg) end
  source.uhd = world.tasks.list[#world.tasks.list]
  return code, msg, ('{"taskId":%s,"resultUrls":null,"imageUrls":null}'):format(json.encode(source.uhd.id))
end

local function download_url(world, request)
  local refusal = endpoints.check(world, request, "download_url", request.json)
  if refusal then return refuse(422, refusal) end
  local url = request.json.url:gsub("//localhost:", "//127.0.0.1:")
  local path = url:sub(1, #world.media_url) == world.media_url and url:sub(#world.media_url + 1)
  local id, kind = (path or ""):match("^/media/task/([^/]+)/(%w+)%.mp4")
  local task = id and world.tasks.by_id[http.unescape(id)]
  if task then
    task.fresh_token = world.tasks:token()
    task.fresh_until = cqueues.monotime() + LINK_SECONDS
    return 200, "success", json.encode(media.link(world, task, kind, task.fresh_token))
  elseif path and path:find("^/media/") and not id then
    return 200, "success", json.encode(url)
  end
  return refuse(422, "url is wrong")
end

endpoints.routes["GET /api/v1/veo/get-1080p-video"] = { name = "get_1080p", answer = get_1080p }
endpoints.routes["POST /api/v1/veo/get-4k-video"] = { name = "get_4k", json = true, answer = get_4k }
endpoints.routes["POST /api/v1/common/download-url"] = { name = "download_url", json = true, answer = download_url }
