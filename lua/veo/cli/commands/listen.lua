--- `veo listen`: receives the service's callbacks into the ledger until Ctrl-C. It steps the client inside a loop of its
--- own, and so is no job of the session's.

local lazy = require("veo.util.lazy").room -- help needs no core

local arguments = require "veo.cli.arguments"
local json = require "veo.cli.json"
local phrases = require "veo.cli.phrases"
local veo = lazy "veo"
local visible = require "veo.util.visible"

local M = { alone = true }

-- How often signals are asked for (seconds).
local LISTEN = 0.5

function M.arguments(parser)
  local listen = parser:command("listen", "Receive the service's callbacks into the ledger until Ctrl-C. Free.")
  listen:option("--port", "Listen on this port (any that is free)."):argname("N"):convert(arguments.whole "--port")
  listen:option("--bind", "Listen on this address (127.0.0.1)."):argname("ADDRESS"):convert(arguments.line)
  listen:option("--url", "How the service reaches it: a web server that does TLS stands in front."):argname("URL")
    :convert(arguments.line)
  arguments.ledger(listen)
  arguments.network(listen)
end

local function tell(session, fields, text)
  return session.term:result(session.args.json and json.encode(fields) or visible(text))
end

---@param session veo.cli.Session
---@param client veo.Client
---@return table|nil outcome, veo.Error|nil err
function M.listen(session, client)
  local args, written = session.args, true
  session.hears = { callback = function(_, event)
    if event.err then session.term:problem("refused: " .. phrases.message(event.err)) end
  end }
  local receiver, err = veo.receiver.new { client = client, host = args.bind, port = args.port, url = args.url,
    on_status = function(status)
      local text = ("task %s: %s%s"):format(status.taskId, status.state, status.video_url and " " .. status.video_url
        or "")
      written = tell(session, { event = "callback", taskId = status.taskId, state = status.state,
        video_url = status.video_url }, text) and written
    end }
  if not receiver then return nil, err end
  session.term:note("listening until Ctrl-C; give this to orders, as --callback:")
  written = tell(session, { event = "listening", url = receiver.url, port = receiver.port }, receiver.url)
  local ok = true
  while ok and written and not veo.console.signal() do ok, err = receiver:run(LISTEN) end
  receiver:close()
  if not ok then return nil, err end
  return { told = true, exit = written and 0 or 3 }
end

return M
