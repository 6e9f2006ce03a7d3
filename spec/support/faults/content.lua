-- Files whose every block says which file it is of and where it stands, so that bytes of another file or place show.
local M = {}

local BLOCK = 4096
-- The client's own looks want the boxes of an MP4; the last one goes on to the end.
local HEAD = "\0\0\0\24ftypisom\0\0\2\0isomiso2" .. "\0\0\0\8moov" .. "\0\0\0\0mdat"
local made = {}

---The content of "anything-<n>k.bin": n KiB.
function M.of(name)
  if not made[name] then
    local blocks = { HEAD }
    for i = 1, math.floor(tonumber(name:match("(%d+)k")) * 1024 / BLOCK) do
      local mark = ("%s:%d|"):format(name, i)
      blocks[i + 1] = mark:rep(math.ceil(BLOCK / #mark)):sub(1, i == 1 and BLOCK - #HEAD or BLOCK)
    end
    made[name] = table.concat(blocks)
  end
  return made[name]
end

return M
