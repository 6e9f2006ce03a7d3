/* From Lua arguments to a prepared operation; see request.h.
 *
 * An operation first reads its arguments into a `request`, whose strings live on the Lua stack: that
 * may raise, and holds nothing. Only then is one acquired and prepared, which cannot raise. */
#include "request.h"

#include "arguments.h"
#include "client_state.h"
#include "clock.h"
#include "defaults.h"
#include "encode.h"
#include "prepare.h"
#include "reply.h"
#include "transfer.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

typedef struct {
  veo_kind kind;
  const char *wrong;   /* why it cannot be sent, whatever is tried; or NULL */
  const char *task_id; /* status */
  int look;
  size_t task_id_length;
  veo_call call;
  veo_fetch fetch;
  veo_form form;
  int sink_at; /* stack index, 0 without one */
  veo_sink *sink;
  const char *path; /* of a save, where to; of a digest, the file */
  int overwrite;
  const char *operation; /* a call's name, for its count */
  long timeout_ms;
  long connect_timeout_ms;
} request;

/* ------------------------------------------------------------------- reading */

static long to_ms(double seconds)
{
  double ms = seconds * 1000.0;
  if(ms > 86400000.0)
    ms = 86400000.0;
  return ms < 1.0 ? 1 : (long)ms;
}

/* The options { timeout, connect_timeout } in seconds at `index`, or the client's, among those that the
 * operation knows. `timeout` is what it has by default; 0 is none. */
static void read_options(lua_State *L, int index, const veo_client *client, request *r,
                         const char *const *known, double timeout)
{
  double connect_timeout = client->settings.connect_timeout;
  if(!lua_isnoneornil(L, index)) {
    luaL_checktype(L, index, LUA_TTABLE);
    veo_only_fields(L, index, known);
    timeout = veo_number_field(L, index, "timeout", timeout, 0);
    connect_timeout = veo_number_field(L, index, "connect_timeout", connect_timeout, 0);
  }
  r->timeout_ms = timeout > 0 ? to_ms(timeout) : 0;
  r->connect_timeout_ms = to_ms(connect_timeout);
}

static void read_timeouts(lua_State *L, int index, const veo_client *client, request *r,
                          double timeout)
{
  static const char *const known[] = {"timeout", "connect_timeout", NULL};
  read_options(L, index, client, r, known, timeout);
}

static void read_call_options(lua_State *L, int index, const veo_client *client, request *r)
{
  static const char *const known[] = {"timeout", "connect_timeout", "without_alpn", NULL};
  read_options(L, index, client, r, known, client->settings.timeout);
  if(!lua_isnoneornil(L, index))
    r->call.without_alpn = veo_boolean_field(L, index, "without_alpn");
}

/* The key goes only to a host whose transport keeps it: https, or plain http on loopback. */
static void check_transport(const veo_client *client, const char *url, request *r)
{
  if(strncasecmp(url, "https://", 8) == 0)
    return;
  if(strncasecmp(url, "http://", 7) != 0)
    r->wrong = "url: http or https expected";
  else if(!client->settings.allow_http && !veo_is_loopback(url))
    r->wrong = "url: plain http to another machine would show the key; https expected "
               "(or allow_http = true)";
}

static void read_body(lua_State *L, int value, request *r)
{
  if(veo_encode(L, value))
    r->call.body = lua_tolstring(L, -1, &r->call.body_length);
  else
    r->wrong = lua_tostring(L, -1);
}

static void read_status(lua_State *L, int index, const veo_client *client, request *r)
{
  luaL_checktype(L, index, LUA_TSTRING);
  r->kind = VEO_KIND_STATUS;
  r->task_id = lua_tolstring(L, index, &r->task_id_length);
  /* as long as a reply that named it may be: it is paid */
  luaL_argcheck(L, r->task_id_length <= VEO_REPLY_CAP, index, "a task id is at most 1 MiB");
  read_timeouts(L, index + 1, client, r, client->settings.timeout);
}

static void read_look(lua_State *L, int index, const veo_client *client, request *r)
{
  read_status(L, index, client, r);
  r->look = 1;
}

static void read_extend(lua_State *L, int index, const veo_client *client, request *r)
{
  luaL_checktype(L, index, LUA_TTABLE);
  r->kind = VEO_KIND_CALL;
  r->call.method = "POST";
  r->call.billable = 1;
  r->operation = "extend";
  read_call_options(L, index + 1, client, r);
  read_body(L, index, r);
  r->call.url = lua_pushfstring(L, "%s%s", client->settings.base_url, client->settings.extend_path);
}

static void read_call(lua_State *L, int index, const veo_client *client, request *r)
{
  static const char *const known[] = {"method", "path",     "url",       "query",
                                      "body",   "billable", "operation", NULL};
  const char *path;
  luaL_checktype(L, index, LUA_TTABLE);
  veo_only_fields(L, index, known);
  r->kind = VEO_KIND_CALL;
  r->call.billable = veo_boolean_field(L, index, "billable");
  read_call_options(L, index + 1, client, r);
  r->operation = veo_text_field(L, index, "operation");
  r->call.method = veo_text_field(L, index, "method");
  if(!r->call.method)
    r->call.method = "GET";
  if(strcmp(r->call.method, "GET") != 0 && strcmp(r->call.method, "POST") != 0)
    luaL_error(L, "method: GET or POST expected");
  lua_getfield(L, index, "body");
  if(!lua_isnil(L, -1))
    read_body(L, -1, r);
  lua_getfield(L, index, "query");
  if(!lua_isnil(L, -1)) {
    veo_push_query(L, -1);
    r->call.query = lua_tostring(L, -1);
  }
  path = veo_text_field(L, index, "path");
  r->call.url = veo_text_field(L, index, "url");
  if((path != NULL) == (r->call.url != NULL))
    luaL_error(L, "path or url: one of the two expected");
  if(path && path[0] != '/')
    luaL_error(L, "path: a slash at its start expected");
  if(path)
    r->call.url = lua_pushfstring(L, "%s%s", client->settings.base_url, path);
  check_transport(client, r->call.url, r);
}

/* A number of bytes that is held in memory: 32 bits have to hold twice as much. */
static long memory_field(lua_State *L, int index, const char *name, long fallback, long least)
{
  double bytes = veo_number_field(L, index, name, (double)fallback, (double)least);
  if(bytes > VEO_DOWNLOAD_MOST)
    luaL_error(L, "%s: at most %d expected", name, (int)VEO_DOWNLOAD_MOST);
  return (long)bytes;
}

static void read_download(lua_State *L, int index, const veo_client *client, request *r)
{
  static const char *const known[] = {"url",       "sink",     "offset",  "if_range",
                                      "max_bytes", "stream",   "headers", "read_size",
                                      "stall",     "no_pages", "decode",  NULL};
  double stall;
  luaL_checktype(L, index, LUA_TTABLE);
  veo_only_fields(L, index, known);
  r->kind = VEO_KIND_DOWNLOAD;
  read_timeouts(L, index + 1, client, r, 0);
  r->fetch.offset = (curl_off_t)veo_number_field(L, index, "offset", 0, 0);
  r->fetch.max_bytes = (curl_off_t)veo_number_field(L, index, "max_bytes", 0, 0);
  r->fetch.read_size = memory_field(L, index, "read_size", VEO_DOWNLOAD_BUFFER, 1024);
  stall = veo_number_field(L, index, "stall", VEO_LOW_SPEED_TIME, 1);
  r->fetch.stall = stall < 86400 ? (long)stall : 86400;
  r->fetch.if_range = veo_text_field(L, index, "if_range");
  if(r->fetch.if_range && strlen(r->fetch.if_range) > 256)
    luaL_error(L, "if_range: at most 256 bytes expected");
  r->fetch.url = veo_text_field(L, index, "url");
  if(!r->fetch.url)
    luaL_error(L, "url: string expected, got nil");
  r->fetch.tell_headers = veo_boolean_field(L, index, "headers");
  r->fetch.decode = veo_boolean_field(L, index, "decode");
  r->fetch.no_pages = veo_boolean_field(L, index, "no_pages");
  r->fetch.buffer = (size_t)memory_field(L, index, "stream", 0, 0);
  lua_getfield(L, index, "sink");
  if(r->fetch.buffer && !lua_isnil(L, -1))
    luaL_error(L, "sink or stream: one of the two expected");
  if(!r->fetch.buffer)
    r->sink_at = lua_gettop(L);
}

/* The form's text fields, as on the stack: they stay there. */
static void read_fields(lua_State *L, int index, veo_form *form)
{
  lua_getfield(L, index, "fields");
  if(lua_isnil(L, -1))
    return;
  index = lua_gettop(L);
  luaL_checktype(L, index, LUA_TTABLE);
  lua_pushnil(L);
  while(lua_next(L, index)) {
    if(lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING)
      luaL_error(L, "fields: names and values are strings");
    if(form->count == VEO_FORM_FIELDS)
      luaL_error(L, "fields: at most %d expected", VEO_FORM_FIELDS);
    form->names[form->count] = lua_tostring(L, -2);
    form->values[form->count] = lua_tostring(L, -1);
    form->count++;
    lua_pushvalue(L, -2); /* name and value stay below the key that goes on */
  }
}

static void read_upload(lua_State *L, int index, const veo_client *client, request *r)
{
  static const char *const known[] = {"url", "path", "part", "file_name", "fields", NULL};
  luaL_checktype(L, index, LUA_TTABLE);
  veo_only_fields(L, index, known);
  r->kind = VEO_KIND_UPLOAD;
  read_timeouts(L, index + 1, client, r, 0);
  r->form.url = veo_text_field(L, index, "url");
  r->form.path = veo_text_field(L, index, "path");
  r->form.part = veo_text_field(L, index, "part");
  r->form.file_name = veo_text_field(L, index, "file_name");
  if(!r->form.url || !r->form.path || !r->form.part)
    luaL_error(L, "url, path and part: strings expected");
  read_fields(L, index, &r->form);
  check_transport(client, r->form.url, r);
}

static void read_save(lua_State *L, int index, const veo_client *client, request *r)
{
  static const char *const known[] = {"sink", "to", "overwrite", NULL};
  (void)client;
  luaL_checktype(L, index, LUA_TTABLE);
  veo_only_fields(L, index, known);
  r->kind = VEO_KIND_SAVE;
  r->overwrite = veo_boolean_field(L, index, "overwrite");
  r->path = veo_text_field(L, index, "to");
  if(!r->path)
    luaL_error(L, "to: string expected, got nil");
  lua_getfield(L, index, "sink");
  r->sink_at = lua_gettop(L);
}

static void read_digest(lua_State *L, int index, const veo_client *client, request *r)
{
  static const char *const known[] = {"path", NULL};
  (void)client;
  luaL_checktype(L, index, LUA_TTABLE);
  veo_only_fields(L, index, known);
  r->kind = VEO_KIND_DIGEST;
  r->path = veo_text_field(L, index, "path");
  if(!r->path)
    luaL_error(L, "path: string expected, got nil");
}

static void read_warm(lua_State *L, int index, const veo_client *client, request *r)
{
  r->kind = VEO_KIND_WARM;
  read_timeouts(L, index, client, r, client->settings.timeout);
}

/* ---------------------------------------------------------------- submitting */

static veo_prepared prepare(const veo_client *client, veo_exchange *exchange, const request *r)
{
  const veo_settings *settings = &client->settings;
  switch(r->kind) {
  case VEO_KIND_STATUS:
    return veo_prepare_status(exchange, settings, r->task_id, r->task_id_length, r->timeout_ms,
                              r->connect_timeout_ms);
  case VEO_KIND_DOWNLOAD:
    return veo_prepare_download(exchange, settings, &r->fetch, r->sink, r->timeout_ms,
                                r->connect_timeout_ms);
  case VEO_KIND_UPLOAD:
    return veo_prepare_upload(exchange, settings, &r->form, r->timeout_ms, r->connect_timeout_ms);
  case VEO_KIND_WARM:
    return veo_prepare_warm(exchange, settings, r->timeout_ms, r->connect_timeout_ms);
  default:
    return veo_prepare_call(exchange, settings, &r->call, r->timeout_ms, r->connect_timeout_ms);
  }
}

/* Why there is no operation. */
typedef struct {
  const char *reason;
  char message[CURL_ERROR_SIZE];
} problem;

static void explain(problem *wrong, const char *reason, const char *message)
{
  wrong->reason = reason;
  snprintf(wrong->message, sizeof wrong->message, "%s", message);
}

/* An exchange that is ready to be submitted, or NULL. Does not raise. */
static veo_exchange *acquire(veo_client *client, const request *r, problem *wrong)
{
  veo_exchange *exchange;
  veo_prepared state;
  if(r->wrong) {
    explain(wrong, "invalid", r->wrong);
    return NULL;
  }
  exchange = veo_engine_acquire(&client->engine, r->kind);
  if(!exchange) {
    explain(wrong, "internal", "out of memory");
    return NULL;
  }
  state = prepare(client, exchange, r);
  if(state == VEO_PREPARED) {
    exchange->call.look = r->look;
    exchange->call.code = 0;
    exchange->call.tally = r->operation ? veo_stats_find(&client->engine.stats, r->operation) : 0;
    return exchange;
  }
  explain(wrong, state == VEO_PREPARE_INVALID ? "invalid" : "internal", exchange->error);
  veo_engine_release(&client->engine, &exchange->op);
  return NULL;
}

/* The same for a work. */
static veo_work *acquire_work(veo_client *client, const request *r, problem *wrong)
{
  veo_work *work = veo_engine_acquire_work(&client->engine, r->kind);
  if(work && (r->kind == VEO_KIND_SAVE ? veo_work_save(work, r->sink, r->path, r->overwrite)
                                       : veo_work_digest(work, r->path)))
    return work;
  explain(wrong, "internal", "out of memory");
  if(work)
    veo_engine_release(&client->engine, &work->op);
  return NULL;
}

static const char *url_of(const veo_client *client, const request *r)
{
  switch(r->kind) {
  case VEO_KIND_DOWNLOAD:
    return r->fetch.url;
  case VEO_KIND_UPLOAD:
    return r->form.url;
  case VEO_KIND_CALL:
    return r->call.url;
  default:
    return client->settings.base_url;
  }
}

/* Pushes a transfer for the request. Reading it and this run metamethods and finalizers, which may have
 * closed the client or the sink: only now are they looked at for good. */
static veo_transfer *new_transfer(lua_State *L, veo_client *client, request *r)
{
  veo_transfer *transfer = veo_transfer_new(L, 1, client);
  (void)veo_check_client(L, 1);
  if(r->sink_at)
    r->sink = veo_check_sink(L, r->sink_at);
  return transfer;
}

/* Runs a request to its end. The transfer gives the exchange back should building the result raise. */
static int run(lua_State *L, veo_client *client, request *r)
{
  problem wrong;
  veo_transfer *transfer = new_transfer(L, client, r);
  veo_exchange *exchange = acquire(client, r, &wrong);
  if(!exchange)
    return veo_push_failure(L, wrong.reason, wrong.message, VEO_SENT_NO);
  veo_transfer_own(transfer, &exchange->op);
  veo_engine_submit(&client->engine, exchange, url_of(client, r));
  while(exchange->op.state < VEO_STATE_DONE)
    veo_engine_step(&client->engine, veo_now() + 60.0, exchange);
  veo_getuservalue(L, 1);
  return veo_transfer_finish(L, transfer, lua_gettop(L));
}

int veo_request_extend(lua_State *L)
{
  veo_client *client = veo_check_client(L, 1);
  request r = {0};
  read_extend(L, 2, client, &r);
  return run(L, client, &r);
}

int veo_request_status(lua_State *L)
{
  veo_client *client = veo_check_client(L, 1);
  request r = {0};
  read_status(L, 2, client, &r);
  return run(L, client, &r);
}

int veo_request_look(lua_State *L)
{
  veo_client *client = veo_check_client(L, 1);
  request r = {0};
  read_look(L, 2, client, &r);
  return run(L, client, &r);
}

int veo_request_warm(lua_State *L)
{
  veo_client *client = veo_check_client(L, 1);
  request r = {0};
  read_warm(L, 2, client, &r);
  return run(L, client, &r);
}

/* Binds the transfer on the top; raises when a finalizer closed the client while memory was asked for. */
static void tie(lua_State *L, veo_transfer *transfer, veo_operation *operation, int tag)
{
  veo_transfer_bind(L, transfer, operation, tag);
  if(!transfer->operation)
    luaL_error(L, "the client was closed");
}

/* client:start(operation, request, options, tag): take will return the tag with the transfer */
int veo_request_start(lua_State *L)
{
  static const char *const operations[] = {"look", "status", "extend", "request", "download",
                                           "save", "upload", "digest", "warm",    NULL};
  static void (*const readers[])(lua_State *, int, const veo_client *, request *) = {
      read_look, read_status, read_extend, read_call, read_download,
      read_save, read_upload, read_digest, read_warm};
  veo_client *client = veo_check_client(L, 1);
  request r = {0};
  veo_transfer *transfer;
  veo_exchange *exchange = NULL;
  veo_work *work = NULL;
  problem wrong;
  int tag = lua_gettop(L) > 4 ? 5 : 0;
  luaL_checkstack(L, 30 + 3 * VEO_FORM_FIELDS, "too many arguments");
  readers[luaL_checkoption(L, 2, NULL, operations)](L, 3, client, &r);
  transfer = new_transfer(L, client, &r);
  if(r.kind == VEO_KIND_SAVE || r.kind == VEO_KIND_DIGEST)
    work = acquire_work(client, &r, &wrong);
  else
    exchange = acquire(client, &r, &wrong);
  if(work) {
    tie(L, transfer, &work->op, tag);
    veo_engine_submit_work(&client->engine, work);
  } else if(exchange) {
    tie(L, transfer, &exchange->op, tag);
    veo_engine_submit(&client->engine, exchange, url_of(client, &r));
  } else {
    return veo_push_failure(L, wrong.reason, wrong.message, VEO_SENT_NO);
  }
  return 1;
}
