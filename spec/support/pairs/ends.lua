--- The ends an exchange can come to. A new end is one more entry:
---   name
---   kinds       which kinds can come to it: a function of a kind
---   transports  over which (all)
---   lane        what a fault server does to it, or a function of the row; without one nginx answers
---   fresh       it befalls a new connection, so nothing else is under way on that server
---   kills       it takes the connection along, and what else is on it
---   host        (row) → the origin it goes to instead; `lost`: what goes to the client's base_url cannot be tried then
---   forms       what it can look like: the rows take them in turn, each has one as row.form
---   o           (row) → what the kind is started with
---   act         (row, job) → reply | nil, failure: drives it to its end (row:finish)
---   expect      (row, reply, failure) → what is wrong, or nil
local M = {}

-- ------------------------------------------------------------------ whom

local function any() return true end
local function on_network(kind) return not kind.save end
local function api(kind) return kind.api end
local function answered(kind) return kind.api or kind.base end
local function file(kind) return kind.file end
local function streamed(kind) return kind.name == "function" end
local function save(kind) return kind.save end
local function upload(kind) return kind.body end
local function with_address(kind) return kind.file or kind.name == "call" or kind.body end
local function with_body(kind) return on_network(kind) and kind.name ~= "warm" end
-- A billable call speaks HTTP/1.1, and what may have left of it is not cut.
local function not_billable(fn) return function(kind) return fn(kind) and not kind.billable end end

-- ------------------------------------------------------------------ what

local function reply(_, got, failure) if not got then return failure.reason .. ": " .. failure.message end end

local function code(wanted)
  return function(_, got, failure)
    if not got then return failure.reason .. ": " .. failure.message end
    if got.code and got.code ~= wanted then return "code " .. tostring(got.code) end
  end
end

local function fails(...)
  local wanted = { ... }
  return function(_, got, failure)
    if got then return "it succeeded" end
    for _, reason in ipairs(wanted) do if failure.reason == reason then return nil end end
    if #wanted > 0 then return failure.reason .. ": " .. failure.message end
  end
end

local cut = fails "cancelled"
local broken = fails("network", "malformed")

-- ------------------------------------------------------------------ how

local function cancel(job)
  if not job.transfer then return nil, job.failure end
  local done = job.transfer:cancel()
  return nil, { reason = done and "cancelled" or "under way", message = "not cut" }
end

local function cancel_when(event)
  return function(row, job)
    if not row:told(event) then return nil, { reason = "hung", message = "nothing came to " .. event } end
    return cancel(job)
  end
end

-- By then a billable request may have left, and is not cut; and where the machine stood still in the step, or a connection
-- was up, the whole exchange may be over. Both are to end well.
local function cancel_after_step(row, job)
  row:step()
  local _, failure = cancel(job)
  local over = job.transfer and not job.transfer:running()
  if failure.reason ~= "cancelled" and (over or row.first.billable) then return row:finish(job) end
  return nil, failure
end

local function cut_or_good(row, got, failure)
  if not got then return cut(row, got, failure) end
end

local function cancel_in_file(row, job)
  row:until_true(function()
    local bytes = job.transfer:progress()
    return bytes and bytes > 0
  end)
  return cancel(job)
end

local function cancel_paused(row, job)
  row:quiet()
  return cancel(job)
end

-- Reads nothing until the connection is gone.
local function finish_late(row, job)
  row:quiet()
  row:leave(0.2)
  row:quiet()
  return row:finish(job)
end

-- Reads nothing for longer than the exchange may take. A busy machine may be away for so long that it gets its time once
-- more, and what lies in its socket counts for 60 turns: a reader who came back sooner got all of it.
local function outstay(row, job)
  row:quiet()
  for _ = 1, 2 do
    row:leave(0.2)
    for _ = 1, 100 do row:step() end
  end
  return row:finish(job)
end

local function within(seconds)
  return function() return { times = { timeout = seconds } } end
end

local SHORT = within(0.15)

-- ----------------------------------------------------------------- the list

-- A label that is too long: the resolver says no without asking a server, whose answer may be lost for 5 s.
local NOWHERE = ("no-such-host-"):rep(5) .. ".invalid"

local function scheme(row) return row.transport == "http" and "http" or "https" end

M.list = {
  { name = "good", kinds = any, expect = reply },
  { name = "refused", kinds = answered, lane = { all = "refuse" }, expect = code(402) },
  { name = "refused in the body", kinds = api, lane = { all = "refuse_in_body" }, expect = code(402) },
  { name = "no JSON", kinds = api, lane = { all = "page" }, expect = fails "malformed" },
  { name = "no such file", kinds = file, o = function(row) return { url = row.origin .. "/gone/x" } end,
    expect = fails "http" },
  { name = "name taken", kinds = save, o = function(row) return { to = row.world.upload } end,
    expect = fails "exists" },
  { name = "no folder", kinds = save, o = function(row) return { to = row.world.dir .. "/none/x" } end,
    expect = fails "io" },
  { name = "nothing to upload", kinds = upload, o = function() return { source = "/none/x" } end,
    expect = fails("invalid", "io") },
  { name = "no address", kinds = with_address, o = function(row) return { url = row.origin .. ":1:1/" } end,
    expect = fails "invalid" },
  { name = "too large", kinds = api, lane = { all = "too_large" }, expect = fails "too_large" },
  { name = "larger than max_bytes", kinds = file, o = function() return { max_bytes = 100000 } end,
    expect = fails "too_large" },

  { name = "unknown host", kinds = on_network, lost = true, expect = fails "network",
    host = function(row) return scheme(row) .. "://" .. NOWHERE end },
  { name = "nobody listens", kinds = on_network, lost = true, expect = fails "network",
    host = function(row) return scheme(row) .. "://127.0.0.1:1" end },
  { name = "reset at once", kinds = on_network, fresh = true, lane = { accept = "reset" }, expect = broken },
  { name = "closed at once", kinds = on_network, fresh = true, lane = { accept = "close" }, expect = broken },
  { name = "silent at once", kinds = on_network, fresh = true, lane = { accept = "hang" }, o = SHORT,
    expect = broken },

  { name = "queued, cancelled", kinds = any, expect = cut, act = function(_, job) return cancel(job) end },
  { name = "connecting, cancelled", kinds = on_network, expect = cut_or_good, act = cancel_after_step },
  { name = "sent, cancelled", kinds = not_billable(on_network), lane = { all = "hang_head" }, expect = cut,
    act = cancel_when "head" },
  { name = "sending, cancelled", kinds = upload, lane = { all = "hang_request" }, expect = cut,
    act = cancel_when "request" },
  { name = "headers there, cancelled", kinds = not_billable(with_body), lane = { all = "hang_headers" }, expect = cut,
    act = cancel_when "headers" },
  { name = "in the body, cancelled", kinds = not_billable(with_body), lane = { all = "hang_body" }, expect = cut,
    act = cancel_when "body" },
  { name = "in a file, cancelled", kinds = file, expect = cut, act = cancel_in_file,
    o = function(row) return { url = row.origin .. "/slowest/first-600k.bin" } end },
  { name = "paused, cancelled", kinds = streamed, expect = cut, act = cancel_paused,
    o = function() return { stream = 1024 } end },
  { name = "paused, out of time", kinds = streamed, expect = fails "network", act = outstay,
    o = function() return { stream = 1024, times = { timeout = 0.1 } } end },
  { name = "paused, reset", kinds = streamed, kills = true, lane = { all = "reset_body" }, expect = fails "network",
    act = finish_late, o = function() return { stream = 1024 } end },
}

local function add(ending) M.list[#M.list + 1] = ending end

-- TLS that fails, and connections that end right behind its handshake.
local TLS = { tls = true, h2 = true }
add { name = "TLS fails", kinds = on_network, transports = TLS, fresh = true, expect = fails "network",
  forms = { "untrusted", "wrong_name", "alert", "close" }, lane = function(row) return { tls = row.form } end }
add { name = "TLS hangs", kinds = on_network, transports = TLS, fresh = true, expect = fails "network",
  lane = { tls = "hang" }, o = SHORT }
for _, how in ipairs { "reset", "close", "hang" } do
  add { name = "behind TLS: " .. how, kinds = on_network, transports = TLS, fresh = true,
    lane = { greeted = how }, o = how == "hang" and SHORT or nil, expect = broken }
end

-- Ends of phases.lua. Whole headers are all that a warm connection asks for.
local WHOM = { request = upload, head = on_network, headers = with_body, body = with_body }
for _, phase in ipairs { "request", "head", "headers", "body" } do
  for _, how in ipairs { "reset", "close", "hang", "rst", "goaway" } do
    local h2_only = how == "rst" or how == "goaway"
    add { name = ("%s: %s"):format(phase, how), lane = { all = how .. "_" .. phase },
      kinds = h2_only and not_billable(WHOM[phase]) or WHOM[phase], transports = h2_only and { h2 = true } or nil,
      kills = how ~= "hang" and how ~= "rst", o = how == "hang" and SHORT or nil, expect = broken }
  end
end

-- What only HTTP/2 knows.
for _, how in ipairs { "refuse", "goaway" } do
  add { name = "unprocessed: " .. how, kinds = not_billable(on_network), transports = { h2 = true }, kills = true,
    lane = { h2_get = how, h2_post = how, h2_head = how }, expect = broken }
end
add { name = "the last on its connection", kinds = not_billable(answered), transports = { h2 = true },
  lane = { all = "last" }, expect = reply }

-- Where a result's link may not lead, or leads to nothing. nginx redirects /to/<number>.
M.forbidden = {
  "file:///etc/passwd", "ftp://127.0.0.1/x?key=1", "gopher://127.0.0.1/x", "dict://127.0.0.1/x", "scp://127.0.0.1/x",
  "smb://127.0.0.1/x/y", "http:ok",
}
M.unreachable = {
  "///ok", "http://" .. NOWHERE .. "/x", "http://" .. ("long."):rep(60) .. "invalid/x",
  "http://x\195\188--\226\128\174/x",
}
M.redirects = {}
for _, to in ipairs(M.forbidden) do M.redirects[#M.redirects + 1] = to end
for _, to in ipairs(M.unreachable) do M.redirects[#M.redirects + 1] = to end

---The path that redirects to this.
function M.path_to(target)
  for i, to in ipairs(M.redirects) do if to == target then return "/to/" .. i end end
end

local function redirect(row) return { url = row.origin .. M.path_to(row.form) } end

add { name = "redirect refused", kinds = file, forms = M.forbidden, o = redirect, expect = fails() }
add { name = "redirect to nowhere", kinds = file, forms = M.unreachable, o = redirect, expect = fails() }

return M
