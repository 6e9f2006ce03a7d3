--- A multipart/form-data body, taken apart as it arrives: fields are kept, files go to a sink.
local M = {}

local FIELD_LIMIT = 64 * 1024
local HEADERS_LIMIT = 8 * 1024
local BOUNDARY_LIMIT = 70 -- of the standard; every piece is searched for it
local PARTS = 100

--- @param boundary string
--- @param open fun(name: string, filename: string, headers: string): fun(piece: string)  called for each file
--- @return fun(piece: string) push, fun(): table|nil, string|nil finish  fields by name, or nil and what is wrong
function M.parser(boundary, open)
  local mark = "\r\n--" .. boundary:sub(1, BOUNDARY_LIMIT)
  local buffer, state, wrong = "\r\n", "preamble", nil
  local fields, sink, field, parts = {}, nil, nil, 0

  local function emit(piece)
    if piece == "" or state ~= "part" then return end
    if sink then
      sink(piece)
    elseif field and #fields[field] + #piece <= FIELD_LIMIT then
      fields[field] = fields[field] .. piece
    end
  end

  -- "--" ends it, CRLF and headers start the next part; nil when more bytes are needed.
  local function after_mark()
    if #buffer < 2 then return nil end
    if buffer:sub(1, 2) == "--" then
      state, buffer = "end", ""
      return true
    end
    local from, to = buffer:find("\r\n\r\n", 1, true)
    if (from or #buffer) > HEADERS_LIMIT or parts == PARTS then
      state, buffer, wrong = "end", "", wrong or "too many parts, or too long headers of one"
      return true
    end
    if not from then return nil end
    parts = parts + 1
    local headers = buffer:sub(1, from - 1)
    buffer, state = buffer:sub(to + 1), "part"
    local name, filename = headers:match('[; ]name="([^"]*)"'), headers:match('filename="([^"]*)"')
    sink, field = nil, nil
    if not name then
      wrong = wrong or "a part without a name"
    elseif filename then
      sink = open(name, filename, headers)
    else
      field = name
      fields[name] = ""
    end
    return true
  end

  local function push(piece)
    if state == "end" then return end
    buffer = buffer .. piece
    while state ~= "end" do
      if state == "mark" then
        if not after_mark() then return end
      else
        local from, to = buffer:find(mark, 1, true)
        if not from then
          local safe = #buffer - #mark + 1  -- what cannot be the start of a mark
          if safe > 0 then
            emit(buffer:sub(1, safe))
            buffer = buffer:sub(safe + 1)
          end
          return
        end
        emit(buffer:sub(1, from - 1))
        buffer, state = buffer:sub(to + 1), "mark"
      end
    end
  end

  return push, function()
    if wrong then return nil, wrong end
    if state ~= "end" then return nil, "the closing boundary is missing" end
    return fields
  end
end

return M
