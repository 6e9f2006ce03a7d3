-- As much of HPACK (RFC 7541) as a test server needs: method, path and whether there was an authorization field.
local M = {}

-- Huffman codes of the characters URLs and methods are made of; within a length they count upwards.
local groups = {
  { 5, 0x0, "012aceiost" },
  { 6, 0x14, " %-./3456789=A_bdfghlmnpru" },
  { 7, 0x5c, ":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz" },
  { 8, 0xf8, "&*,;XZ" },
  { 10, 0x3f8, "!\"()?" },
  { 11, 0x7fa, "'+|" },
}

local codes = {}
for _, group in ipairs(groups) do
  local bits, first, characters = group[1], group[2], group[3]
  for i = 1, #characters do
    codes[bits << 16 | first + i - 1] = characters:sub(i, i)
  end
end

local function huffman(text)
  local out, code, bits = {}, 0, 0
  for i = 1, #text do
    local byte = text:byte(i)
    for shift = 7, 0, -1 do
      code, bits = code << 1 | byte >> shift & 1, bits + 1
      local character = codes[bits << 16 | code]
      if character then
        out[#out + 1] = character
        code, bits = 0, 0
      end
    end
  end
  return table.concat(out) -- a character outside the table ends what can be read; padding is dropped with it
end

-- An integer with a prefix of `bits` bits at `at` → value, position after it.
local function integer(block, at, bits)
  local limit = (1 << bits) - 1
  local value = block:byte(at) & limit
  at = at + 1
  if value < limit then
    return value, at
  end
  local shift = 0
  while true do
    local byte = block:byte(at)
    value = value + ((byte & 127) << shift)
    shift, at = shift + 7, at + 1
    if byte < 128 then
      return value, at
    end
  end
end

local function text(block, at)
  local coded = block:byte(at) & 128 ~= 0
  local length
  length, at = integer(block, at, 7)
  local value = block:sub(at, at + length - 1)
  return coded and huffman(value) or value, at + length
end

-- The few entries of the static table that are looked for.
local static = {
  [2] = { ":method", "GET" }, [3] = { ":method", "POST" }, [4] = { ":path", "/" }, [5] = { ":path", "/index.html" },
  [23] = { "authorization", "" },
}

local function entry(dynamic, index)
  return index > 61 and dynamic[index - 61] or static[index] or { "?", "?" }
end

---A connection's decoder: a function from a header block to { method, path, authorization }.
function M.decoder()
  local dynamic = {}
  return function(block)
    local request = { authorization = false }
    local at = 1
    while at <= #block do
      local byte = block:byte(at)
      local field, index
      if byte & 128 ~= 0 then -- indexed
        index, at = integer(block, at, 7)
        field = entry(dynamic, index)
      elseif byte & 224 == 32 then -- a new size for the dynamic table
        at = select(2, integer(block, at, 5))
      else -- a literal, kept in the dynamic table or not
        local keep = byte & 64 ~= 0
        index, at = integer(block, at, keep and 6 or 4)
        field = { entry(dynamic, index)[1] }
        if index == 0 then
          field[1], at = text(block, at)
        end
        field[2], at = text(block, at)
        if keep then
          table.insert(dynamic, 1, field)
        end
      end
      if field and field[1] == "authorization" then
        request.authorization = true
      elseif field and (field[1] == ":method" or field[1] == ":path") then
        request[field[1]:sub(2)] = field[2]
      end
    end
    return request
  end
end

return M
