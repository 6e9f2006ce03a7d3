---@meta veo.core
--- The C module: HTTP, bytes, files and time. Programs use it through `veo`; `extend` and `status` are the plain bindings
--- of the two calls, one attempt each. spec/meta_spec.lua holds this against src/.

---@class veo.core
---@field version string
---@field interface integer      changes whenever the Lua half must
---@field base_url string        the service's address
---@field curl_version string    of the libcurl that is loaded
local core = {}

---@class veo.core.Options
---@field api_key string
---@field base_url? string       the service's address unless given
---@field user_agent? string
---@field ca_file? string
---@field proxy? string|false    false: none
---@field allow_http? boolean    plain http also to other machines
---@field timeout? number        seconds of an exchange
---@field connect_timeout? number  seconds until a connection stands
---@field max_in_flight? integer
---@field extend_path? string    the documented path unless given
---@field status_path? string    the documented path unless given
---@field frame_budget? number   seconds that `step(0)` gives to the network

---What the service answered.
---@class veo.core.Reply
---@field http_status integer
---@field code? integer          in its body
---@field msg? string            in its body
---@field data? any              in its body, decoded
---@field retry_after? number    seconds

---Why an exchange did not complete.
---@class veo.core.Failure
---@field reason string
---@field message string
---@field sent? "no"|"maybe"|"yes"  whether bytes of the request may have left
---@field curl_code? integer
---@field http_status? integer
---@field timed_out? boolean
---@field excerpt? string        of an unreadable body

---Misuse raises. The key lives in memory of the client's own and is wiped by `close`.
---@param options veo.core.Options
---@return veo.core.Client
function core.new(options) end

---Seconds of a clock that nobody sets.
---@return number
function core.now() end

---A file to download to: in `path`, from its beginning unless `resume` is true.
---@param path string
---@param options? { resume: boolean }
---@return veo.core.Sink|nil sink
---@return table|nil failure
function core.sink(path, options) end

---What there is under a name; a link is what it leads to, and "link" when that is nothing.
---@param path string
---@return "file"|"directory"|"other"|"link"|nil
function core.kind(path) end

---The path from the root, its folder without links; nil when there is no such folder.
---@param path string
---@return string|nil
function core.absolute(path) end

---@param path string
---@return true|nil, string|nil why
function core.remove(path) end

---@param from string
---@param to string
---@return true|nil, string|nil why
function core.rename(from, to) end

---Writes a small file in place of what was there.
---@param path string
---@param text string
---@return true|nil, string|nil why
function core.write(path, text) end

---Makes an empty file where there was none.
---@param path string
---@return true|nil, string|nil why
function core.create(path) end

---The first bytes of a regular file of ours; nothing when it is none, nil and a failure when it cannot be opened.
---@param path string
---@return string|nil bytes
---@return table|nil failure
function core.read(path) end

---@param path string
---@return true|nil, string|nil why
function core.mkdir(path) end

---Random bytes, at most 64.
---@param count integer
---@return string
function core.random(count) end

---As pcall; a write past the limit on the length of files fails in it instead of killing the process. What it calls
---cannot yield.
---@param fn function
---@param ... any
---@return boolean ok
---@return any ...
function core.hold_pcall(fn, ...) end

---"device.inode" of a file, or of the namespace that a link in /proc leads to.
---@param path string
---@return string|nil
function core.identity(path) end

---Keeps others from removing the log of a SQLite database until this process ends.
---@param path string
---@return boolean
function core.keep_log(path) end

---This process's number, as its own PID namespace counts.
---@return integer
function core.pid() end

---False when this PID namespace certainly has no process of that number.
---@param pid integer
---@return boolean
function core.exists(pid) end

---Seconds since the machine started, sleep included.
---@return number|nil
function core.boottime() end

---@return userdata|nil guard  nil where descriptors cannot be listed
function core.guard() end

---The SHA-256 of bytes, in hex.
---@param bytes string
---@return string
function core.digest(bytes) end

---From here on SIGINT, SIGTERM and SIGHUP are noted, unless they are ignored, and a closed pipe is an error of the write.
function core.take_signals() end

---The signal that came since the last call, and how many came in all but for SIGHUP.
---@return "INT"|"TERM"|"HUP"|nil name
---@return integer|nil count
function core.signal() end

---How wide the terminal of a descriptor is; nil when it is none.
---@param fd integer
---@return integer|nil
function core.columns(fd) end

---The value lives as long as the userdata.
---@param userdata userdata
---@param value any
function core.keep(userdata, value) end

---@class veo.core.Client: userdata
local Client = {}

---POST of an extension, one attempt, blocking, unchecked. Billable.
---@param params table
---@param options? { timeout: number }
---@return veo.core.Reply|nil reply
---@return veo.core.Failure|nil failure
function Client:extend(params, options) end

---GET of a task's record, one attempt, blocking.
---@param taskId string
---@param options? { timeout: number }
---@return veo.core.Reply|nil reply
---@return veo.core.Failure|nil failure
function Client:status(taskId, options) end

---As `status`; the usual record is read here, in C.
---@param taskId string
---@param options? { timeout: number }
---@return table|nil reply
---@return veo.core.Failure|nil failure
function Client:look(taskId, options) end

---Starts an exchange, a download or an upload without waiting.
---@param operation string
---@param request any
---@param options? table
---@param tag? any               what `take` returns with it
---@return veo.core.Transfer
function Client:start(operation, request, options, tag) end

---Connects ahead of time.
---@return veo.core.Transfer
function Client:warm() end

---Lets transfers go on; sleeps at most that long.
---@param ms? number             milliseconds
---@return integer completions   that wait to be taken
function Client:step(ms) end

---The next transfer that has ended or has news, and its tag.
---@return veo.core.Transfer|nil transfer
---@return any tag
function Client:take() end

---Operations that have not ended, and those that wait to be taken.
---@return integer, integer
function Client:under_way() end

---Calls that could be started without waiting for one another.
---@return integer
function Client:room() end

---When step is wanted next, on the clock of core.now.
---@param seconds? number
function Client:wake_at(seconds) end

---@return integer|nil
function Client:pollfd() end

---@return "r"
function Client:events() end

---@param waiting? boolean
---@return number|nil seconds
function Client:timeout(waiting) end

function Client:close() end

---@return boolean
function Client:closed() end

---@return table
function Client:stats() end

---@class veo.core.Transfer: userdata
local Transfer = {}

---@return boolean
function Transfer:running() end

---False while it runs; then a reply, or nil and a failure, once.
---@return veo.core.Reply|false|nil reply
---@return veo.core.Failure|nil failure
function Transfer:result() end

---`take` will return this value with the transfer.
---@param value any
---@return boolean  false when it was taken
function Transfer:tag(value) end

---@return integer bytes
---@return integer|nil total
function Transfer:progress() end

---What the reply says of a file that has begun to come.
---@return table|nil
function Transfer:headers() end

---The bytes of a stream that have come.
---@return string|nil
function Transfer:read() end

---@return boolean  false when it may not be cut: billable, and bytes may have left
function Transfer:cancel() end

---@class veo.core.Sink: userdata
local Sink = {}

---@return integer bytes
function Sink:size() end

---@param offset integer
---@param count integer
---@return string
function Sink:read(offset, count) end

---@param bytes? integer
---@return true|nil, table|nil failure
function Sink:truncate(bytes) end

---@return string
function Sink:path() end

function Sink:close() end

---Whether there was no such file.
---@return boolean
function Sink:created() end

---False where the file system knows no locks.
---@return boolean
function Sink:locked() end

return core
