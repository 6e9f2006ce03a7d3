/* The transfer userdata; see transfer.h. */
#include "transfer.h"

#include "defaults.h"
#include "reply.h"

#include <string.h>

static const veo_type transfer_type = {"veo.core.transfer " VEO_VERSION};

static veo_transfer *check_transfer(lua_State *L)
{
  return veo_checkself(L, &transfer_type);
}

veo_transfer *veo_transfer_new(lua_State *L, int index, veo_client *client)
{
  veo_transfer *transfer;
  index = veo_absindex(L, index);
  transfer = veo_newuserdata(L, sizeof *transfer);
  transfer->client = client;
  transfer->operation = NULL;
  transfer->kept = NULL;
  transfer->reason = "closed";
  transfer->message = "the transfer was never started";
  transfer->sent = VEO_SENT_NO;
  memset(&transfer->text, 0, sizeof transfer->text);
  veo_settype(L, &transfer_type);
  veo_getuservalue(L, index); /* the client's table, which keeps the client */
  veo_setuservalue(L, -2);
  return transfer;
}

/* Pushes the table of the transfer's client, which keeps it; an error when it is closed. */
static veo_client *check_owner(lua_State *L, const veo_transfer *transfer)
{
  veo_client *client = transfer->client;
  veo_getuservalue(L, 1);
  if(!client->open || !veo_engine_is_ours(&client->engine)) {
    lua_rawgeti(L, -1, VEO_ENV_CLIENT);
    (void)veo_check_client(L, lua_gettop(L)); /* says so */
  }
  return client;
}

/* Sets env[field][slot] to the value on the top, which is popped. An array indexed by slots costs a
 * fraction of a table keyed by the exchanges, which rehashes as they come and go (a third of all
 * instructions with a thousand under way, measured). */
static void set_slot(lua_State *L, int env, int field, int slot)
{
  lua_rawgeti(L, env, field);
  lua_pushvalue(L, -2);
  lua_rawseti(L, -2, slot);
  lua_pop(L, 2);
}

static void push_slot(lua_State *L, int env, int field, int slot)
{
  lua_rawgeti(L, env, field);
  lua_rawgeti(L, -1, slot);
  lua_replace(L, -2);
}

void veo_transfer_own(veo_transfer *transfer, veo_operation *operation)
{
  transfer->operation = operation;
  operation->owner = transfer;
}

void veo_transfer_bind(lua_State *L, veo_transfer *transfer, veo_operation *operation, int tag)
{
  int self = lua_gettop(L);
  veo_transfer_own(transfer, operation);
  veo_getuservalue(L, self);
  if(tag)
    lua_pushvalue(L, tag);
  else
    lua_pushnil(L);
  set_slot(L, self + 1, VEO_ENV_TAGS, operation->slot);
  lua_pushvalue(L, self);
  set_slot(L, self + 1, VEO_ENV_LIVE, operation->slot);
  lua_settop(L, self);
}

/* The script alone keeps the transfer from here on. */
static void forget(lua_State *L, int env, int slot)
{
  lua_pushnil(L);
  set_slot(L, env, VEO_ENV_LIVE, slot);
  lua_pushnil(L);
  set_slot(L, env, VEO_ENV_TAGS, slot);
}

void veo_transfer_push(lua_State *L, int client_index, const veo_operation *operation)
{
  int env;
  veo_getuservalue(L, client_index);
  env = lua_gettop(L);
  push_slot(L, env, VEO_ENV_LIVE, operation->slot);
  push_slot(L, env, VEO_ENV_TAGS, operation->slot);
  if(operation->state == VEO_STATE_TAKEN)
    forget(L, env, operation->slot);
}

static veo_sent sent_of(veo_operation *operation)
{
  return veo_is_work(operation) ? VEO_SENT_NO : veo_exchange_of(operation)->sent;
}

/* Takes over what had come of a billable call's answer: it may name a task, and the key is still there
 * to be struck out. */
static void save_text(veo_transfer *transfer, veo_exchange *exchange)
{
  if(!exchange->call.billable || transfer->text.data)
    return;
  transfer->text = exchange->reply;
  memset(&exchange->reply, 0, sizeof exchange->reply);
  if(transfer->text.length)
    veo_scrub(transfer->text.data, transfer->text.length, transfer->client->settings.api_key);
}

int veo_transfer_orphan(veo_operation *operation)
{
  veo_transfer *transfer = operation->owner;
  int is_read = transfer->kept == operation;
  if(transfer->client && !is_read && !veo_is_work(operation))
    save_text(transfer, veo_exchange_of(operation));
  transfer->operation = NULL;
  transfer->client = NULL;
  transfer->reason = "closed";
  transfer->message = "the client was closed";
  transfer->sent = sent_of(operation);
  return is_read;
}

/* Gives the operation back to the engine, or frees it when there is none any more. */
static void give_back(veo_transfer *transfer, veo_operation *operation)
{
  transfer->operation = NULL;
  transfer->kept = NULL;
  operation->owner = NULL;
  if(transfer->client)
    veo_engine_release(&transfer->client->engine, operation);
  else
    veo_operation_free(operation);
}

/* The host's finalizers run wherever Lua allocates, and may close the client there: until `unkeep` the
 * operation can be read all the same. */
static void keep(veo_transfer *transfer)
{
  transfer->kept = transfer->operation;
}

/* False when the client was closed meanwhile. */
static int unkeep(veo_transfer *transfer)
{
  if(!transfer->client) {
    give_back(transfer, transfer->kept);
    return 0;
  }
  transfer->kept = NULL;
  return 1;
}

int veo_transfer_finish(lua_State *L, veo_transfer *transfer, int env)
{
  veo_operation *operation = transfer->operation;
  int count;
  veo_engine_hand_out(&transfer->client->engine, operation);
  keep(transfer);
  transfer->operation = NULL;
  transfer->reason = "taken";
  transfer->message = "the result was handed over before";
  transfer->sent = sent_of(operation);
  count = veo_is_work(operation) ? veo_push_work_result(L, veo_work_of(operation))
                                 : veo_push_result(L, env, veo_exchange_of(operation),
                                                   transfer->client->settings.api_key);
  give_back(transfer, operation);
  return count;
}

/* The download that it stands for, or NULL. */
static veo_download *download_of(const veo_transfer *transfer)
{
  veo_operation *operation = transfer->operation;
  return operation && !veo_is_work(operation) ? veo_exchange_of(operation)->download : NULL;
}

static int is_running(const veo_transfer *transfer)
{
  const veo_download *download = download_of(transfer);
  return transfer->operation && (transfer->operation->state < VEO_STATE_DONE ||
                                 (download && download->stream.bytes.length));
}

/* transfer:running() -> true while under way, or while bytes of a stream wait to be read */
static int transfer_running(lua_State *L)
{
  lua_pushboolean(L, is_running(check_transfer(L)));
  return 1;
}

/* transfer:result() -> false while running | reply | nil, failure. A result is handed over once. */
static int transfer_result(lua_State *L)
{
  veo_transfer *transfer = check_transfer(L);
  int env;
  if(!transfer->operation && transfer->text.length)
    return veo_push_closed(L, transfer->message, transfer->sent, &transfer->text);
  if(!transfer->operation)
    return veo_push_failure(L, transfer->reason, transfer->message, transfer->sent);
  (void)check_owner(L, transfer);
  env = lua_gettop(L);
  if(is_running(transfer)) {
    lua_pushboolean(L, 0);
    return 1;
  }
  if(transfer->operation->state != VEO_STATE_TAKEN)
    forget(L, env, transfer->operation->slot);
  return veo_transfer_finish(L, transfer, env);
}

/* transfer:tag(value) -> true: client:take will return it with the transfer; false when it was taken */
static int transfer_tag(lua_State *L)
{
  const veo_transfer *transfer = check_transfer(L);
  lua_settop(L, 2);
  if(!transfer->operation || transfer->operation->state == VEO_STATE_TAKEN)
    return 0;
  (void)check_owner(L, transfer);
  lua_pushvalue(L, 2);
  set_slot(L, 3, VEO_ENV_TAGS, transfer->operation->slot);
  lua_pushboolean(L, 1);
  return 1;
}

static int upload_progress(lua_State *L, const veo_exchange *exchange)
{
  curl_off_t sent = 0;
  curl_off_t total = -1;
  if(exchange->op.state >= VEO_STATE_ACTIVE) {
    curl_easy_getinfo(exchange->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
    curl_easy_getinfo(exchange->easy, CURLINFO_CONTENT_LENGTH_UPLOAD_T, &total);
  }
  veo_pushinteger(L, sent);
  if(total < 0)
    return 1;
  veo_pushinteger(L, total);
  return 2;
}

/* transfer:progress() -> bytes, total | nil: of a file its place in it, of an upload what has left of
 * its body, of another call nothing. */
static int transfer_progress(lua_State *L)
{
  const veo_transfer *transfer = check_transfer(L);
  const veo_download *download = download_of(transfer);
  if(transfer->operation && transfer->operation->kind == VEO_KIND_UPLOAD)
    return upload_progress(L, veo_exchange_of(transfer->operation));
  if(!download)
    return 0;
  veo_pushinteger(L, download->offset + download->written + download->overlap);
  if(download->total < 0)
    return 1;
  veo_pushinteger(L, download->total);
  return 2;
}

/* transfer:headers() -> what the reply will say of a file that has begun to come, or nil */
static int transfer_headers(lua_State *L)
{
  veo_transfer *transfer = check_transfer(L);
  const veo_download *download = download_of(transfer);
  if(!download || !download->begun ||
     veo_exchange_of(transfer->operation)->outcome == VEO_OUTCOME_REFUSED)
    return 0;
  keep(transfer);
  veo_push_download_reply(L, veo_exchange_of(transfer->operation));
  (void)unkeep(transfer);
  return 1;
}

/* transfer:read() -> the bytes of a stream that have come, or nil when there are none now. A stream
 * that was paused for want of room goes on. */
static int transfer_read(lua_State *L)
{
  veo_transfer *transfer = check_transfer(L);
  veo_download *download = download_of(transfer);
  if(!download || !download->stream.bytes.length)
    return 0;
  (void)check_owner(L, transfer);
  keep(transfer);
  lua_pushlstring(L, download->stream.bytes.data, download->stream.bytes.length);
  if(!unkeep(transfer))
    return 1;
  veo_buffer_reset(&download->stream.bytes, 2 * download->stream.cap);
  veo_engine_resume(&transfer->client->engine, veo_exchange_of(transfer->operation));
  return 1;
}

/* transfer:cancel() -> true when it was cut; false when it may not be (billable, and bytes may have
 * left), cannot be (a file is moved to its name) or has ended. */
static int transfer_cancel(lua_State *L)
{
  veo_transfer *transfer = check_transfer(L);
  int cut = 0;
  if(transfer->operation) {
    (void)check_owner(L, transfer);
    cut = veo_engine_cancel(&transfer->client->engine, transfer->operation);
    if(cut) {
      transfer->reason = "cancelled";
      transfer->message = "cancelled";
      transfer->sent = sent_of(transfer->operation);
      forget(L, lua_gettop(L), transfer->operation->slot);
      give_back(transfer, transfer->operation);
    }
  }
  lua_pushboolean(L, cut);
  return 1;
}

/* Reached only when the operation never started, is taken, or the state ends: while it is under way
 * the client keeps the transfer. */
static int transfer_gc(lua_State *L)
{
  veo_transfer *transfer = check_transfer(L);
  veo_operation *operation = transfer->operation ? transfer->operation : transfer->kept;
  const veo_client *client = transfer->client;
  veo_buffer_free(&transfer->text);
  if(!operation)
    return 0;
  transfer->operation = NULL;
  transfer->kept = NULL;
  operation->owner = NULL;
  if(client && (!client->open || !veo_engine_is_ours(&client->engine)))
    return 0;
  if(!client || operation->state == VEO_STATE_PREPARED || operation->state >= VEO_STATE_DONE)
    give_back(transfer, operation);
  return 0;
}

static int transfer_tostring(lua_State *L)
{
  static const char *const kinds[] = {"call",   "status", "call", "download",
                                      "upload", "warm",   "save", "digest"};
  const veo_operation *operation = check_transfer(L)->operation;
  if(!operation)
    lua_pushfstring(L, "veo.core.transfer (ended)");
  else
    lua_pushfstring(L, "veo.core.transfer (%s, %s)", kinds[operation->kind],
                    operation->state < VEO_STATE_DONE ? "under way" : "done");
  return 1;
}

void veo_transfer_register(lua_State *L)
{
  static const luaL_Reg methods[] = {{"running", transfer_running}, {"result", transfer_result},
                                     {"tag", transfer_tag},         {"progress", transfer_progress},
                                     {"headers", transfer_headers}, {"read", transfer_read},
                                     {"cancel", transfer_cancel},   {NULL, NULL}};
  static const luaL_Reg events[] = {
      {"__gc", transfer_gc}, {"__tostring", transfer_tostring}, {NULL, NULL}};
  veo_newtype(L, &transfer_type, methods, events);
}
