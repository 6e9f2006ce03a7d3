--- The fields that a rule of the script may carry: one list, so that a misspelt one is refused.
--
-- There are two kinds. A **replaced** answer says something else than the service would, so nothing happened and
-- nothing is charged, unless `charge = true`. A **damaged** or **reshaped** answer is what the service would say,
-- in a bad state: the request is carried out and charged, unless `charge = false`.
local M = {}

M.known = {
  charge = "carry the request out (true) or not (false), whatever the answer looks like",

  -- replaced answers
  code = "body code; 200 leaves the answer as it is",
  msg = "the text beside the code",
  data = "the data beside the code (a table, or a string of JSON)",
  http = "HTTP status; without code, form or body: a gateway's HTML page",
  form = "html | text | empty | cut | array | number | garbled | gateway | huge | gzip_bomb | deep",
  body = "the body, byte for byte",
  redirect = "true: to the same path on localhost; or a URL",

  -- reshaped envelopes
  code_form = "number | float | string | missing | null",
  msg_form = "msg | message | absent",
  extra = "true: unknown keys everywhere",

  -- an accepted submit
  task_id_form = "plain | snake | absent | null | number | empty | data_null | json (a string of the object) | "
    .. "top (beside data) | bare (the id alone) | list (of the object) | record (a recordId alone)",
  task_id = "the new task's id, byte for byte; one that is there already is not given again",
  render = "seconds that the task takes",
  visible = "seconds until the task can be seen",
  fail = "2 or 3: the task ends so",
  error_code = "errorCode of a failed task",
  error_message = "errorMessage of a failed task",

  -- a status
  state = "generating | succeeded | failed, whatever the clock says",
  job_state = "state of the jobs family, any word, or absent",
  job_result = "both | response | json: where the jobs family puts the result",
  flag = "successFlag: a number, a string, or null | absent",
  flag_form = "number | string | float",
  error_form = "number | string | null | zero | absent",
  urls = "both | result_only | none",
  list_form = "array | json | bare | url | null | absent | empty",
  list_at = "response | info | data",
  response = "object | string | null | absent",
  consumed = "creditsConsumed of the record: a number or text; the jobs family has it without",
  time_form = "ms | string | text | iso | null | empty | absent",
  unknown = "404 | record | record_info | null | empty | absent: the form in which the task is unknown",
  not_ready = "400 | 404 | 422: 1080P not there yet, in this form",

  -- damaged on the wire
  delay = "seconds before the first byte",
  drip = "body bytes a second",
  cut = "close after that many bytes of the body; \"random\": after any number of them",
  stall = "say nothing more after that many bytes of the body",
  close = "unanswered | headers | after (answer well, then close without having announced it)",
  hang = "never answer",
  garbage = "answer with bytes that are not HTTP",
  gzip = "true: body compressed",
  chunked = "true: chunked transfer",
  length = "Content-Length off by that much",
  complain = "chunk | length | open | junk: the body whole, and then no last chunk, less than its Content-Length, "
    .. "the same with the connection kept, bytes behind the gzip data",
  headers = "more reply headers, name = value",
  retry_after = "number of seconds, \"date:SECONDS\" for an HTTP-date, or any text",

  -- media
  etag = "another version of the file: its ETag; false: neither ETag nor date",
  ranges = "false: Range is ignored",
  align = "a part begins at a multiple of so many bytes, at or before the one asked for",
  piece = "a part has so many bytes at most",
  untold = "true: a part does not say how long the whole is",
  until_close = "true: no Content-Length; the end of the connection ends the body",
  content_type = "another Content-Type",
  clip = "source | hop1 | hop2 | hop3 | part: that clip instead",

  -- callbacks
  skip_callback = "true: none is sent",
  repeats = "how often the same callback is sent",
  forge = "signature | timestamp | none: wrong or missing",
  snake = "true: task_id for taskId",
  no_info = "true: info is missing",
}

local replaced = { "http", "form", "body", "redirect", "data" }

--- Whether the effect replaces the answer.
function M.replaces(effect)
  if effect.code ~= nil and effect.code ~= 200 then return true end
  for i = 1, #replaced do
    if effect[replaced[i]] ~= nil then return true end
  end
  return false
end

--- Whether the answer is packed by gzip, which needs a library.
function M.packs(effect)
  return effect.gzip or effect.form == "gzip_bomb" or effect.complain == "junk"
end

--- Whether the request is carried out (and so charged) under this effect.
function M.carries_out(effect)
  if effect.charge ~= nil then return effect.charge end
  return not M.replaces(effect)
end

return M
