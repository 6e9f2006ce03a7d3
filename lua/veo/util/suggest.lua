--- "Did you mean taskId?": the known name nearest to an unknown one.

local type = type
local min = math.min
local byte, gsub, lower = string.byte, string.gsub, string.lower

local M = {}

-- Names that other services use for our fields. Keys are folded (lower case, no separators).
local ALIASES = {
  id = "taskId", videoid = "taskId", sourcetaskid = "taskId", task = "taskId",
  text = "prompt", description = "prompt",
  randomseed = "seeds",
  callback = "callBackUrl", webhook = "callBackUrl", webhookurl = "callBackUrl", notifyurl = "callBackUrl",
  images = "imageUrls", imageurl = "imageUrls", ratio = "aspect_ratio", quality = "model", tier = "model",
  path = "uploadPath",
  -- Values of `model`: extend and generate name the same tiers differently.
  veo3 = "quality", veo3fast = "fast", veo3lite = "lite", fast = "veo3_fast", lite = "veo3_lite",
}

local function fold(name)
  return (gsub(lower(name), "[_%-%s%.]", ""))
end

-- Edit distance with transpositions; names are short, so three rows of a table suffice.
local function distance(a, b)
  local before, previous, current = {}, {}, {}
  for j = 0, #b do previous[j] = j end
  for i = 1, #a do
    current[0] = i
    for j = 1, #b do
      local same = byte(a, i) == byte(b, j)
      local best = min(previous[j] + 1, current[j - 1] + 1, previous[j - 1] + (same and 0 or 1))
      if i > 1 and j > 1 and byte(a, i) == byte(b, j - 1) and byte(a, i - 1) == byte(b, j) then
        best = min(best, before[j - 2] + 1)
      end
      current[j] = best
    end
    before, previous, current = previous, current, before
  end
  return previous[#b]
end

---@param name string         what was written
---@param known string[]      the names that exist, in order of preference
---@return string|nil         the one that was probably meant
function M.nearest(name, known)
  if type(name) ~= "string" or #name > 40 then return nil end
  local folded = fold(name)
  local best, best_distance = nil, nil
  for i = 1, #known do
    local candidate = fold(known[i])
    if candidate == folded or ALIASES[folded] == known[i] then return known[i] end
    local d = distance(folded, candidate)
    if d <= 2 and d * 3 <= #candidate + 1 and (not best or d < best_distance) then
      best, best_distance = known[i], d
    end
  end
  return best
end

return M
