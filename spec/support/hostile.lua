--- Clients that mean harm, as raw sockets. As a program: keeps so many connections of one kind, or of all in turn, alive
-- until its standard input ends, each opened anew when the other side closes it.
--   lua spec/support/hostile.lua PORT PATH COUNT [KIND]

local M = {}

local POST = "POST /PATH HTTP/1.1\r\nHost: a\r\n"
local CHUNKED = POST .. "Transfer-Encoding: chunked\r\n\r\n"
local BODY = '{"code":200,"data":{"taskId":"t"}}'

local function with_length(length, more)
  return POST .. "Content-Length: " .. length .. "\r\n" .. (more or "") .. "\r\n" .. BODY
end

--- What is written at once and, where `drip` is there, again and again.
M.kinds = {
  ["size line without end"] = { CHUNKED .. ("a"):rep(60000), drip = ("a"):rep(4000) },
  ["size line of digits without end"] = { CHUNKED .. ("0"):rep(60000), drip = ("0"):rep(4000) },
  ["chunks of one byte"] = { CHUNKED, drip = ("1\r\na\r\n"):rep(10000) },
  ["chunks that are none"] = { CHUNKED, drip = ("0;\r\n"):rep(100) },
  ["trailers without end"] = { CHUNKED .. "0\r\n", drip = ("a: b\r\n"):rep(1000) },
  ["header line without colon"] = { POST .. ("a"):rep(16000) .. "\r\n\r\n" },
  ["blanks before a colon"] = { POST .. "a" .. (" "):rep(15000) .. "b\r\n\r\n" },
  ["blanks in a value"] = { POST .. "a: b" .. (" "):rep(15000) .. "b\r\n\r\n" },
  ["first line without end"] = { ("A"):rep(60000), drip = ("A"):rep(1000) },
  ["many headers"] = { POST .. ("a:b\r\n"):rep(3000) .. "\r\n", drip = "a:b\r\n" },
  ["one header many times"] = { POST .. ("a: b\r\n"):rep(2000) .. "\r\n" .. BODY },
  ["line ends without end"] = { ("\r\n"):rep(30000), drip = ("\r\n"):rep(2000) },
  ["a byte at a time"] = { POST .. "X: ", drip = "a" },
  ["a byte of a body at a time"] = { with_length(60000), drip = "a" },
  ["silence"] = { "" },
  ["half a body"] = { with_length(60000) },
  ["a huge length"] = { with_length "99999999999999999999" },
  ["a negative length"] = { with_length "-1" },
  ["a hexadecimal length"] = { with_length "0x10" },
  ["two lengths"] = { with_length(#BODY, "Content-Length: 5\r\n") },
  ["length and chunks"] = { with_length(#BODY, "Transfer-Encoding: chunked\r\n") },
  ["another coding"] = { POST .. "Transfer-Encoding: gzip, chunked\r\n\r\n" .. BODY },
  ["pipelined"] = { with_length(#BODY):rep(500), drip = with_length(#BODY):rep(50) },
  ["no such method"] = { "gET /PATH HTTP/1.1\r\n\r\n" },
  ["method without end"] = { ("G"):rep(16000) .. " / HTTP/1.1\r\n\r\n" },
  ["target without end"] = { "GET /" .. ("%41"):rep(5000) .. " HTTP/1.1\r\n\r\n" },
  ["NULs"] = { ("\0"):rep(60000), drip = ("\0"):rep(1000) },
  ["NULs in a header"] = { POST .. "a: " .. ("\0"):rep(10000) .. "\r\n\r\n" },
  ["TLS"] = { "\22\3\1\2\0\1\0\1\252\3\3" .. ("\1"):rep(500) },
  ["HTTP/2"] = { "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" .. ("\0\0\0\4\0\0\0\0\0"):rep(100) },
  ["JSON of lists"] = { POST .. "Content-Length: 60000\r\n\r\n{" .. '"a":[' .. ("[],"):rep(20000) },
  ["JSON of names"] = { POST .. "Content-Length: 60003\r\n\r\n{" .. ('"a":{},'):rep(8571) .. '"b":1}' },
  ["JSON too deep"] = { POST .. "Content-Length: 60000\r\n\r\n" .. ('{"data":'):rep(7500) },
  ["a long taskId"] = { POST .. "Content-Length: 60022\r\n\r\n" .. '{"data":{"taskId":"' .. ("a"):rep(60000)
    .. '"}}' },
}

---@return string[]  in the order of the alphabet
function M.names()
  local names = {}
  for name in pairs(M.kinds) do names[#names + 1] = name end
  table.sort(names)
  return names
end

-- Writes what goes; true while the connection lives.
local function push(guest)
  if guest.at > #guest.text then
    if not guest.drip then return true end
    guest.text, guest.at = guest.drip, 1
  end
  local sent, why, part = guest.sock:send(guest.text, guest.at)
  guest.at = (sent or part or guest.at - 1) + 1
  return sent or why == "timeout"
end

local function open(socket, port, path, kind)
  local sock = socket.tcp()
  sock:settimeout(0)
  sock:connect("127.0.0.1", port)
  return { sock = sock, text = kind[1]:gsub("/PATH", path), drip = kind.drip and kind.drip:gsub("/PATH", path), at = 1 }
end

-- True until the other side has closed it.
local function lives(guest)
  local _, why = guest.sock:receive(4096)
  return why ~= "closed"
end

---@param go_on fun(): boolean
local function attack(socket, port, path, count, kinds, go_on)
  local guests = {}
  while go_on() do
    for i = 1, count do
      local guest = guests[i]
      if guest and not (push(guest) and lives(guest)) then
        guest.sock:close()
        guest = nil
      end
      guests[i] = guest or open(socket, port, path, M.kinds[kinds[i % #kinds + 1]])
    end
    socket.sleep(0.001)
  end
end

if arg and arg[0] and arg[0]:find "hostile%.lua$" then
  local socket = require "socket"
  local parent = { getfd = function() return 0 end, dirty = function() return false end }
  attack(socket, tonumber(arg[1]), arg[2], tonumber(arg[3]), arg[4] and { arg[4] } or M.names(), function()
    return #socket.select({ parent }, nil, 0) == 0
  end)
end

---Starts it; closing what it returns ends it.
---@param port integer
---@param path string
---@param count integer
---@param kind string|nil
function M.start(lua, port, path, count, kind)
  local command = ("%s spec/support/hostile.lua %d %s %d"):format(lua, port, path, count)
  return assert(io.popen(command .. (kind and " '" .. kind .. "'" or ""), "w"))
end

return M
