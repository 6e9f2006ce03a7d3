--- The kinds of exchange. A new kind is one more entry:
---   name
---   base    it goes to the client's base_url, else to the origin it is told
---   file    it fetches a file; api: it sends a call, or a request with a body, and reads JSON
---   start   (row, o) → job: `o` says where to and within which time, see row.lua; a job holds what start returned
---   check   (row, job, reply) → what is wrong with a reply that came, or nil
local content = require "spec.support.faults.content"
local core = require "veo.core"
local helper = require "spec.support.helper"
local world = require "spec.support.pairs.world"

local function job_of(job, transfer, failure)
  job.transfer, job.failure = transfer, failure
  return job
end

local function expect(field, value, given)
  if given ~= value then return ("%s is %s instead of %s"):format(field, tostring(given), value) end
end

local function data(reply, field)
  if reply.code ~= 200 then return "code " .. tostring(reply.code) end
  return type(reply.data) == "table" and reply.data[field] or nil
end

-- Where two files differ first, and what stands there.
local function compare(bytes, name)
  local wanted = content.of(name)
  if bytes == wanted then return nil end
  local at = 1
  while at <= #bytes and bytes:byte(at) == wanted:byte(at) do at = at + 1 end
  return ("%d bytes instead of %d, other ones from %d on: %q"):format(#bytes, #wanted, at, bytes:sub(at, at + 30))
end

local function file_of(o)
  return o.file or world.files.second[1], o.url or o.origin .. "/files/" .. (o.file or world.files.second[1])
end

local M = {
  { name = "status", base = true, api = true,
    start = function(row, o)
      local id = row.world:name "id"
      return job_of({ id = id }, row.client:start("status", id, o.times))
    end,
    check = function(_, job, reply) return expect("taskId", job.id, data(reply, "taskId")) end },

  { name = "extend", base = true, api = true, billable = true,
    start = function(row, o)
      return job_of({}, row.client:start("extend", { taskId = "a", prompt = "b" }, o.times))
    end,
    check = function(row, _, reply) return expect("taskId", "next-" .. row.word, data(reply, "taskId")) end },

  { name = "call", api = true,
    start = function(row, o)
      local n = row.world:name "n"
      local url = o.url or ("%s/k/%s/%s"):format(o.origin, row.word, o.path or "other")
      return job_of({ n = n }, row.client:start("request", { url = url, query = { n = n } }, o.times))
    end,
    check = function(_, job, reply) return expect("n", job.n, data(reply, "n")) end },

  { name = "file", file = true,
    start = function(row, o)
      local name, url = file_of(o)
      local path = row.world:path "file"
      local sink = core.sink(path)
      return job_of({ name = name, sink = sink, path = path }, row.client:start("download",
        { url = url, sink = sink, max_bytes = o.max_bytes, headers = o.headers }, o.times))
    end,
    check = function(_, job) return compare(helper.read(job.path), job.name) end },

  { name = "function", file = true,
    start = function(row, o)
      local name, url = file_of(o)
      return job_of({ name = name, pieces = {} }, row.client:start("download",
        { url = url, stream = o.stream or 256 * 1024, max_bytes = o.max_bytes }, o.times))
    end,
    check = function(_, job) return compare(table.concat(job.pieces), job.name) end },

  { name = "upload", api = true, body = true,
    start = function(row, o)
      local url = o.url or ("%s/k/%s/%s"):format(o.origin, row.word, o.path or "upload")
      return job_of({ origin = o.origin }, row.client:start("upload",
        { url = url, path = o.source or row.world.upload, part = "file", fields = { uploadPath = "x" } }, o.times))
    end,
    check = function(_, _, reply)
      local path = data(reply, "file")
      local body = helper.read(tostring(path))
      if not body then return "no body was kept: " .. tostring(path) end
      os.remove(path)
      if not body:find(content.of "upload-700k.bin", 1, true) then return "other bytes were sent" end
    end },

  { name = "save", save = true,
    start = function(row, o)
      local path, to = row.world:path "part", o.to or row.world:path "saved"
      helper.write(path, path)
      local sink = core.sink(path, { resume = true })
      return job_of({ path = path, to = to, sink = sink }, row.client:start("save", { sink = sink, to = to }))
    end,
    check = function(_, job)
      local saved = helper.read(job.to)
      os.remove(job.to)
      return expect("the saved file", job.path, saved)
    end },

  { name = "warm", base = true,
    start = function(row, o) return job_of({}, row.client:start("warm", o.times)) end,
    check = function(_, _, reply) return expect("http_status", 200, reply.http_status) end },
}

---By name.
for _, kind in ipairs(M) do M[kind.name] = kind end

return M
