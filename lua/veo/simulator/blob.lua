--- Synthetic files of any length: the boxes of an MP4, of which the last goes on to the end with content that every
--- offset determines.
-- Pure functions, so that a spec can compute what a download must hold.
local M = {}

local BLOCK = 64 * 1024
local HEAD = "\0\0\0\32ftypisom\0\0\2\0isomiso2avc1mp41" .. "\0\0\0\8moov" .. "\0\0\0\0mdat"

local fillers = {}

-- Each 64 KiB block starts with its number and the seed, so that a block in the wrong place or from another
-- version shows.
local function block(index, seed)
  local filler = fillers[seed]
  if not filler then
    local bytes, state = {}, 7
    for i = 1, #seed do state = (state * 31 + seed:byte(i)) % 65521 end
    for i = 1, 1021 do
      state = (state * 1103 + 12345) % 65521
      bytes[i] = string.char(state % 256)
    end
    filler = table.concat(bytes):rep(math.ceil(BLOCK / 1021)):sub(1, BLOCK - 32)
    fillers[seed] = filler
  end
  return ("block %020d ....\n"):format(index):sub(1, 32) .. filler
end

--- Bytes `first` to `last` (from 0, both included) of the file.
--- @param first integer
--- @param last integer
--- @param seed string|nil another seed is another file
--- @return string
function M.bytes(first, last, seed)
  seed = seed or ""
  local pieces = {}
  local from, to = math.floor(first / BLOCK), math.floor(last / BLOCK)
  for index = from, to do
    local piece = block(index, seed)
    if index == 0 then piece = HEAD .. piece:sub(#HEAD + 1) end
    local start = index * BLOCK
    if first > start or last < start + BLOCK - 1 then
      piece = piece:sub(math.max(first - start, 0) + 1, math.min(last - start, BLOCK - 1) + 1)
    end
    pieces[#pieces + 1] = piece
  end
  return table.concat(pieces)
end

return M
