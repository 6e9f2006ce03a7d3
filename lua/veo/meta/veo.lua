---@meta veo
--- What `require "veo"` returns. The other files here have the classes that it names; none of them is ever loaded by a
--- program. spec/meta_spec.lua holds all of them against the code.

---What a command needs of a process of its own: functions of veo.core.
---@class veo.console
---@field take_signals fun()  from here on SIGINT, SIGTERM and SIGHUP are noted
---@field signal fun(): ("INT"|"TERM"|"HUP")?, integer?  the one that came since the last call, and how many came in all
---@field columns fun(fd: integer): integer?  how wide its terminal is; nil when it is none
---@field kind fun(path: string): ("file"|"directory"|"other"|"link")?  what stands there; "link": to nothing

---@class veo
---@field _VERSION string
---@field curl_version string    of the libcurl that is loaded
---@field errors veo.errors      every code, what it means and what to do next
---@field console veo.console
---@field prices veo.Prices      what calls cost, and of which day that is
---@field webhook veo.webhook    signatures and bodies of callbacks
---@field receiver veo.receiver  receives callbacks (needs cqueues)
---@field simulator veo.simulator  the service on loopback (needs cqueues)
local veo = {}

---A client. What is not given comes from the environment: KIE_API_KEY, KIE_BASE_URL, KIE_UPLOAD_URL, KIE_WEBHOOK_KEY.
---Misuse raises at the caller's line.
---@param options? veo.Options
---@return veo.Client
function veo.new(options) end

---Seconds of a clock that nobody sets: from no date, for how long something takes.
---@return number
function veo.now() end

---As Lua's `assert`, whose 5.1 takes no table for a message and drops our error.
---@generic T
---@param value T|nil
---@param err any
---@param ... any
---@return T, any ...  what it was given
function veo.assert(value, err, ...) end

---Loads now what is otherwise loaded at first use: for a host that later drops `require` or other globals, changes its
---folder while `package.path` is relative, or loads another lua-veo beside this one. Raises when it cannot.
function veo.preload() end

return veo
