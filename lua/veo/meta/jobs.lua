---@meta
--- Jobs, and what an event loop needs. spec/meta_spec.lua holds this against the code.

---A function that runs beside others and whose client calls yield. Made by `client:spawn`.
---@class veo.Job
local Job = {}

---What a foreign event loop needs of a client: `client.loop`. cqueues.poll(client.loop) works as it is.
---@class veo.Loop
local Loop = {}

---@return "pending"|"done"|"failed"|"cancelled"
function Job:status() end

---The values its function returned; nil and an error when it raised one, was cancelled, or has not ended.
function Job:result() end

---Has `fn(job)` called once the job has ended, at once if it has ended already. Several functions are called in the
---order in which they were given. They run within the step, `cancel` or `close` that ended the job, as log functions
---do: what they raise is dropped, a call of the client that would wait is `busy`, and what they spawn runs from the
---next step on. A failure counts as noticed when one of them reads `job:result()`; else `on_job_error` and `log` hear
---of it.
---@param fn fun(job: veo.Job)
---@return veo.Job self
function Job:on_end(fn) end

---Waits for its end and returns its result; nil and a `timeout` error after `timeout` seconds.
---@param timeout number|nil  seconds; without it there is no limit
function Job:wait(timeout) end

---Ends the job. A billable exchange of which bytes may have left is not cut: the job then ends once its answer is
---there, and its error is `uncertain`, with the taskId when there is one.
---@return boolean ended  false when it ends later, or had ended before
function Job:cancel() end

---The one descriptor to watch for reading; nil on systems that have none.
---@return integer|nil
function Loop:pollfd() end

---@return "r"
function Loop:events() end

---Seconds until step wants to be called, or nil. Where there is no descriptor, 0.02 at most while anybody waits.
---@return number|nil
function Loop:timeout() end

---Connects ahead of time, and reads certificates (3 ms of CPU, or 22 for a bundle) outside of any frame.
---@return true|nil, veo.Error err
function Loop:warm() end

---As `client:step`.
---@param ms number|nil
---@return integer|nil pending
---@return veo.Error err
function Loop:step(ms) end

---As `client:run`.
---@return true|nil, veo.Error err
function Loop:run() end
