--- What is looked at before a hop of a chain is paid: all its orders, its source, the names it is saved under, and whether
--- all of it was made before.

local ipairs, pairs, type = ipairs, pairs, type
local format, lower = string.format, string.lower

local chain_hops = require "veo.task.chain.hops"
local core = require "veo.core"
local destinations = require "veo.task.download.destination"
local errors = require "veo.errors"
local filenames = require "veo.util.filename"
local journals = require "veo.task.download.journal"
local partials = require "veo.task.download.partial"
local query = require "veo.task.query"
local targets = require "veo.task.download.target"
local upgraded = require "veo.task.upgraded"
local waits = require "veo.task.wait"
local wire = require "veo.wire"

local M = {}

-- What a hop may say for itself; everything but the prompt can also stand for all hops.
local SHARED = { "model", "seeds", "watermark", "callBackUrl", "extra" }
local UPGRADED = { ["1080p"] = true, ["4k"] = true }

---The order of every hop, all checked now: a bad prompt must not show after its forerunners are paid.
---@param ctx table
---@param params { taskId: string, prompts: (string|table)[] }
---@return table[]|nil orders, veo.Error|nil err
function M.hops(ctx, params)
  local hops = {}
  for n, prompt in ipairs(params.prompts) do
    local hop = type(prompt) == "table" and prompt or { prompt = prompt }
    local order = {}
    for _, name in ipairs(SHARED) do order[name] = params[name] end
    for name, value in pairs(hop) do order[name] = value end
    order.taskId = n == 1 and params.taskId or "checked-later"
    local ok, err = wire.check(ctx.api, "extend", order)
    if not ok then
      err.hop = n
      err.message = format("chain: hop %d: %s", n, err.message)
      return nil, err
    end
    hops[n] = order
  end
  return hops
end

---Why the source cannot be extended: it must be there, finished, and not upgraded.
---@return veo.Error|nil
function M.source(ctx, taskId, options)
  local what = upgraded.of(ctx, taskId)
  if what then return upgraded.refusal("chain", taskId, what) end
  local status, err = query.status(ctx, taskId, options)
  if not status then
    -- Records end after two months; whether such a video can still be extended is the service's to say.
    return err.code ~= "expired" and err or nil
  end
  if status.state == "generating" then
    status, err = waits.wait(ctx, taskId, options.wait)
    if not status then return err end
  end
  if status.state == "failed" then
    return errors.new { code = "failed", operation = "chain", taskId = taskId, status = status,
      message = "chain: the source task failed" }
  end
  local resolution = type(status.resolution) == "string" and lower(status.resolution)
  return UPGRADED[resolution] and upgraded.refusal("chain", taskId, resolution) or nil
end

---Why the whole chain cannot be saved.
---@param run table  of the chain
---@return veo.Error|nil
function M.paths(run)
  local ctx, options = run.ctx, run.options
  local mkdir, hops = run.download.mkdir, options.save_hops
  local err = destinations.try(ctx, options.path, options.overwrite, mkdir) or hops and (targets.able(hops)
    or filenames.unable(hops) or targets.folder(hops, mkdir, true))
  if err or not options.path or not ctx.ledger then return err end
  local own = run.names and chain_hops.last(ctx.ledger, run.names, run.hops, run.params.taskId)
  local row
  row, err = ctx.ledger:keeper(core.absolute(options.path), own and own.taskId, options.overwrite,
    partials.look)
  return row and destinations.held("chain", options.path, row) or err
end

---The whole chain, when it was made and saved before: nothing is asked of anybody.
---@param run table  of the chain
---@return table|nil result
function M.made_before(run)
  local ledger, path = run.ctx.ledger, run.options.path
  if not ledger or not path or core.kind(path) ~= "file" then return nil end
  local done, source = {}, run.params.taskId
  for n, params in ipairs(run.hops) do
    params.taskId = source
    local _, _, record = chain_hops.find(ledger, run.names[n], n, params)
    if not record or record.state ~= "saved" and record.state ~= "done" then return nil end
    done[n] = { hop = n, taskId = record.taskId, ref = record.ref, joined = true, prompt = params.prompt,
      status = record.status }
    source = record.taskId
  end
  local last = done[#done]
  local noted = journals.there(run.ctx, last.taskId, path)
  if not noted then return nil end
  ledger:saved(last.taskId, noted.at, noted)
  chain_hops.close(ledger, done)
  return { taskId = last.taskId, status = last.status, hops = done, path = path, already = true }
end

return M
