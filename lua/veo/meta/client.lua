---@meta
--- A client and its tasks. What the world can do to a call comes back as nil and an error; misuse raises at the
--- caller's line. Inside a job (client:spawn) a call yields until its answer is there, elsewhere it drives the client.
--- An error is declared as always there, though there is none where the value in front of it is: a language server does not
--- see that one of both comes. spec/meta_spec.lua holds this against lua/veo/client/.

---@class veo.Client
---@field loop veo.Loop  what a foreign event loop needs
local Client = {}

---A task that was ordered or named by its id: a plain table, which encodes as JSON, with methods. Results of
---`task:upgrade` are tasks too.
---@class veo.Task
---@field taskId string
---@field state? "generating"|"succeeded"|"failed"|"unknown"|"uncertain"  "uncertain": an order that nobody confirmed
---@field ref? string            of the order in the ledger
---@field key? string            of the order
---@field joined? boolean        it was ordered before: this call cost nothing
---@field already? boolean       its video is at `path` already
---@field path? string           of that video
---@field last_status? table     of one that was joined and has ended
---@field video_url? string      of a status or an upgrade that is there
---@field url? string            the same, of a 1080p version
---@field resultUrls? string[]
---@field processing? boolean    a 4k version that was ordered before and is under way
---@field source? string         of an upgrade: the taskId of the video
---@field version? string        "1080P": of a version without a task of its own
---@field index? integer         of that version
---@field creditsConsumed? number
---@field raw? table             the decoded reply
local Task = {}

---Extends a video. Billable: sent again by itself only when nothing of it left or the service turned it away (429, 455).
---With a ledger an identical order is joined until its video is saved, and a `duplicate` for 24 hours from its end.
---Documentation: POST /api/v1/veo/extend.
---@param params veo.ExtendParams
---@param options? veo.OrderOptions
---@return veo.Task|nil task
---@return veo.Error err  exists, busy, io, invalid, uncertain, insufficient_credits, rejected, duplicate, budget, ledger, …
function Client:extend(params, options) end

---Asks for a task's state, now. Free; repeated on passing errors.
---Documentation: GET /api/v1/veo/record-info.
---@param task string|veo.Task|veo.Status|veo.Record|{ taskId: string }
---@param options? veo.FreeOptions
---@return veo.Status|nil status
---@return veo.Error err  not_found, expired, unauthorized, network, server, malformed, …
function Client:status(task, options) end

---The account's credits; may be fractional. Free.
---@param options? veo.FreeOptions
---@return number|nil credits
---@return veo.Error err
function Client:credits(options) end

---Waits until a task has succeeded. On a timeout the task goes on; waiting again is free.
---@param task string|veo.Task|veo.Status|veo.Record|{ taskId: string }
---@param options? veo.WaitOptions|{ wait: veo.WaitOptions }
---@return veo.Status|nil status
---@return veo.Error err  timeout, failed, no_result, not_found, … with the taskId
function Client:wait(task, options) end

---Saves a finished video. Until it is whole it stands in `target .. ".part"`; a later download goes on from there.
---`source` is a succeeded status, a URL (with the taskId a dead link is made anew), or a task: one look then says where
---its video is, and nothing is waited for.
---With a function as target, it gets the bytes piece by piece, may wait itself, and ends the download by returning
---false.
---@param source string|veo.Status|veo.Task|veo.Record|{ url: string, taskId: string|nil }|{ taskId: string }
---@param target string|fun(chunk: string): false|nil
---@param options? veo.DownloadOptions|{ download: veo.DownloadOptions }
---@return veo.File|nil file
---@return veo.Error err  exists, busy, io, expired, not_video, too_large, changed, network, …; of a task `timeout`: it has not ended, and failed, no_result, not_found, …
function Client:download(source, target, options) end

---Whether download could save under this name now. Nothing is fetched or left behind, but for the folder with `mkdir`.
---An order does the same with its option `path`.
---@param path string
---@param options? veo.CheckPathOptions
---@return true|nil fine
---@return veo.Error err  exists, busy, io, missing
---@return string|nil at  the name from the root, its folder without links: of two spellings of one file the same; nil where there is no such folder
function Client:check_path(path, options) end

---Checks the parameters of an order as the order itself does. Nothing is sent, asked or written.
---@param operation "extend"|"generate"
---@param params veo.ExtendParams|veo.GenerateParams
---@return { body: table, name: string, price: number|nil, warnings: string[] }|nil order  `name`: the same for whatever asks for the same video; `price`: credits
---@return veo.Error err  invalid
function Client:check_order(operation, params) end

---A handle on a task, known by its id. Nothing is asked of the service. Of a table the id is taken, and whether it is
---an order
---of the ledger that nobody has confirmed; what else it says may be of another video.
---@param task string|veo.Task|veo.Status|veo.Record|{ taskId: string }
---@return veo.Task|nil task
---@return veo.Error err  invalid: an order of the ledger that has no task
function Client:task(task) end

---Generates a video. Billable, under the same rules as extend.
---Documentation: POST /api/v1/veo/generate; jobs: the model veo-3-1, which takes no `model`.
---@param params veo.GenerateParams
---@param options? veo.OrderOptions
---@return veo.Task|nil task
---@return veo.Error err
function Client:generate(params, options) end

---A link to a result that works for 20 minutes. Free.
---Documentation: POST /api/v1/common/download-url.
---@param url string  a result's URL, as the service gave it
---@param options? veo.FreeOptions
---@return string|nil url
---@return veo.Error err  rejected when the service does not know the URL
function Client:download_url(url, options) end

---Uploads a file, or has the service fetch one, for `imageUrls`. Free. The file is read while it is sent.
---Documentation: File Upload API, POST /api/file-stream-upload and /api/file-url-upload.
---@param source string|veo.UploadSource  a path, or what to upload
---@param options? veo.UploadOptions|{ retry: veo.RetryOptions }
---@return veo.Uploaded|nil file
---@return veo.Error err
function Client:upload(source, options) end

---The ledger's orders that fit the filter, oldest first, all of them in one list (2 to 3 KiB each): `each_task` holds
---a page at a time.
---@param options? veo.TaskFilter
---@return veo.Record[]|nil tasks
---@return veo.Error err  ledger
function Client:tasks(options) end

---Iterates over the same orders, a page of 200 at a time: `for task, err in assert(client:each_task()) do`. Nobody who
---orders meanwhile waits for it, and the list may be left at any point. An order made meanwhile may come or not; none
---comes twice. Where the ledger fails midway, `task` is false and the loop's last.
---@param options? veo.TaskFilter
---@return nil|fun(): veo.Record|false|nil, veo.Error|nil each
---@return veo.Error err  ledger
function Client:each_task(options) end

---What the ledger's orders have cost: what the service says it took where its record tells, else the price that was
---reserved. Refused and lost orders cost nothing; uncertain ones count. With `by` also a list, one entry for each day
---(UTC) or operation.
---@param options? veo.SpentFilter
---@return veo.Spent|nil spent
---@return veo.Error err  ledger
function Client:spent(options) end

---Reads all of the ledger's file and says whether it is whole; on PostgreSQL, whether it answers. It takes the disk's
---time on the calling thread: seconds for hundreds of megabytes.
---@return true|nil
---@return veo.Error err  ledger
function Client:check_ledger() end

---Takes up every open task of the ledger, also of processes that died and of workers elsewhere that no longer report:
---waits for it, saves it when `path` is given, and hands it over. Returns when nothing is left to do.
---An uncertain order is never sent again; the summary lists those for settle. A path function that raises or returns no
---file name concerns its own task alone.
---@param options? veo.ResumeOptions
---@return veo.ResumeSummary|nil summary
---@return veo.Error err
function Client:resume(options) end

---Closes an order by what a person knows of it: names the task of an uncertain one (which the service must know), says
---that it
---is "lost" (nothing was ordered: its key and price are free again), or that a finished one is "saved" elsewhere.
---A task that was accepted can be "lost" when the service, which is asked, does not know it, or when `force` is true.
---The order's own source, and a task of another order, are refused; so is one whose record has another source or
---prompt or is older than the order, unless `force` is true.
---@param ref string          of the order: err.ref, or from tasks
---@param word string         a taskId, "lost" or "saved"
---@param options? veo.SettleOptions
---@return veo.Record|nil task
---@return veo.Error err  invalid, not_found, …
function Client:settle(ref, word, options) end

---extend, wait and download in one call. With a ledger the same call again goes on where a crash left it and costs
---nothing; when its video is in place it hands that back with `already = true`.
---@param params veo.ExtendParams
---@param path string    where the video is to be saved
---@param options? veo.ExtendAndSaveOptions
---@return veo.File|nil file
---@return veo.Error err
function Client:extend_and_save(params, path, options) end

---Shrinks closed orders (saved, failed, refused, lost) that nobody has touched since to what money needs to know: key,
---a
---hash of the request, taskId, price and charge, day, file. The same request under the same key still finds its task,
---the
---sums stay, and nothing becomes payable again; `params`, `status` and `err` are gone. Open and uncertain orders stay
---whole. Commits of a few milliseconds, with room between them; in a job others go on meanwhile.
---@param options veo.PruneOptions
---@return veo.Pruned|nil summary
---@return veo.Error err  ledger
function Client:prune(options) end

---Extends hop by hop: every prompt extends the video that the one before it made. With a ledger, the same call after a
---crash finds what is paid already and goes on at the first hop that is not.
---@param params veo.ChainParams
---@return veo.Chain|nil result
---@return veo.Error err  with `hop` where it stopped and `hops` that are finished
function Client:chain(params) end

---Calls `fn(item, index)` for every item of a list, each call as a job, and waits for all of them.
---@param list any[]
---@param fn fun(item: any, index: integer): any, any
---@param options? veo.MapOptions
---@return any[] results  what fn returned first, at its item's place
---@return table<integer, any>|nil errors  by place: what it returned second where the first was nil, or what it raised
function Client:map(list, fn, options) end

---Iterates over tasks in the order in which they end: `for taskId, status, err in client:wait_each(ids) do`. A task
---costs under 1 KiB while it is waited for.
---In a job on Lua 5.1 call the iterator yourself: that version cannot yield inside `for … in`.
---@param tasks (string|veo.Task|veo.Status|veo.Record|{ taskId: string })[]
---@param options? veo.WaitEachOptions
---@return fun(): string|nil, veo.Status|nil, veo.Error|nil
function Client:wait_each(tasks, options) end

---A callback came: verifies it, asks for the task's status and returns that. Waits for the task look at once. Handling
---one twice does no harm; answer the service with success whenever this returns a status. Without a webhook key only
---tasks that this client or its ledger knows are looked at, each five times in 10 s, all together a hundred times.
---@param headers table<string, string>
---@param body string
---@param options? veo.CallbackOptions
---@return veo.Status|nil status
---@return veo.webhook.Event|veo.Error event  what the callback says; without a status the error: unverified, malformed, rate_limited, …
function Client:callback(headers, body, options) end

---Sleeps without holding other jobs up.
---@param seconds number
---@return true|nil, veo.Error err
function Client:sleep(seconds) end

---Runs `fn(...)` as a job: its calls of this client yield, and go on in step or run. A call that would have to wait
---where
---Lua cannot yield, as inside gsub or sort, is `busy`. What `fn` raises is the job's error: `job:result()`, or the
---option
---`on_job_error`; where an order of the job's may be paid, it has the taskId or the ref of it.
---@return veo.Job
function Client:spawn(fn, ...) end

---Lets exchanges and jobs go on. With 0 it never sleeps: call it once a frame.
---@param ms number|nil  milliseconds to sleep at most, 0 unless given
---@return integer|nil pending  jobs that have not ended
---@return veo.Error err
function Client:step(ms) end

---Steps until every job has ended.
---@return true|nil, veo.Error err
function Client:run() end

---What the client has done and is doing, as plain numbers in a table of its own. Cheap; waits for nothing. A closed
---client answers with its last ones.
---@return veo.Stats
function Client:stats() end

---Ends every job and frees everything. A billable call under way ends `uncertain`. Closing twice is harmless. In a
---forked
---child it abandons all: jobs, orders and connections are the parent's.
function Client:close() end

---Asks for the task's state, now, as `client:status` does.
---@param options? veo.FreeOptions
---@return veo.Status|nil status
---@return veo.Error err
function Task:status(options) end

---Waits until the task has succeeded, as `client:wait` does. A 1080P version that is there is its own result.
---@param options? veo.WaitOptions|{ wait: veo.WaitOptions }
---@return veo.Status|nil status  a handle too
---@return veo.Error err
function Task:wait(options) end

---Orders an extension of this video, as `client:extend` does. Billable.
---@param params veo.ExtendTaskParams
---@param options? veo.OrderOptions
---@return veo.Task|nil task  the new one
---@return veo.Error err
function Task:extend(params, options) end

---Saves the task's video under a name, or hands it to a function; waits for it first where it has not ended. What
---stands
---in the way of the name is said before anything is waited for.
---@param target string|fun(chunk: string): false|nil
---@param options? veo.SaveOptions
---@return veo.File|nil file
---@return veo.Error err  exists, busy, io, timeout, failed, no_result, not_found, …
function Task:save(target, options) end

---A better version of this finished video, which can no longer be extended afterwards. Both can be saved.
---"1080p": the first call orders it (and costs once); this one asks until it is there. In the jobs family it is an
---order
---like extend, with a task of its own: `taskId` is that, `source` the video's. With a ledger one that was asked for
---over
---the other family is not ordered again; its state there is returned.
---"4k": an order, billable, whose task is waited for like any other; where the service has it ready already,
---`video_url`
---is there at once.
---Documentation: GET /api/v1/veo/get-1080p-video, POST /api/v1/veo/get-4k-video; jobs: the models veo/get-1080p-video
---and
---veo/get-4k-video, which take no `index`.
---@param which "1080p"|"4k"
---@param options? veo.UpgradeTaskOptions
---@return veo.Task|nil result  1080p: { taskId, url, video_url, source, ref, joined, creditsConsumed, raw }; 4k: { taskId, video_url, resultUrls, processing, raw }
---@return veo.Error err  timeout, …
function Task:upgrade(which, options) end
