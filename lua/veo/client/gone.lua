--- Methods of earlier versions. Each raises an error that names what to write instead.

local pairs = pairs

local GONE = {
  extend_and_wait = "assert(client:extend(…)):wait(…), or client:extend_and_save(…)",
  get_1080p = 'client:task(id):upgrade("1080p", options)',
  get_4k = 'client:task(id):upgrade("4k", options)',
  pollfd = "client.loop:pollfd()",
  events = "client.loop:events()",
  timeout = "client.loop:timeout()",
  warm = "client.loop:warm()",
  preview = "the command `veo preview`; examples/preview.lua does it from a script",
}

---@param Client veo.Client   the class
---@param tools veo.client.Tools
return function(Client, tools)
  for name, instead in pairs(GONE) do
    Client[name] = function(self)
      tools.context(self, name)
      tools.misuse(name, "is gone: write " .. instead)
    end
  end
end
