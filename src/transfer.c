/* The transfer userdata; see transfer.h. */
#include "transfer.h"

#include "defaults.h"
#include "reply.h"

#include <string.h>

static const veo_type transfer_type = {"veo.core.transfer " VEO_VERSION};

static veo_transfer *check_transfer(lua_State *L)
{
  return veo_checktype(L, 1, &transfer_type);
}

veo_transfer *veo_transfer_new(lua_State *L, int index, veo_client *client)
{
  veo_transfer *transfer;
  index = veo_absindex(L, index);
  transfer = veo_newuserdata(L, sizeof *transfer);
  transfer->client = client;
  transfer->exchange = NULL;
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

/* The client behind the transfer at 1, or an error when it is closed. Pushes its table. */
static veo_client *check_owner(lua_State *L)
{
  veo_client *client;
  veo_getuservalue(L, 1);
  lua_rawgeti(L, -1, VEO_ENV_CLIENT);
  client = veo_check_client(L, lua_gettop(L));
  lua_pop(L, 1);
  return client;
}

/* Sets env[field][slot] to the value on the top, which is popped. An array indexed by slots costs a
 * fraction of a table keyed by the exchanges, which rehashes as they come and go (a third of all
 * instructions with a thousand under way, measured). */
static void set_slot(lua_State *L, int env, int field, int slot)
{
  lua_rawgeti(L, env, field);
  lua_insert(L, -2);
  lua_rawseti(L, -2, slot);
  lua_pop(L, 1);
}

static void push_slot(lua_State *L, int env, int field, int slot)
{
  lua_rawgeti(L, env, field);
  lua_rawgeti(L, -1, slot);
  lua_remove(L, -2);
}

void veo_transfer_own(veo_transfer *transfer, veo_exchange *exchange)
{
  transfer->exchange = exchange;
  exchange->owner = transfer;
}

void veo_transfer_bind(lua_State *L, veo_transfer *transfer, veo_exchange *exchange, int tag)
{
  int self = lua_gettop(L);
  veo_transfer_own(transfer, exchange);
  veo_getuservalue(L, self);
  if(tag)
    lua_pushvalue(L, tag);
  else
    lua_pushnil(L);
  set_slot(L, self + 1, VEO_ENV_TAGS, exchange->slot);
  lua_pushvalue(L, self);
  set_slot(L, self + 1, VEO_ENV_LIVE, exchange->slot);
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

void veo_transfer_push(lua_State *L, int client_index, const veo_exchange *exchange)
{
  int env;
  veo_getuservalue(L, client_index);
  env = lua_gettop(L);
  push_slot(L, env, VEO_ENV_LIVE, exchange->slot);
  push_slot(L, env, VEO_ENV_TAGS, exchange->slot);
  if(exchange->state == VEO_STATE_TAKEN)
    forget(L, env, exchange->slot);
}

/* Takes over what had come of a billable call's answer: it may name a task, and the key is still there
 * to be struck out. */
static void save_text(veo_transfer *transfer, veo_exchange *exchange)
{
  if(!exchange->billable || transfer->kept == exchange || transfer->text.data)
    return;
  transfer->text = exchange->reply;
  memset(&exchange->reply, 0, sizeof exchange->reply);
  if(transfer->text.length)
    veo_scrub(transfer->text.data, transfer->text.length, transfer->client->settings.api_key);
}

int veo_transfer_orphan(veo_exchange *exchange)
{
  veo_transfer *transfer = exchange->owner;
  if(transfer->client)
    save_text(transfer, exchange);
  transfer->exchange = NULL;
  transfer->client = NULL;
  transfer->reason = "closed";
  transfer->message = "the client was closed";
  transfer->sent = exchange->sent;
  return transfer->kept == exchange;
}

/* Gives the exchange back to the pool, or frees it when there is none any more. */
static void give_back(veo_transfer *transfer, veo_exchange *exchange)
{
  transfer->exchange = NULL;
  transfer->kept = NULL;
  exchange->owner = NULL;
  if(transfer->client)
    veo_engine_release(&transfer->client->engine, exchange);
  else
    veo_exchange_free(exchange);
}

/* The host's finalizers run wherever Lua allocates, and may close the client there: until `unkeep` the
 * exchange can be read all the same. */
static void keep(veo_transfer *transfer)
{
  transfer->kept = transfer->exchange;
}

/* False when the client was closed meanwhile. */
static int unkeep(veo_transfer *transfer)
{
  veo_exchange *exchange = transfer->kept;
  if(!transfer->client) {
    give_back(transfer, exchange);
    return 0;
  }
  transfer->kept = NULL;
  return 1;
}

int veo_transfer_finish(lua_State *L, veo_transfer *transfer, int env)
{
  veo_exchange *exchange = transfer->exchange;
  int count;
  veo_engine_hand_out(&transfer->client->engine, exchange);
  keep(transfer);
  transfer->exchange = NULL;
  transfer->reason = "taken";
  transfer->message = "the result was handed over before";
  transfer->sent = exchange->sent;
  count = veo_push_result(L, env, exchange, transfer->client->settings.api_key);
  give_back(transfer, exchange);
  return count;
}

static int is_running(const veo_exchange *exchange)
{
  return exchange && (exchange->state < VEO_STATE_DONE || exchange->stream.bytes.length);
}

/* transfer:running() -> true while under way, or while bytes of a stream wait to be read */
static int transfer_running(lua_State *L)
{
  lua_pushboolean(L, is_running(check_transfer(L)->exchange));
  return 1;
}

/* transfer:result() -> false while running | reply | nil, failure. A result is handed over once. */
static int transfer_result(lua_State *L)
{
  veo_transfer *transfer = check_transfer(L);
  const veo_exchange *exchange = transfer->exchange;
  int env;
  if(!exchange && transfer->text.length)
    return veo_push_closed(L, transfer->message, transfer->sent, &transfer->text);
  if(!exchange)
    return veo_push_failure(L, transfer->reason, transfer->message, transfer->sent);
  (void)check_owner(L);
  env = lua_gettop(L);
  if(is_running(exchange)) {
    lua_pushboolean(L, 0);
    return 1;
  }
  forget(L, env, exchange->slot);
  return veo_transfer_finish(L, transfer, env);
}

/* transfer:tag(value) -> true: client:take will return it with the transfer; false when it was taken */
static int transfer_tag(lua_State *L)
{
  const veo_transfer *transfer = check_transfer(L);
  lua_settop(L, 2);
  if(!transfer->exchange || transfer->exchange->state == VEO_STATE_TAKEN)
    return 0;
  (void)check_owner(L);
  lua_pushvalue(L, 2);
  set_slot(L, 3, VEO_ENV_TAGS, transfer->exchange->slot);
  lua_pushboolean(L, 1);
  return 1;
}

static int upload_progress(lua_State *L, const veo_exchange *exchange)
{
  curl_off_t sent = 0;
  curl_off_t total = -1;
  if(exchange->state >= VEO_STATE_ACTIVE) {
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
  const veo_exchange *exchange = transfer->exchange;
  if(exchange && exchange->kind == VEO_KIND_UPLOAD)
    return upload_progress(L, exchange);
  if(!exchange || exchange->kind != VEO_KIND_DOWNLOAD)
    return 0;
  veo_pushinteger(L, exchange->offset + exchange->written + exchange->overlap);
  if(exchange->total < 0)
    return 1;
  veo_pushinteger(L, exchange->total);
  return 2;
}

/* transfer:headers() -> what the reply will say of a file that has begun to come, or nil */
static int transfer_headers(lua_State *L)
{
  veo_transfer *transfer = check_transfer(L);
  const veo_exchange *exchange = transfer->exchange;
  if(!exchange || exchange->kind != VEO_KIND_DOWNLOAD || !exchange->begun ||
     exchange->outcome == VEO_OUTCOME_REFUSED)
    return 0;
  keep(transfer);
  veo_push_download_reply(L, exchange);
  (void)unkeep(transfer);
  return 1;
}

/* transfer:read() -> the bytes of a stream that have come, or nil when there are none now. A stream
 * that was paused for want of room goes on. */
static int transfer_read(lua_State *L)
{
  veo_transfer *transfer = check_transfer(L);
  veo_exchange *exchange = transfer->exchange;
  if(!exchange || !exchange->stream.bytes.length)
    return 0;
  (void)check_owner(L);
  keep(transfer);
  lua_pushlstring(L, exchange->stream.bytes.data, exchange->stream.bytes.length);
  if(!unkeep(transfer))
    return 1;
  veo_buffer_reset(&exchange->stream.bytes, 2 * exchange->stream.cap);
  veo_engine_resume(&transfer->client->engine, exchange);
  return 1;
}

/* transfer:cancel() -> true when it was cut; false when it may not be (billable, and bytes may have
 * left), cannot be (a file is moved to its name) or has ended. */
static int transfer_cancel(lua_State *L)
{
  veo_transfer *transfer = check_transfer(L);
  int cut = 0;
  if(transfer->exchange) {
    (void)check_owner(L);
    cut = veo_engine_cancel(&transfer->client->engine, transfer->exchange);
    if(cut) {
      transfer->reason = "cancelled";
      transfer->message = "cancelled";
      transfer->sent = transfer->exchange->sent;
      forget(L, lua_gettop(L), transfer->exchange->slot);
      give_back(transfer, transfer->exchange);
    }
  }
  lua_pushboolean(L, cut);
  return 1;
}

/* Reached only when the exchange never started, is taken, or the state ends: while it is under way
 * the client keeps the transfer. */
static int transfer_gc(lua_State *L)
{
  veo_transfer *transfer = check_transfer(L);
  veo_exchange *exchange = transfer->exchange ? transfer->exchange : transfer->kept;
  const veo_client *client = transfer->client;
  veo_buffer_free(&transfer->text);
  if(!exchange)
    return 0;
  transfer->exchange = NULL;
  transfer->kept = NULL;
  exchange->owner = NULL;
  if(client && (!client->open || !veo_engine_is_ours(&client->engine)))
    return 0;
  if(!client || exchange->state == VEO_STATE_PREPARED || exchange->state >= VEO_STATE_DONE)
    give_back(transfer, exchange);
  return 0;
}

static int transfer_tostring(lua_State *L)
{
  static const char *const kinds[] = {"call",   "status", "call", "download",
                                      "upload", "save",   "warm"};
  const veo_transfer *transfer = check_transfer(L);
  const veo_exchange *exchange = transfer->exchange;
  if(!exchange)
    lua_pushfstring(L, "veo.core.transfer (ended)");
  else
    lua_pushfstring(L, "veo.core.transfer (%s, %s)", kinds[exchange->kind],
                    exchange->state < VEO_STATE_DONE ? "under way" : "done");
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
