--- gzip without a library: stored blocks, and a small body that unpacks to 64 MiB.
local M = {}

local xor_nibble = {}
for a = 0, 15 do
  xor_nibble[a] = {}
  for b = 0, 15 do
    local result, bit, x, y = 0, 1, a, b
    for _ = 1, 4 do
      if x % 2 ~= y % 2 then result = result + bit end
      x, y, bit = math.floor(x / 2), math.floor(y / 2), bit * 2
    end
    xor_nibble[a][b] = result
  end
end

-- The common subset of Lua 5.1 to 5.5 has no bit operators: four bits at a time by table.
local function xor(a, b)
  local result, place = 0, 1
  for _ = 1, 8 do
    result = result + xor_nibble[a % 16][b % 16] * place
    a, b, place = math.floor(a / 16), math.floor(b / 16), place * 16
  end
  return result
end

local crc_table = {}
for i = 0, 255 do
  local c = i
  for _ = 1, 8 do
    local half = math.floor(c / 2)
    c = c % 2 == 1 and xor(half, 0xEDB88320) or half
  end
  crc_table[i] = c
end

--- CRC-32 as gzip has it.
function M.crc32(text)
  local crc = 0xFFFFFFFF
  for i = 1, #text do
    local index = xor_nibble[math.floor(crc / 16) % 16][math.floor(text:byte(i) / 16)] * 16
      + xor_nibble[crc % 16][text:byte(i) % 16]
    crc = xor(math.floor(crc / 256), crc_table[index])
  end
  return xor(crc, 0xFFFFFFFF)
end

local function little_endian(value, bytes)
  local text = {}
  for i = 1, bytes do
    text[i] = string.char(value % 256)
    value = math.floor(value / 256)
  end
  return table.concat(text)
end

local HEAD = "\31\139\8\0\0\0\0\0\0\3"

--- @param text string under 64 KiB a block
--- @return string
function M.pack(text)
  local parts = { HEAD }
  local from = 1
  repeat
    local piece = text:sub(from, from + 65534)
    from = from + 65535
    local sizes = little_endian(#piece, 2) .. little_endian(65535 - #piece, 2)
    parts[#parts + 1] = (from > #text and "\1" or "\0") .. sizes .. piece
  until from > #text
  parts[#parts + 1] = little_endian(M.crc32(text), 4) .. little_endian(#text, 4)
  return table.concat(parts)
end

-- A fixed-Huffman block: "{", then a blank, then "the last 258 bytes again" 260,000 times, then "}".
-- Bits come lowest first; Huffman codes with their highest bit first.
local function writer()
  local bytes, current, place = {}, 0, 1
  local self = {}
  function self.bit(bit)
    current, place = current + bit * place, place * 2
    if place == 256 then
      bytes[#bytes + 1] = string.char(current)
      current, place = 0, 1
    end
  end
  function self.code(value, width)
    for i = width - 1, 0, -1 do self.bit(math.floor(value / 2 ^ i) % 2) end
  end
  function self.aligned() return place == 1 end
  function self.take()
    local text = table.concat(bytes)
    bytes = {}
    return text
  end
  function self.finish()
    while place ~= 1 do self.bit(0) end
    return self.take()
  end
  return self
end

M.bomb_matches = 260000

local bomb

--- About 420 KiB that unpack to 64 MiB: `{`, blanks, `}`.
--- The checksum at its end is left wrong: whoever gets that far has already taken it all.
function M.bomb()
  if bomb then return bomb end
  local out = writer()
  out.bit(1) out.bit(1) out.bit(0)              -- last block, fixed codes
  out.code(0x30 + ("{"):byte(), 8)
  out.code(0x30 + (" "):byte(), 8)
  local function match() out.code(0xC5, 8) out.code(0, 5) end  -- length 258, distance 1
  local left = M.bomb_matches
  while not out.aligned() do
    match()
    left = left - 1
  end
  local head = out.take()
  for _ = 1, 8 do match() end                   -- 8 × 13 bits are 13 whole bytes
  local period = out.take()
  local periods = math.floor(left / 8)
  for _ = 1, left - periods * 8 do match() end
  out.code(0x30 + ("}"):byte(), 8)
  out.code(0, 7)                                -- end of block
  local size = 3 + M.bomb_matches * 258
  bomb = HEAD .. head .. period:rep(periods) .. out.finish() .. "\0\0\0\0" .. little_endian(size, 4)
  return bomb
end

return M
