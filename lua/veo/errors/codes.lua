--- What each error code means, as data: a summary, what to do next (a template, whose places are listed in
--- errors/explain.lua), and what such a failure costs: "no" nothing, "maybe" credits may have gone, "yes" the task is
--- charged (and still yours).

local pairs = pairs

local explain = require "veo.errors.explain"

local codes = {
  invalid = {
    summary = "A parameter is not valid, so nothing was sent.",
    next = "Correct the field named in the message and call again.",
    charged = "no",
  },
  unauthorized = {
    summary = "The service does not accept the API key.",
    next = "Check {key}: missing, mistyped, or withdrawn at the service.",
    charged = "no",
  },
  insufficient_credits = {
    summary = "The account has too few credits for this call.",
    next = "Top up the account, look at {credits}, then call again.",
    charged = "no",
  },
  forbidden = {
    summary = "The service, or the proxy in front of it, blocks this caller.",
    next = "Check the key's list of allowed addresses; a message with 1010 means that the User-Agent was refused.",
    charged = "no",
  },
  key_limit = {
    summary = "This key has reached the usage limit set for it.",
    next = "Raise the key's limit at the service or use another key.",
    charged = "no",
  },
  rejected = {
    summary = "The service refused the request.",
    next = "Change what the service objects to (often the prompt: English, within its content policy); "
      .. "the same request will be refused again.",
    charged = "no",
  },
  not_found = {
    summary = "The service does not know this task.",
    next = "Check the taskId and that it belongs to this account; a task just created can need a minute to appear. "
      .. "Give up an order whose task stays unknown with {settle_lost}.",
    charged = "no",
  },
  expired = {
    summary = "The service no longer keeps this: it keeps records for two months (older pages say 14 days), videos for "
      .. "14 days, links for less.",
    next = "Ask {status} for a fresh link; when the record itself has expired, the video is gone.",
    charged = "no",
  },
  rate_limited = {
    summary = "Too many requests: this one was refused before it was accepted.",
    next = "Wait{seconds_to_wait} and call again; {shared_window}.",
    charged = "no",
  },
  unavailable = {
    summary = "The service is under maintenance or its gateway does not reach it.",
    next = "Try again in a few minutes; if it never works, check {base_url}.",
    charged = "no",
  },
  disabled = {
    summary = "The service has switched this feature off.",
    next = "Nothing can be done from here; follow the service's announcements.",
    charged = "no",
  },
  failed = {
    summary = "The task failed at the service.",
    next = "Read errorMessage; another prompt or seed makes a new task at its own price. "
      .. "{credits} shows whether the failed one was refunded.",
    charged = "maybe",
  },
  server = {
    summary = "The service had an internal error, or answered with an undocumented code.",
    next = "The call is free: try again later.",
    charged = "no",
  },
  malformed = {
    summary = "The reply is not a readable answer of the service.",
    next = "Try again; if it stays so, check {base_url} and proxy: something else may be answering.",
    charged = "no",
  },
  network = {
    summary = "The exchange with the service did not complete.",
    next = "Check the connection, proxy and {base_url}, then try again.",
    charged = "no",
  },
  timeout = {
    summary = "The wait ended before the task did.",
    next = "The task goes on at the service, and waiting again is free: {wait}.",
    charged = "yes",
  },
  uncertain = {
    summary = "The request may have reached the service, so it was not repeated: a repeat could be charged twice.",
    next = "Find out first: compare {credits} with the balance before, look at the task list on the "
      .. "service's web page, wait for the callback if one was set. Call again only when no task is found.",
    charged = "maybe",
  },
  not_video = {
    summary = "What was downloaded is not a video, so no file was left under the target name.",
    next = "Look at the excerpt; ask {status} for a fresh link and download again.",
    charged = "no",
  },
  exists = {
    summary = "The target file already exists.",
    next = "Choose another path or {overwrite}.",
    charged = "no",
  },
  io = {
    summary = "A file could not be written or read.",
    next = "Check the path, its permissions and the free space, then call again.",
    charged = "no",
  },
  too_large = {
    summary = "The file is larger than max_bytes allows.",
    next = "Raise max_bytes if the size is expected.",
    charged = "no",
  },
  cancelled = {
    summary = "The call was cancelled.",
    next = "Nothing to do; a task that was accepted goes on at the service and can be waited for again.",
    charged = "no",
  },
  closed = {
    summary = "The client was closed before the call finished.",
    next = "Create another client; a task that was accepted goes on and can be waited for again.",
    charged = "no",
  },
  job_failed = {
    summary = "The job's own function raised an error.",
    next = "Read the traceback{in_traceback}.",
    charged = "maybe",
  },
  busy = {
    summary = "Something else is using this right now, or Lua cannot wait at this point.",
    next = "Wait for the other call, or make the call from the job itself, outside of gsub, sort and require.",
    charged = "no",
  },
  no_result = {
    summary = "The service reports success but names no video.",
    next = "Ask {status} again later; if it stays so, give the taskId to the service's support.",
    charged = "yes",
  },
  duplicate = {
    summary = "The same request was made before, so it was not sent again.",
    next = "Use the earlier task{in_task_id}, or {second} when a second one is wanted.",
    charged = "no",
  },
  budget = {
    summary = "The call would exceed the credit limit set by max_credits, so it was not sent.",
    next = "Raise max_credits, or give the price in prices when it is unknown.",
    charged = "no",
  },
  ledger = {
    summary = "The ledger could not be opened or written, or is another account's, so nothing billable was sent.",
    next = "Check the ledger's path or database, then call again.",
    charged = "no",
  },
  changed = {
    summary = "The file at the server has changed, and the data already handed on cannot be taken back.",
    next = "Discard what was received and download again.",
    charged = "no",
  },
  missing = {
    summary = "Something that this call needs is not installed, or not available in this Lua.",
    next = "Install the package named in the message, or make what it names available in this Lua, and call again.",
    charged = "no",
  },
  redirect = {
    summary = "The link redirects to an address that is not followed.",
    next = "Ask {status} for a fresh link and download again; the message says where this one leads.",
    charged = "no",
  },
  internal = {
    summary = "libcurl or this module could not do what it was asked, so nothing was sent.",
    next = "Try again; if it stays so, report the message with the version of libcurl.",
    charged = "no",
  },
  unverified = {
    summary = "The callback's signature is not valid.",
    next = "Ignore the callback; if it should be genuine, check the webhook key and this machine's clock.",
    charged = "no",
  },
}

-- `next` in the library's words, for the README and for whoever reads the table.
for _, class in pairs(codes) do
  class.template, class.next = class.next, explain.fill(class.next, explain.LIBRARY)
end

return codes
