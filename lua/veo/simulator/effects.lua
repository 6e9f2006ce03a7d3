--- The fields that a rule of the script may carry and what each may be: one list, so that a misspelt one is refused.
--
-- There are two kinds. A **replaced** answer says something else than the service would, so nothing happened and
-- nothing is charged, unless `charge = true`. A **damaged** or **reshaped** answer is what the service would say,
-- in a bad state: the request is carried out and charged, unless `charge = false`.
local type = type

local M = {}

-- Kinds of values: `expected`, the words for a message, `test`, and `names` where only some words will do. A number may
-- come as text where it is a word: prompts know no difference.
local function of(kind, expected, test)
  return { expected = expected, test = test or function(value) return type(value) == kind end }
end

local function flag(meaning) return of("boolean", "true or false: " .. meaning) end
local function seconds(meaning)
  return of("number", "seconds" .. meaning, function(value) return type(value) == "number" and value >= 0 end)
end
local function whole(meaning)
  return of("number", "a whole number from 0 up" .. meaning, function(value)
    return type(value) == "number" and value >= 0 and value % 1 == 0
  end)
end
local function text(meaning)
  return of("string", meaning, function(value) return type(value) == "string" or type(value) == "number" end)
end
local function any(meaning) return of(nil, meaning, function() return true end) end

-- `test`: what it may be beside the words.
local function one(words, meaning, test)
  local names, known = {}, {}
  for word in words:gmatch("%S+") do
    names[#names + 1], known[word] = word, true
  end
  return { expected = table.concat(names, " | ") .. (meaning or ""), names = names, test = function(value)
    return known[tostring(value)] or test and test(value) or false
  end }
end

local function is_number(value) return type(value) == "number" end

--- @type table<string, { expected: string, test: (fun(value: any): boolean), names: string[]|nil }>
M.known = {
  charge = flag "carry the request out or not, whatever the answer looks like",

  -- replaced answers
  code = any "body code; 200 leaves the answer as it is",
  msg = text "the text beside the code",
  data = any "the data beside the code (a table, or a string of JSON)",
  http = of("number", "HTTP status; without code, form or body: a gateway's HTML page"),
  form = one "html text empty cut array number garbled gateway huge gzip_bomb deep",
  body = text "the body, byte for byte",
  redirect = of(nil, "true: to the same path on localhost; or a URL", function(value)
    return value == true or type(value) == "string"
  end),

  -- reshaped envelopes
  code_form = one "number float string missing null",
  msg_form = one "msg message absent",
  extra = flag "unknown keys everywhere",

  -- an accepted submit
  task_id_form = one("plain snake absent null number empty data_null json top bare list record",
    " (json: a string of the object, top: beside data, bare: the id alone, list: of the object, record: a recordId "
    .. "alone)"),
  task_id = text "the new task's id, byte for byte; one that is there already is not given again",
  render = seconds " that the task takes",
  visible = seconds " until the task can be seen",
  fail = one("2 3", ": the task ends so"),
  error_code = any "errorCode of a failed task",
  error_message = text "errorMessage of a failed task",

  -- a status
  state = one("generating succeeded failed", ", whatever the clock says"),
  job_state = text "state of the jobs family, any word, or absent",
  job_result = one("both response json", ": where the jobs family puts the result"),
  flag = any "successFlag: a number, a string, or null | absent",
  flag_form = one "number string float",
  error_form = one "number string null zero absent",
  urls = one "both result_only none",
  list_form = one "array json bare url null absent empty",
  list_at = one "response info data",
  response = one "object string null absent",
  consumed = any "creditsConsumed of the record: a number or text; the jobs family has it without",
  time_form = one "ms string text iso null empty absent",
  unknown = one("404 record record_info null empty absent", ": the form in which the task is unknown"),
  not_ready = one("400 404 422", ": 1080P not there yet, in this form"),

  -- damaged on the wire
  delay = seconds " before the first byte",
  drip = of("number", "body bytes a second"),
  cut = one("random", ", or a number: close after that many bytes of the body", is_number),
  stall = whole ": say nothing more after that many bytes of the body",
  close = one("unanswered headers after", " (answer well, then close without having announced it)"),
  hang = flag "never answer",
  garbage = flag "answer with bytes that are not HTTP",
  gzip = flag "body compressed",
  chunked = flag "chunked transfer",
  length = of("number", "Content-Length off by that much"),
  complain = one("chunk length open junk", ": the body whole, and then no last chunk, less than its Content-Length, "
    .. "the same with the connection kept, bytes behind the gzip data"),
  headers = of("table", "more reply headers, name = value"),
  retry_after = text 'number of seconds, "date:SECONDS" for an HTTP-date, or any text',

  -- media
  etag = of(nil, "another version of the file: its ETag; false: neither ETag nor date", function(value)
    return value == false or type(value) == "string" or type(value) == "number"
  end),
  ranges = flag "false: Range is ignored",
  align = whole ": a part begins at a multiple of so many bytes, at or before the one asked for",
  piece = whole ": a part has so many bytes at most",
  untold = flag "a part does not say how long the whole is",
  until_close = flag "no Content-Length; the end of the connection ends the body",
  content_type = text "another Content-Type",
  clip = one("source hop1 hop2 hop3 part", ": that clip instead"),

  -- callbacks
  skip_callback = flag "none is sent",
  repeats = whole ": how often the same callback is sent",
  forge = one("signature timestamp none", ": wrong or missing"),
  snake = flag "task_id for taskId",
  no_info = flag "info is missing",
}

--- What decides whether a rule acts; see script.lua.
--- @type table<string, { expected: string, test: fun(value: any): boolean }>
M.conditions = {
  task = text "a taskId",
  match = of("string", "a Lua pattern", function(value)
    return type(value) == "string" and pcall(string.find, "", value)
  end),
  nth = of("number", "a whole number from 1 up", function(value)
    return is_number(value) and value >= 1 and value % 1 == 0
  end),
  skip = whole "",
  times = whole "",
  each = flag "counted for each path and taskId by itself",
}

--- The endpoints that a rule may name.
M.endpoints = { "extend", "status", "generate", "credits", "get_1080p", "get_4k", "download_url", "upload", "media",
  "callback" }

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
