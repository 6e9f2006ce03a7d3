--- Whether a call may wait where it stands. Lua cannot suspend a coroutine across a C function that calls back (gsub,
--- sort, require, a metamethod or an iterator of C); Lua 5.1 neither across its pcall, metamethods and iterators. A
--- call that finds this out only when it yields has queued and sent something by then.

local pcall, select, xpcall = pcall, select, xpcall
local format = string.format

local M = {}

local create, resume, running, yield = coroutine.create, coroutine.resume, coroutine.running, coroutine.yield
local isyieldable = coroutine.isyieldable -- luacheck: ignore 143
local getinfo = type(debug) == "table" and debug.getinfo or nil

-- What a trial yields; the job is resumed at once.
M.TRIAL = {}
-- Lua 5.1 cannot yield across pcall; every other one can.
M.CROSSES_PCALL = select(2, resume(create(function() pcall(yield, true) end))) == true

-- C functions across which such a Lua yields, by their names and by themselves: a local may have another name.
local CROSSED = M.CROSSES_PCALL and { pcall = true, xpcall = true, [pcall] = true } or {}
if M.CROSSES_PCALL and xpcall then CROSSED[xpcall] = true end -- a sandbox may have none
if _VERSION == "Lua 5.2" then CROSSED.dofile = true end

---Whether a function stands in a coroutine's stack; where that cannot be seen, it does.
---@param co thread
---@param fn function
---@return boolean
function M.stands(co, fn)
  local level = 0
  local info = getinfo and getinfo(co, level, "f")
  while info do
    if info.func == fn then return true end
    level = level + 1
    info = getinfo(co, level, "f")
  end
  return not getinfo
end

-- What in the coroutine's stack keeps it from yielding; nil when that cannot be seen.
local function boundary()
  local level = 3
  local info = getinfo and getinfo(level, "Snf")
  while info do
    if info.what == "C" and not (CROSSED[info.name] or CROSSED[info.func]) then
      return info.name and (info.namewhat == "metamethod" and "the metamethod " or "") .. info.name or "a C function"
    end
    if not M.CROSSES_PCALL and info.name == "(for generator)" then return "an iterator" end
    level = level + 1
    info = getinfo(level, "Snf")
  end
end

local function reason(what)
  return format("this call has to wait, and inside %s Lua cannot suspend the coroutine: make it outside of that",
    what or "a metamethod, an iterator or another callback of C")
end

---Nil when the current job can yield here, else the reason. Lua 5.1 cannot try it in a protected call, and in its
---metamethods the trial raises; by then nothing is queued or sent.
---@return string|nil
function M.obstacle()
  if isyieldable then return not isyieldable() and reason(boundary()) or nil end
  if M.CROSSES_PCALL then return not pcall(yield, M.TRIAL) and reason(boundary()) or nil end
  local what = boundary()
  if what then return reason(what) end
  yield(M.TRIAL)
end

---The same for a coroutine of the host's, where no trial is possible; the main program has none to suspend.
---@return string|nil
function M.foreign_obstacle()
  local here, main = running()
  if not here or main then return nil end
  if isyieldable then return not isyieldable() and reason(boundary()) or nil end
  local what = boundary()
  return what and reason(what) or nil
end

---The same for a plain call with `pause`. A host may call in a coroutine that nobody resumes, and no C function stands in
---its stack then: darktable does so in its background jobs. What it has for `pause` sleeps, and yields nothing.
---@return string|nil
function M.pause_obstacle()
  local here, main = running()
  if not here or main or isyieldable and isyieldable() then return nil end
  local what = boundary()
  if what or isyieldable and not getinfo then return reason(what) end
  return nil
end

return M
