---@meta
--- The options of veo.new and of the calls. Times are seconds as numbers unless a field says otherwise. What a field does
--- not say the default of is off, or comes from the client. spec/meta_spec.lua holds this against client/options.lua.

---What `veo.new` takes. The groups (`retry`, `rate`, `wait`, `download`, `upgrade`, `upload`) are the defaults of its calls.
---@class veo.Options
---@field api_key? string        the account's key; KIE_API_KEY unless given. Never shown in errors, logs or tostring
---@field base_url? string       the service's address; KIE_BASE_URL, else https://api.kie.ai
---@field upload_url? string     the address of uploads; KIE_UPLOAD_URL, else the service's own
---@field api? "veo"|"jobs"      the family of paths (default: "veo")
---@field webhook_key? string|false  the key of callbacks; KIE_WEBHOOK_KEY unless given; false: the account has none
---@field timeout? number        seconds of one exchange (default: 60)
---@field connect_timeout? number  seconds until a connection stands (default: 10)
---@field deadline? number       seconds of a whole call with its repeats, and without a connection (default: 300)
---@field retry? veo.RetryOptions
---@field rate? veo.RateOptions
---@field wait? veo.WaitOptions
---@field download? veo.DownloadOptions
---@field upgrade? veo.UpgradeOptions
---@field upload? veo.UploadOptions
---@field max_in_flight? integer  exchanges at a time; the rest waits (default: 100)
---@field max_downloads? integer  downloads at a time (default: 8)
---@field frame_budget? number   seconds of a frame that `step(0)` gives to the network, 0.0001 to 1 (default: 0.0005)
---@field ca_file? string        certificates to trust, alone; CURL_CA_BUNDLE, SSL_CERT_FILE or libcurl's own unless given
---@field proxy? string|false    "host:port" or a URL; the environment's unless given; false: none
---@field allow_http? boolean    plain http also to other machines (default: false)
---@field user_agent? string     "lua-veo/<version>" unless given
---@field log? fun(event: veo.LogEvent)  hears of requests, replies, repeats, looks, saves and warnings; redacted
---@field on_job_error? fun(err: veo.Error, job: veo.Job)  once for each job that failed and that nobody asks about
---@field pause? fun(client: veo.Client)  sleeps instead of the client, so that a plain call cooperates in a foreign loop
---@field ledger? string         a file, or "postgresql://…": what was ordered, so that nothing is paid twice
---@field create? boolean        false: the ledger's file must be there already; true unless given
---@field lease? number          seconds without a heartbeat after which a worker's tasks are another's, 3 or more; 90 unless given
---@field evidence? boolean      asks for the credits before an order, and after an uncertain one
---@field max_credits? number|veo.CreditLimits  credits that this client may spend, or limits; none unless given
---@field prices? veo.Prices     credits of calls, over the built-in ones

---@class veo.CreditLimits
---@field client? number         credits this client may spend
---@field day? number            credits that all clients of the ledger may spend a day (UTC)

---Credits by operation: a number, or one for each model. `veo.prices` are the built-in ones.
---@class veo.Prices
---@field as_of? string          "YYYY-MM-DD": the day of these prices; one older than 90 days is a warning in the log
---@field extend? number|table<string, number|string>  by model; `default` names the model of a request without one
---@field generate? number|table<string, number|string>
---@field get_1080p? number
---@field get_4k? number

---When a call is repeated. A billable one is by itself only where nothing of it left or the service turned it away.
---@class veo.RetryOptions
---@field attempts? integer      exchanges of one call at most, 1 to 100, the first included (default: 4)
---@field base? number           seconds: bound of the first pause, which doubles each time (default: 0.5)
---@field max? number            seconds: bound of any pause (default: 8)
---@field ambiguous? boolean     repeats a billable call whose fate is unknown: it can be charged twice (default: false)
---@field budget? veo.RetryBudget|false  tokens for the repeats of the whole client; false: as many as there are

---@class veo.RetryBudget
---@field tokens? number         in the full budget (default: 500)
---@field retry? number          tokens that a repeat takes (default: 5)
---@field timeout? number        tokens that a repeat after a time-out takes (default: 10)
---@field success? number        tokens that a success gives back (default: 1)

---How fast orders and looks may go.
---@class veo.RateOptions
---@field count? integer         orders in a window (default: 20)
---@field window? number         seconds of it (default: 10)
---@field polls? number|false    looks a second over all waits; adaptive, 10 to 100, unless given; false: no limit

---@class veo.WaitOptions
---@field timeout? number        seconds until the wait ends; the task goes on (default: 1200)
---@field first? number          seconds until the first look (default: 10)
---@field interval? number       seconds until the second (default: 5)
---@field growth? number         factor of each further one, 1 or more (default: 1.5)
---@field max_interval? number   seconds between two looks at most (default: 20)
---@field jitter? number         share of an interval that is random, 0 up to 1 (default: 0.15)
---@field grace? number          seconds in which the service may not know a task that this client ordered (default: 90)
---@field max_errors? integer|false  looks in a row without an answer that end the wait; no limit unless given
---@field on_progress? fun(status: veo.Status, info: veo.WaitInfo)  after each look

---@class veo.DownloadOptions
---@field overwrite? boolean     replaces a file that is there (default: false)
---@field mkdir? boolean         makes the folder (default: false)
---@field attempts? integer      tries without a new byte (default: 5)
---@field stall? integer         whole seconds under 1 KiB/s that end a try, 1 to 86400 (default: 60)
---@field verify? boolean        looks at the boxes of an MP4 (default: true)
---@field max_bytes? integer     bytes at most; 8 GiB for a file whose length is not told, unless given
---@field on_progress? fun(bytes: integer, total: integer|nil, info: veo.Progress)  ten times a second at most

---@class veo.UpgradeOptions
---@field timeout? number        seconds until a 1080p version must be there (default: 600)
---@field interval? number       seconds between two questions (default: 25)

---@class veo.UploadOptions
---@field timeout? number        seconds of one exchange; none while bytes move, unless given
---@field deadline? number       seconds of the whole call (default: 3600)
---@field on_progress? fun(bytes: integer, total: integer|nil, info: veo.Progress)

---Of a call that costs nothing.
---@class veo.FreeOptions
---@field timeout? number        seconds of one exchange; the client's unless given
---@field deadline? number       seconds of the call with its repeats; the client's unless given
---@field retry? veo.RetryOptions

---Of an order.
---@class veo.OrderOptions
---@field timeout? number        seconds of one exchange; the client's unless given
---@field deadline? number       seconds of the call with its repeats; the client's unless given; 0: one try
---@field retry? veo.RetryOptions
---@field key? string            names the order in the ledger: the same key and request find the same task
---@field on_duplicate? "refuse"|"join"|"allow"  of an identical request without a key; unless given an unfinished one is joined, a finished one refused
---@field path? string           where the video is going to be saved: what cannot be is not ordered
---@field overwrite? boolean     of `path`; the client's `download` unless given
---@field mkdir? boolean         of `path`; the client's `download` unless given

---Of `task:save`: options of wait and download, flat or in these groups; one that both have in its group.
---@class veo.SaveOptions: veo.WaitOptions, veo.DownloadOptions
---@field wait? veo.WaitOptions
---@field download? veo.DownloadOptions

---Of `client:extend_and_save`: also those of wait and download, flat or in these groups.
---@class veo.ExtendAndSaveOptions: veo.SaveOptions
---@field timeout? number        seconds of one exchange of the order; the wait's is given as `wait = { timeout = … }`
---@field deadline? number       seconds of the order with its repeats; the client's unless given
---@field retry? veo.RetryOptions
---@field key? string            as for an order
---@field on_duplicate? "refuse"|"join"|"allow"  as for an order

---Of `client:check_path`.
---@class veo.CheckPathOptions
---@field overwrite? boolean     a file that is there is no obstacle; the client's `download` unless given
---@field mkdir? boolean         makes the folder; the client's `download` unless given

---Of `task:upgrade`: those of an order for "4k", `timeout`, `interval` and `retry` for "1080p"; and the service's own fields.
---@class veo.UpgradeTaskOptions: veo.OrderOptions
---@field upgrade? veo.UpgradeOptions
---@field interval? number       seconds between two questions for a 1080p version
---@field index? integer         which video of the task, from 0
---@field callBackUrl? string    where the service reports that it is there
---@field extra? table           fields of the service that are not known here

---@class veo.MapOptions
---@field limit? integer         calls at a time; 20 unless given

---Of `client:wait_each`.
---@class veo.WaitEachOptions: veo.WaitOptions
---@field wait? veo.WaitOptions
---@field limit? integer         looks at a time; 20 unless given

---Of `client:settle`.
---@class veo.SettleOptions: veo.FreeOptions
---@field force? boolean         although the record does not fit, or the service knows the task

---Of `client:resume`: also the options of wait and download, flat or in these groups.
---@class veo.ResumeOptions: veo.SaveOptions
---@field path? string|fun(task: veo.Record, status: veo.Status): string|nil  saves there: a pattern with {taskId}, {key}, {ref}, {operation}, {day}, or a function
---@field limit? integer         tasks at a time; 1000 unless given
---@field on_result? fun(status: veo.Status|nil, task: veo.Record, err: veo.Error|nil, file: veo.File|nil)
---@field retry? veo.RetryOptions

---@class veo.PruneOptions
---@field before? number         epoch seconds; this or `days`
---@field days? number           older than so many days
---@field dry_run? boolean       only counts

---@class veo.SpentFilter
---@field since? number          epoch seconds; all unless given
---@field by? "day"|"operation"  also a list, one entry for each

---@class veo.CallbackOptions
---@field target? string         the path and query that were called
---@field now? number            unix seconds in place of os.time()

---Which orders of the ledger.
---@class veo.TaskFilter
---@field state? veo.RecordState
---@field taskId? string
---@field key? string
---@field ref? string
---@field operation? string      "extend", …
---@field open? boolean          not ended yet, or uncertain
---@field since? number          epoch seconds
---@field limit? integer         as many at most

---What the service takes of an extension, under its own names.
---@class veo.ExtendParams
---@field taskId string          of the source video
---@field prompt string          English
---@field seeds? integer         10000 to 99999
---@field model? "fast"|"quality"|"lite"|string  the service's default unless given
---@field watermark? string
---@field callBackUrl? string    where the service reports the end
---@field extra? table           fields of the service that are not known here

---The same without the source: `task:extend`.
---@class veo.ExtendTaskParams
---@field prompt string          English
---@field taskId? string         this task's own, if any
---@field seeds? integer         10000 to 99999
---@field model? "fast"|"quality"|"lite"|string
---@field watermark? string
---@field callBackUrl? string
---@field extra? table

---@class veo.GenerateParams
---@field prompt string          English
---@field imageUrls? string[]    frames or references, as the service has them: see client:upload
---@field model? string          "veo3", "veo3_fast", "veo3_lite"
---@field generationType? string
---@field aspect_ratio? string
---@field resolution? string
---@field duration? integer      seconds
---@field seeds? integer         10000 to 99999
---@field watermark? string
---@field enableTranslation? boolean
---@field callBackUrl? string
---@field extra? table

---What `client:chain` takes: the service's fields for all hops, its own options, and those of wait and download.
---@class veo.ChainParams: veo.SaveOptions
---@field taskId string          of the source video
---@field prompts (string|veo.ExtendTaskParams)[]  one a hop; a table has fields of its own
---@field seeds? integer
---@field model? "fast"|"quality"|"lite"|string
---@field watermark? string
---@field callBackUrl? string
---@field extra? table
---@field path? string           where the whole is saved
---@field save_hops? string      a pattern with {hop}: where each hop's video is saved
---@field overwrite? boolean     the client's `download` unless given
---@field key? string            names the chain in the ledger
---@field repeat_failed? boolean  orders a failed hop again
---@field on_progress? fun(info: veo.ChainInfo)
---@field timeout? number        seconds of one exchange of an order
---@field deadline? number       seconds of an order with its repeats
---@field retry? veo.RetryOptions

---What `client:upload` takes besides a path.
---@class veo.UploadSource
---@field path? string           a file; this or `url`
---@field url? string            what the service is to fetch
---@field uploadPath? string     the folder at the service
---@field fileName? string       the name at the service
