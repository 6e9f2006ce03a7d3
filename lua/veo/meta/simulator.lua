---@meta
--- The simulator and its rules. spec/meta_spec.lua holds this against lua/veo/simulator/.

---@class veo.simulator.Options
---@field port? integer  of the API; 0: any free one (default: 0)
---@field media_port? integer  of the media host (default: 0)
---@field tls? boolean  https on both, with a throw-away CA (default: false)
---@field public_url? string|false  where clients reach the API when a proxy stands in front (default: false)
---@field public_media_url? string|false  the same of the media host (default: false)
---@field speed? number  seconds of the service that pass in one (default: 1)
---@field render? number  seconds that a task takes, of the service's (default: 300)
---@field render_spread? number  0.2: 20 % shorter or longer (default: 0)
---@field visible? number  seconds until a new task can be seen (default: 0)
---@field credits? number  the balance at the start (default: 10000)
---@field rate? { count: integer, window: number }|boolean  new tasks in real seconds; false: no limit (20 in 10 s unless given)
---@field api_key? string  the key that it takes (default: "sim-key-5b1e9f0c7a3d4862")
---@field source? string  taskId of a finished 8 s video (default: "veo_task_abcdef123456")
---@field unknown? "404"|"record"|"record_info"|"null"|"empty"|"absent"  how an unknown task is told (default: "404")
---@field link_life? number|false  real seconds that a result's link lives; false: for ever (default: false)
---@field deterministic? boolean  taskIds are counted, not random (default: false)
---@field seed? number|false  the same random numbers in each run (default: false)
---@field own_bytes? boolean  each task's files end with a box that holds its taskId (default: false)
---@field webhook_key? string|false  callbacks are signed with it (default: false)
---@field keep? integer  how many requests are kept (default: 20000)
---@field script? veo.simulator.Rule[]  rules, tried in order

---An endpoint that a rule may name.
---@alias veo.simulator.Endpoint "extend"|"status"|"generate"|"credits"|"get_1080p"|"get_4k"|"download_url"|"upload"|"media"|"callback"

---What it waits for, and what happens then. Rules are tried in order; the first that fits decides.
---A replaced answer (`code`, `http`, `form`, `body`, `redirect`, `data`) says something else than the service would: nothing
---happened and nothing is charged, unless `charge = true`. Any other effect is what the service would say, in a bad state:
---the request is carried out and charged, unless `charge = false`.
---@class veo.simulator.Rule
---@field on? veo.simulator.Endpoint|string|(veo.simulator.Endpoint|string)[]  also "METHOD /path" and "*"; any unless given
---@field task? string|number  only requests that name this taskId
---@field match? string  Lua pattern, looked for in "METHOD /path?query" and in the body
---@field nth? integer  only the nth request, from 1, that got as far as this rule and fitted it
---@field skip? integer  lets that many fitting requests pass first
---@field times? integer  how often it applies; always unless given
---@field each? boolean  `nth`, `skip` and `times` are counted for each path and taskId by itself
---@field charge? boolean  carry the request out or not, whatever the answer looks like
---@field code? any  body code; 200 leaves the answer as it is
---@field msg? string|number  the text beside the code
---@field data? any  the data beside the code (a table, or a string of JSON)
---@field http? integer  HTTP status; without code, form or body: a gateway's HTML page
---@field form? "html"|"text"|"empty"|"cut"|"array"|"number"|"garbled"|"gateway"|"huge"|"gzip_bomb"|"deep"
---@field body? string|number  the body, byte for byte
---@field redirect? boolean|string  true: to the same path on localhost; or a URL
---@field code_form? "number"|"float"|"string"|"missing"|"null"
---@field msg_form? "msg"|"message"|"absent"
---@field extra? boolean  unknown keys everywhere
---@field task_id_form? "plain"|"snake"|"absent"|"null"|"number"|"empty"|"data_null"|"json"|"top"|"bare"|"list"|"record"  (json: a string of the object, top: beside data, bare: the id alone, list: of the object, record: a recordId alone)
---@field task_id? string|number  the new task's id, byte for byte; one that is there already is not given again
---@field render? number  seconds that the task takes
---@field visible? number  seconds until the task can be seen
---@field fail? "2"|"3"|integer  the task ends so
---@field error_code? any  errorCode of a failed task
---@field error_message? string|number  errorMessage of a failed task
---@field state? "generating"|"succeeded"|"failed"  whatever the clock says
---@field job_state? string|number  state of the jobs family, any word, or absent
---@field job_result? "both"|"response"|"json"  where the jobs family puts the result
---@field flag? any  successFlag: a number, a string, or null | absent
---@field flag_form? "number"|"string"|"float"
---@field error_form? "number"|"string"|"null"|"zero"|"absent"
---@field urls? "both"|"result_only"|"none"
---@field list_form? "array"|"json"|"bare"|"url"|"null"|"absent"|"empty"
---@field list_at? "response"|"info"|"data"
---@field response? "object"|"string"|"null"|"absent"
---@field consumed? any  creditsConsumed of the record: a number or text; the jobs family has it without
---@field time_form? "ms"|"string"|"text"|"iso"|"null"|"empty"|"absent"
---@field unknown? "404"|"record"|"record_info"|"null"|"empty"|"absent"|integer  the form in which the task is unknown
---@field not_ready? "400"|"404"|"422"|integer  1080P not there yet, in this form
---@field delay? number  seconds before the first byte
---@field drip? number  body bytes a second
---@field cut? "random"|integer  after any number of bytes of the body, or after that many, it closes
---@field stall? integer  say nothing more after that many bytes of the body
---@field close? "unanswered"|"headers"|"after"  (answer well, then close without having announced it)
---@field hang? boolean  never answer
---@field garbage? boolean  answer with bytes that are not HTTP
---@field gzip? boolean  body compressed
---@field chunked? boolean  chunked transfer
---@field length? integer  Content-Length off by that much
---@field complain? "chunk"|"length"|"open"|"junk"  the body whole, and then no last chunk, less than its Content-Length, the same with the connection kept, bytes behind the gzip data
---@field headers? table<string, string>  more reply headers, name = value
---@field retry_after? string|number  number of seconds, "date:SECONDS" for an HTTP-date, or any text
---@field etag? string|number|false  another version of the file: its ETag; false: neither ETag nor date
---@field ranges? boolean  false: Range is ignored
---@field align? integer  a part begins at a multiple of so many bytes, at or before the one asked for
---@field piece? integer  a part has so many bytes at most
---@field untold? boolean  a part does not say how long the whole is
---@field until_close? boolean  no Content-Length; the end of the connection ends the body
---@field content_type? string|number  another Content-Type
---@field clip? "source"|"hop1"|"hop2"|"hop3"|"part"  that clip instead
---@field skip_callback? boolean  none is sent
---@field repeats? integer  how often the same callback is sent
---@field forge? "signature"|"timestamp"|"none"  wrong or missing
---@field snake? boolean  task_id for taskId
---@field no_info? boolean  info is missing

---`veo.simulator`: the service on loopback. Needs cqueues.
---@class veo.simulator
local simulator = {}

---Starts a simulator beside the caller and waits until it listens.
---@param options? veo.simulator.Options
---@return veo.Simulator
function simulator.start(options) end

---A running simulator, from another process.
---@param control_url string the starter's sim.control_url
---@return veo.Simulator
function simulator.connect(control_url) end

---Runs in the foreground and says where; comes back only when it cannot start.
---@param options? veo.simulator.Options
---@param say fun(line: string)|nil
---@return nil, string why
function simulator.run(options, say) end

---@class veo.Simulator
---@field url string base URL of the API
---@field media_url string base URL of the media host
---@field upload_url string base URL of the upload host
---@field control_url string
---@field port integer of the API; another than in url when a proxy stands in front
---@field media_port integer
---@field ca_file? string  CA certificate, when tls
---@field api_key string
---@field source string taskId of a finished 8 s video
local Simulator = {}

---Replaces the script. Rules are tried in order, the first that fits decides.
---@param rules veo.simulator.Rule[]
function Simulator:script(rules) end

---The requests it got, in order: number, method, path, target, query, headers (lower-case names), body, json, time,
---connection, nth_on_connection, listener, endpoint, task_id, http, effect, body_sent (bytes of the answer's body).
---@param filter table|nil  method, path, endpoint, listener, connection, task_id, after
---@return table[]
function Simulator:requests(filter) end

---How many requests arrived.
---@param method string|nil  with path; without both: all
---@param path string|nil
---@return integer
function Simulator:count(method, path) end

---What was charged: the truth. By taskId { count, credits }, and the list of charges in order (taskId, credits,
---operation, model, source, prompt, callBackUrl, request, time, user_agent).
---@return table<string, table> by_task, table[] list
function Simulator:charges() end

---The balance; with a number, sets it first.
---@param value? number
---@return number
function Simulator:credits(value) end

---Every task: taskId, kind, state, hop, source, prompt, seeds, model, watermark, callBackUrl, visible, upgraded.
---@return table[]
function Simulator:tasks() end

---What a good client never does: { request = number, what = text, method, path }.
---@return table[]
function Simulator:violations() end

---The callbacks sent: taskId, url, try, answered (HTTP status) or failed.
---@return table[]
function Simulator:callbacks() end

---Sends a task's callback now, once more, or to another place.
---@param task_id string
---@param effect? veo.simulator.Rule  forge, repeats, snake, no_info, list_form, delay, …
---@param url string|nil  the task's own callBackUrl when absent
function Simulator:call_back(task_id, effect, url) end

---The uploads taken: fileName, uploadPath, size, sha256, url, source (of an upload by URL).
---@return table[]
function Simulator:uploads() end

---Adds a finished or running task: taskId, kind, hop, render, visible, prompt, fail, …
---@param task table
---@return table task
function Simulator:add(task) end

---Everything as at the start, with the script given at the start.
function Simulator:reset() end

---Ends it and waits for its end.
function Simulator:stop() end
