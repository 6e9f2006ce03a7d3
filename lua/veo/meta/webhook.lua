---@meta
--- Callbacks: what they say, whether they are genuine, and a receiver of them. spec/meta_spec.lua holds this against
--- webhook.lua and receiver.lua.

---@class veo.webhook.Event
---@field taskId string
---@field code? integer      200, or why the task failed
---@field msg? string
---@field says "succeeded"|"failed"  what the body claims: a hint, no more
---@field resultUrls? string[]
---@field originUrls? string[]
---@field resolution? string
---@field raw table             the decoded body
---@field verified boolean
---@field timestamp? integer  of the signature
---@field replay? boolean    it was handled before

---@class veo.webhook.Memory
local Memory = {}

---`veo.webhook`. Needs neither the core nor a client.
---@class veo.webhook
---@field window integer    seconds that a signature's time may lie in the past or in the future
---@field max_body integer  bytes of a callback's body at most
local webhook = {}

---Reads a callback's body. Whether it is genuine is another question: verify answers it.
---@param body string
---@return veo.webhook.Event|nil event
---@return veo.Error err  malformed
function webhook.parse(body) end

---The signature of a task and a time: base64(HMAC-SHA256(key, taskId .. "." .. timestamp)).
---@param key string
---@param taskId string
---@param timestamp string|integer  unix seconds
---@return string|nil signature
---@return veo.Error err  missing: luaossl is not installed
function webhook.signature(key, taskId, timestamp) end

---Whether a callback is genuine: signed with the account's key, and lately.
---@param headers table<string, string|string[]|number>|table  as the web server has them: names in any case or as CGI's HTTP_X_…, values as lists of one; or lua-http's headers object
---@param body string
---@param key string                     the account's webhookHmacKey
---@param options { now: integer|nil, window: number|nil }|nil  unix seconds instead of os.time(); seconds instead of 300
---@return veo.webhook.Event|nil event
---@return veo.Error err  unverified, malformed, missing
function webhook.verify(headers, body, key, options) end

---A memory of the callbacks that were handled. A callback is remembered only once handling it has succeeded: a crash
---before that must not make the service's next try look like a replay.
---@param options { now: (fun(): number)|nil, window: number|nil }|nil
---@return veo.webhook.Memory
function webhook.memory(options) end

---What was remembered with a callback that was handled before, or nil.
---@param event veo.webhook.Event
---@return any
function Memory:recall(event) end

---@param event veo.webhook.Event  a verified one
---@param value any|nil            given back by recall; true unless given
function Memory:remember(event, value) end

---@class veo.receiver.Options
---@field client veo.Client
---@field host? string           "127.0.0.1" unless given
---@field port? integer          a free one unless given
---@field path? string           "/veo/callback" unless given
---@field url? string            how the service reaches it
---@field loop? any              a cqueues loop that runs already
---@field on_status? fun(status: veo.Status, event: veo.webhook.Event)  as a job of the client, after the service got its answer

---`veo.receiver`.
---@class veo.receiver
local receiver = {}

---@class veo.Receiver
---@field url string             what to give as callBackUrl
---@field port integer
local Receiver = {}

---Listens. Nothing happens until its loop runs: receiver:run(), or the loop that was given.
---@param options veo.receiver.Options
---@return veo.Receiver|nil receiver
---@return veo.Error err
function receiver.new(options) end

---Runs the loop until every job of the client has ended, or for so many seconds.
---@param seconds number|nil
---@return true|nil, veo.Error err
function Receiver:run(seconds) end

---Stops listening; to be called before the client is closed. A loop that goes on forgets the client's descriptor.
function Receiver:close() end
