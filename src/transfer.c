/* The transfer userdata; see transfer.h. */
#include "transfer.h"

#include "reply.h"

static veo_transfer *check_transfer(lua_State *L)
{
  return luaL_checkudata(L, 1, VEO_TRANSFER_TYPE);
}

veo_transfer *veo_transfer_new(lua_State *L, int index, veo_client *client)
{
  veo_transfer *transfer;
  index = veo_absindex(L, index);
  transfer = veo_newuserdata(L, sizeof *transfer);
  transfer->client = client;
  transfer->exchange = NULL;
  transfer->reason = "closed";
  transfer->message = "the transfer was never started";
  transfer->sent = VEO_SENT_NO;
  veo_settype(L, VEO_TRANSFER_TYPE);
  lua_createtable(L, 2, 0); /* [1] the client, [2] the values of a result that was read */
  lua_pushvalue(L, index);
  lua_rawseti(L, -2, 1);
  veo_setuservalue(L, -2);
  return transfer;
}

/* Pushes the client's table of transfers under way. */
static void push_live(lua_State *L, int client_index)
{
  veo_getuservalue(L, client_index);
  lua_rawgeti(L, -1, VEO_ENV_LIVE);
  lua_remove(L, -2);
}

void veo_transfer_bind(lua_State *L, veo_transfer *transfer, veo_exchange *exchange)
{
  int self = lua_gettop(L);
  transfer->exchange = exchange;
  exchange->owner = transfer;
  veo_getuservalue(L, self);
  lua_rawgeti(L, -1, 1);
  push_live(L, lua_gettop(L));
  lua_pushlightuserdata(L, exchange);
  lua_pushvalue(L, self);
  lua_rawset(L, -3);
  lua_settop(L, self);
}

/* Takes the exchange's transfer out of the table of those under way. */
static void forget_live(lua_State *L, int client_index, veo_exchange *exchange)
{
  push_live(L, client_index);
  lua_pushlightuserdata(L, exchange);
  lua_rawget(L, -2);
  if(!lua_isnil(L, -1)) {
    lua_pushlightuserdata(L, exchange);
    lua_pushnil(L);
    lua_rawset(L, -4); /* the field exists, so no memory is needed */
  }
  lua_pop(L, 2);
}

void veo_transfer_peek(lua_State *L, int client_index, veo_exchange *exchange)
{
  push_live(L, client_index);
  lua_pushlightuserdata(L, exchange);
  lua_rawget(L, -2);
  lua_remove(L, -2);
}

void veo_transfer_push(lua_State *L, int client_index, veo_exchange *exchange)
{
  client_index = veo_absindex(L, client_index);
  veo_transfer_peek(L, client_index, exchange);
  forget_live(L, client_index, exchange);
}

void veo_transfer_orphan(veo_exchange *exchange)
{
  veo_transfer *transfer = exchange->owner;
  transfer->exchange = NULL;
  transfer->client = NULL;
  transfer->reason = "closed";
  transfer->message = "the client was closed";
  transfer->sent = exchange->sent;
}

/* Gives the exchange back to the pool. The client's handle at `client_index` is alive. */
static void let_go(lua_State *L, veo_transfer *transfer, int client_index)
{
  veo_exchange *exchange = transfer->exchange;
  forget_live(L, client_index, exchange);
  transfer->exchange = NULL;
  exchange->owner = NULL;
  veo_engine_release(&transfer->client->engine, exchange);
}

/* A result read before: [2] of the user value. Pushes its values, or nothing. */
static int push_kept(lua_State *L)
{
  int env;
  veo_getuservalue(L, 1);
  env = lua_gettop(L);
  lua_rawgeti(L, env, 2);
  if(lua_isnil(L, -1)) {
    lua_settop(L, env - 1);
    return 0;
  }
  lua_rawgeti(L, -1, 1);
  if(lua_isnil(L, -1)) {
    lua_rawgeti(L, -2, 2);
    return 2;
  }
  return 1;
}

/* Keeps the values on the top, so that asking again gives the same. */
static void keep_result(lua_State *L, int env, int count)
{
  lua_createtable(L, 2, 0);
  lua_pushvalue(L, -1 - count);
  lua_rawseti(L, -2, 1);
  if(count == 2) {
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, 2);
  }
  lua_rawseti(L, env, 2);
}

/* transfer:result() -> false while under way, or while bytes of a stream wait to be read |
 * reply | nil, failure */
static int transfer_result(lua_State *L)
{
  veo_transfer *transfer = check_transfer(L);
  veo_exchange *exchange = transfer->exchange;
  int env;
  int count = push_kept(L);
  if(count)
    return count;
  if(!exchange)
    return veo_push_failure(L, transfer->reason, transfer->message, transfer->sent);
  veo_getuservalue(L, 1);
  env = lua_gettop(L);
  lua_rawgeti(L, env, 1);
  (void)veo_check_client(L, env + 1);
  if(exchange->state < VEO_STATE_DONE || exchange->stream.bytes.length) {
    lua_pushboolean(L, 0);
    return 1;
  }
  veo_engine_hand_out(&transfer->client->engine, exchange);
  veo_getuservalue(L, env + 1);
  lua_rawgeti(L, -1, VEO_ENV_DECODE);
  count = veo_push_result(L, -1, exchange, transfer->client->settings.api_key);
  keep_result(L, env, count);
  let_go(L, transfer, env + 1);
  return count;
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
  veo_pushinteger(L, exchange->offset + exchange->written);
  if(exchange->total < 0)
    return 1;
  veo_pushinteger(L, exchange->total);
  return 2;
}

/* transfer:headers() -> what the reply will say of a file that has begun to come, or nil */
static int transfer_headers(lua_State *L)
{
  const veo_transfer *transfer = check_transfer(L);
  const veo_exchange *exchange = transfer->exchange;
  if(!exchange || exchange->kind != VEO_KIND_DOWNLOAD || !exchange->begun ||
     exchange->outcome == VEO_OUTCOME_REFUSED)
    return 0;
  veo_push_download_reply(L, exchange);
  return 1;
}

/* transfer:read() -> the bytes of a stream that have come, or nil when there are none now. A stream
 * that was paused for want of room goes on. */
static int transfer_read(lua_State *L)
{
  const veo_transfer *transfer = check_transfer(L);
  veo_exchange *exchange = transfer->exchange;
  if(!exchange || !exchange->stream.bytes.length)
    return 0;
  veo_getuservalue(L, 1);
  lua_rawgeti(L, -1, 1);
  (void)veo_check_client(L, lua_gettop(L));
  lua_pushlstring(L, exchange->stream.bytes.data, exchange->stream.bytes.length);
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
    veo_getuservalue(L, 1);
    lua_rawgeti(L, -1, 1);
    (void)veo_check_client(L, lua_gettop(L));
    cut = veo_engine_cancel(&transfer->client->engine, transfer->exchange);
    if(cut) {
      transfer->reason = "cancelled";
      transfer->message = "cancelled";
      transfer->sent = transfer->exchange->sent;
      let_go(L, transfer, lua_gettop(L));
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
  veo_exchange *exchange = transfer->exchange;
  transfer->exchange = NULL;
  if(!exchange)
    return 0;
  exchange->owner = NULL;
  if(!transfer->client->open || !veo_engine_is_ours(&transfer->client->engine))
    return 0;
  if(exchange->state == VEO_STATE_PREPARED || exchange->state >= VEO_STATE_DONE)
    veo_engine_release(&transfer->client->engine, exchange);
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
  static const luaL_Reg methods[] = {{"result", transfer_result},
                                     {"progress", transfer_progress},
                                     {"headers", transfer_headers},
                                     {"read", transfer_read},
                                     {"cancel", transfer_cancel},
                                     {NULL, NULL}};
  static const luaL_Reg events[] = {
      {"__gc", transfer_gc}, {"__tostring", transfer_tostring}, {NULL, NULL}};
  veo_newtype(L, VEO_TRANSFER_TYPE, methods, events);
}
