-- What a step without sleep gives to downloads over one HTTP/2 connection, and what piles up in memory meanwhile: nginx
-- sends pieces of 128 KiB in turn.

local core = require "veo.core"
local helper = require "spec.support.helper"
local needs = require "spec.support.needs"
local nginx = require "spec.support.nginx"
local socket = require "socket"
local veo = require "veo"

local BYTES = 48 * 1024 * 1024

local function resident()
  return tonumber(helper.read("/proc/self/statm"):match "^%d+ (%d+)") * 4096
end

needs.block("nginx", describe)("a step without sleep", function()
  local server, folder, url

  setup(function()
    folder = helper.folder()
    local port = nginx.free_port()
    url = "https://127.0.0.1:" .. port
    os.execute("sh spec/support/certificates.sh " .. folder)
    helper.write(folder .. "/file",
      "\0\0\0\24ftypisom\0\0\0\0isommp42" .. "\2\255\255\232mdat" .. ("x"):rep(BYTES - 32))
    server = nginx.start(folder, ([[
      pid nginx.pid;
      error_log error.log;
      events { worker_connections 64; }
      http {
        access_log off;
        http2_chunk_size 128k;
        output_buffers 2 512k;
        client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
        scgi_temp_path scgi;
        server {
          listen 127.0.0.1:%d ssl http2;
          ssl_certificate server.pem;
          ssl_certificate_key server.key;
          location /file { root .; }
        }
      }
    ]]):format(port))
  end)
  teardown(function()
    server:stop()
    helper.sweep()
  end)

  -- Calls `step` once a frame until it says that all is done, with a pause in which bytes come. Returns how many frames
  -- brought some, by what `moved` counts.
  local function frames(step, moved)
    local count, before = 0, moved()
    local pending
    repeat
      pending = step()
      local now = moved()
      if now > before then count = count + 1 end
      before = now
      socket.sleep(0.004)
    until not pending
    return count
  end

  it("takes more of a file with a larger frame_budget", function()
    local function count(frame_budget)
      local client = helper.client({ url = url, api_key = "k", ca_file = folder .. "/ca.pem" },
        { frame_budget = frame_budget })
      assert(client.loop:warm())
      local job = client:spawn(client.download, client, url .. "/file", folder .. "/a", { overwrite = true })
      local frame_count = frames(function() return client:step(0) > 0 end,
        function() return client:stats().bytes_received_total end)
      assert.equal(BYTES, assert(job:result()).bytes)
      client:close()
      return frame_count
    end
    local many, few = count(0.0001), count(0.1)
    assert.is_true(many > 2 * few, many .. " frames and " .. few)
  end)

  it("lets files go on in turn, and holds little of those that wait", function()
    local client, downloads = core.new { base_url = url, api_key = "k", ca_file = folder .. "/ca.pem" }, {}
    client:warm()
    for i = 1, 4 do
      local sink = assert(core.sink(folder .. "/" .. i))
      downloads[i] = { sink = sink, transfer = assert(client:start("download", { url = url .. "/file", sink = sink })) }
    end
    local before, most, last = resident(), 0, nil
    frames(function()
      client:step(0)
      local slowest, fastest, pending = BYTES, 0, false
      for _, one in ipairs(downloads) do
        local bytes = one.sink:size()
        slowest, fastest = math.min(slowest, bytes), math.max(fastest, bytes)
        pending = pending or one.transfer:running()
      end
      if fastest == BYTES then last = last or slowest end
      most = math.max(most, resident() - before)
      return pending
    end, function() return 0 end)
    for _, one in ipairs(downloads) do
      assert.equal(BYTES, assert(one.transfer:result()).bytes)
      one.sink:close()
    end
    client:close()
    if not package.cpath:find "build/asan/" then -- which keeps what was freed
      assert.is_true(most < BYTES / 2, math.floor(most / 1048576) .. " MiB")
    end
    assert.is_true(last > BYTES / 2, last .. " bytes of the slowest when the first was there")
  end)

  it("refuses a budget that is none", function()
    for _, budget in ipairs { -1, 0, 0.00001, 2, "x", 0 / 0 } do
      local ok, problem = pcall(veo.new, { api_key = "k", frame_budget = budget })
      assert.is_false(ok)
      assert.matches("frame_budget: given .*, expected seconds from 0.0001 to 1", problem)
    end
  end)
end)
