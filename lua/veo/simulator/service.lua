--- The simulated service: takes a request, finds what answers it and what a script wants of the answer.
local cqueues = require "cqueues"
local checks = require "veo.simulator.checks"
local control = require "veo.simulator.control"
local effects = require "veo.simulator.effects"
local endpoints = require "veo.simulator.endpoints"
local forms = require "veo.simulator.forms"
local journal = require "veo.simulator.journal"
local json = require "veo.simulator.json"
local media = require "veo.simulator.media"
local script = require "veo.simulator.script"
local tasks = require "veo.simulator.tasks"
local uploads = require "veo.simulator.uploads"

require "veo.simulator.jobs"
require "veo.simulator.upgrades"

local M = {}
M.__index = M

local NONE = {}
local LONG = 65536

--- @param options table see options.lua
function M.new(options)
  local self = setmetatable({ options = options }, M)
  self.journal = journal.new(options.keep)
  self.tasks = tasks.new(options)
  self.callbacks, self.uploads = {}, {}
  self:set_script(options.script)
  self:reset_windows()
  return self
end

function M:reset_windows()
  self.accepted, self.prompts, self.ids = {}, {}, {}
end

--- Everything as at the start; the script given at the start is back too.
function M:reset()
  self.tasks:reset()
  self.journal:reset()
  self.callbacks, self.uploads = {}, {}
  self:set_script(self.options.script)
  self:reset_windows()
end

--- @return boolean|nil done, string|nil why
function M:set_script(list)
  local rules, why = script.rules(list)
  if not rules then return nil, why end
  self.rules = rules
  return true
end

function M:violation(request, text)
  self.journal:violation(request, text)
end

--- Takes a slot of the rate window: 20 new tasks in 10 s, real seconds; refused ones are not counted.
function M:within_rate()
  local rate = self.options.rate
  if not rate then return true end
  local now, list = cqueues.monotime(), self.accepted
  while list[1] and now - list[1] >= rate.window do table.remove(list, 1) end
  if #list >= rate.count then return false end
  list[#list + 1] = now
  return true
end

local function directives_of(self, request, prompt)
  local rules = self.prompts[prompt]
  if not rules then
    local why
    rules, why = script.from_prompt(prompt, request.endpoint)
    if why then self:violation(request, why) end
    self.prompts[prompt] = rules
  end
  return rules
end

-- The first of: a rule of the script, of the taskId, of the prompt, of the task's own prompt.
local function effect_of(self, request)
  local effect = script.find(self.rules, request)
  if effect then return effect end
  local id, prompt = request.task_id, request.prompt
  if id then
    local own = self.ids[id]
    if own == nil and id:sub(1, 4) == "sim." then
      own = { (script.from_task_id(id)) }
      self.ids[id] = own
    end
    effect = own and script.find(own, request)
    if effect then return effect end
  end
  if prompt and prompt:find("[sim", 1, true) then
    effect = script.find(directives_of(self, request, prompt), request)
    if effect then return effect end
  end
  local task = id and self.tasks.by_id[id]
  return task and not prompt and script.find(task.rules, request) or NONE
end

-- Decodes a JSON body. A long one (10 ms a MiB) is decoded only for somebody who has the key.
local function decode(request, endpoint, refusal)
  local text = request.body or ""
  if text == "" or not endpoint.json or refusal and #text > LONG then return end
  local body = json.decode(text)
  request.json = type(body) == "table" and body or nil
end

local function text_or_nil(value)
  return type(value) == "string" and value or nil
end

-- Finds the taskId and the prompt, wherever the endpoint keeps them.
local function find_names(request, endpoint)
  local body = request.json or NONE
  local input = type(body.input) == "table" and body.input or NONE
  request.prompt = text_or_nil(body.prompt or input.prompt)
  request.task_id = text_or_nil(request.query.taskId or body.taskId or input.task_id or input.taskId
    or endpoint.task_id and endpoint.task_id(request))
end

local function as_response(code, msg, data, effect)
  return { status = 200, content_type = "application/json;charset=utf-8",
    body = forms.envelope(code, msg, data, effect) }
end

local function from_refusal(refusal, effect)
  if refusal.http then return { status = refusal.http, content_type = refusal.content_type, body = refusal.body } end
  return as_response(refusal.code, refusal.msg, "null", effect)
end

local function carry_out(self, request, endpoint, effect, refusal)
  if refusal then return from_refusal(refusal, effect) end
  if endpoint.json then
    if not (request.headers["content-type"] or ""):lower():find("^application/json") then
      self:violation(request, "Content-Type is not application/json")
      return as_response(422, "Content-Type must be application/json", "null", effect)
    end
    -- what a number looks like is lost in decoding: seeds must not arrive as 12345.0
    if (request.body or ""):gsub("\\.", ""):gsub('"[^"]*"', '""'):find("%d%.0+%f[^%d]") then
      self:violation(request, "a whole number written with a fraction")
    end
    if not request.json then
      self:violation(request, "the body is not a JSON object")
      return as_response(400, "JSON parse error", "null", effect)
    end
  end
  local code, msg, data = endpoint.answer(self, request, effect)
  if type(code) == "table" then return code end
  return as_response(code, msg, data, effect)
end

local media_endpoint = { name = "media", free = true, answer = media.answer, task_id = media.task_id }

local function endpoint_for(request)
  local endpoint = endpoints.routes[request.method .. " " .. request.path]
  if endpoint then return endpoint end
  if request.path:sub(1, 7) == "/media/" and (request.method == "GET" or request.method == "HEAD") then
    return media_endpoint
  end
end

-- What is answered, as far as the effect lets the endpoint do its work and leaves its answer.
local function respond(self, request, endpoint, effect, refusal)
  local response
  if endpoint and effects.carries_out(effect) then
    response = carry_out(self, request, endpoint, effect, refusal)
  end
  if effects.replaces(effect) then return forms.replacement(effect, request) end
  if response then return response end
  -- not carried out: the answer (if the damage leaves one) is the plain success of nothing
  if endpoint then return forms.replacement({ code = 200, data = "null" }, request) end
  self:violation(request, "no such endpoint: " .. request.method .. " " .. request.path)
  return forms.replacement({ form = "gateway", http = 404 }, request)
end

--- Answers a request.
--- @param request table
--- @return table response, table effect
function M:answer(request)
  if request.listener == "control" then return control.answer(self, request), NONE end
  request.elsewhere = self:elsewhere(request)
  local endpoint = endpoint_for(request)
  request.endpoint = endpoint and endpoint.name or "unknown"
  self.journal:add(request)
  local refusal
  if endpoint and not endpoint.free then
    refusal = checks.headers(request, self.options.api_key, function(text) self:violation(request, text) end)
  end
  decode(request, endpoint or NONE, refusal)
  find_names(request, endpoint or NONE)
  if endpoint and endpoint.name_of then request.endpoint = endpoint.name_of(request) end
  local effect = effect_of(self, request)
  local response = respond(self, request, endpoint, effect, refusal)
  request.http, request.effect = response.status, effect ~= NONE and effect or nil
  return response, effect
end

--- The same service under its other host name, for redirects.
function M:elsewhere(request)
  local base = request.listener == "media" and self.media_url or self.url
  return (base:gsub("127%.0%.0%.1", "localhost"))
end

--- Where a body goes that is not kept whole; nil for every one but an upload.
--- @return nil|fun(piece: string) sink, nil|fun() finish
function M:body_sink(request)
  if request.method .. " " .. request.path == uploads.STREAM then return uploads.sink(request) end
end

--- Notes a request whose body never came whole.
function M:cut(request)
  request.endpoint, request.cut = "cut", true
  self.journal:add(request)
end

return M
