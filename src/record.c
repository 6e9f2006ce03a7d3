/* The usual record; see record.h. Every look of every wait comes by here, and nearly all end here: in
 * Lua, this took 26,000 of the 182,000 instructions of a status call, here it takes 12,000. No rule is
 * relaxed: what is not exactly as documented goes the long way. */
#include "record.h"

#include <math.h>
#include <string.h>

/* Where things stand on the stack. */
enum {
  DATA = 1,
  ENVELOPE,
  ASKED,
  FLAG,
  RESPONSE,
  CODE,
  MESSAGE,
  CREATED,
  COMPLETED,
  PARAM,
  ID,
  NEW,
  WHOLE,
  RESOLUTION,
  SEEDS,
  AUDIO,
  SLOTS = 24
};

static int is_nil(lua_State *L, const char *field, int table)
{
  int nil;
  lua_getfield(L, table, field);
  nil = lua_isnil(L, -1);
  lua_pop(L, 1);
  return nil;
}

static int is_whole(lua_State *L, int at)
{
#if LUA_VERSION_NUM >= 503
  return lua_isinteger(L, at);
#else
  lua_Number number = lua_tonumber(L, at);
  return lua_type(L, at) == LUA_TNUMBER && floor(number) == number &&
         fabs(number) <= 9007199254740992.0;
#endif
}

static int is_time(lua_State *L, int at)
{
  return lua_isnil(L, at) || is_whole(L, at);
}

static int is_id(lua_State *L, int at)
{
  size_t length;
  const char *id;
  if(lua_type(L, at) != LUA_TSTRING)
    return 0;
  if(lua_rawequal(L, at, ASKED))
    return 1;
  id = lua_tolstring(L, at, &length);
  return length > 0 &&
         strspn(id, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-") == length;
}

/* A URL without anything around it: no quotes, no blanks, and a host. */
static int is_url(const char *url, size_t length)
{
  static const char https[] = "https://";
  size_t start = 8;
  size_t i;
  if(strncmp(url, https, start) != 0) {
    start = 7;
    if(strncmp(url, "http://", start) != 0)
      return 0;
  }
  if(length <= start || strchr("/?#", url[start]))
    return 0;
  for(i = start; i < length; i++) {
    unsigned char byte = (unsigned char)url[i];
    if(byte <= ' ' || byte == 127 || byte == '"' || byte == '\'')
      return 0;
  }
  return 1;
}

/* A list of one. Pushes the one. */
static int is_single(lua_State *L, int at)
{
  if(!lua_istable(L, at) || veo_rawlen(L, at) != 1)
    return 0;
  lua_rawgeti(L, at, 1);
  return 1;
}

/* Pushes the URL. */
static int is_url_list(lua_State *L, int at)
{
  size_t length;
  const char *url;
  if(!is_single(L, at) || lua_type(L, -1) != LUA_TSTRING)
    return 0;
  url = lua_tolstring(L, -1, &length);
  return is_url(url, length);
}

static int is_plain_list(lua_State *L, int at)
{
  int plain;
  if(lua_isnil(L, at))
    return 1;
  if(!is_single(L, at))
    return 0;
  plain = lua_isboolean(L, -1) || is_whole(L, -1);
  lua_pop(L, 1);
  return plain;
}

/* What both forms have in common. */
static int is_plain(lua_State *L)
{
  if(!lua_isnil(L, CODE) || !is_time(L, CREATED) || !is_time(L, COMPLETED) || !is_id(L, ID) ||
     !is_nil(L, "info", DATA))
    return 0;
  return lua_isnil(L, MESSAGE) ||
         (lua_type(L, MESSAGE) == LUA_TSTRING && veo_rawlen(L, MESSAGE) == 0);
}

static void copy(lua_State *L, const char *field, int from)
{
  if(lua_isnil(L, from))
    return;
  lua_pushvalue(L, from);
  lua_setfield(L, -2, field);
}

static void push_status(lua_State *L, const char *state, int done, int fields)
{
  lua_createtable(L, 0, fields);
  copy(L, "taskId", ID);
  lua_pushstring(L, state);
  lua_setfield(L, -2, "state");
  lua_pushboolean(L, done);
  lua_setfield(L, -2, "done");
  copy(L, "successFlag", FLAG);
  copy(L, "createTime", CREATED);
  copy(L, "completeTime", COMPLETED);
  copy(L, "paramJson", PARAM);
  copy(L, "raw", ENVELOPE);
}

static int succeeded(lua_State *L)
{
  if(!lua_istable(L, RESPONSE) || !is_nil(L, "originUrls", RESPONSE) ||
     !is_nil(L, "mediaIds", RESPONSE))
    return 0;
  lua_getfield(L, RESPONSE, "resultUrls");
  lua_getfield(L, RESPONSE, "fullResultUrls");
  lua_getfield(L, RESPONSE, "resolution");
  lua_getfield(L, RESPONSE, "seeds");
  lua_getfield(L, RESPONSE, "hasAudioList");
  if(!is_plain_list(L, SEEDS) || !is_plain_list(L, AUDIO) ||
     lua_type(L, RESOLUTION) != LUA_TSTRING || *lua_tostring(L, RESOLUTION) == '\0')
    return 0;
  if(!is_url_list(L, NEW) || !is_url_list(L, WHOLE))
    return 0;
  push_status(L, "succeeded", 1, 14);
  lua_pushvalue(L, -2); /* the URL of the whole */
  lua_setfield(L, -2, "video_url");
  copy(L, "resultUrls", NEW);
  copy(L, "fullResultUrls", WHOLE);
  copy(L, "resolution", RESOLUTION);
  copy(L, "seeds", SEEDS);
  copy(L, "hasAudioList", AUDIO);
  return 1;
}

int veo_record(lua_State *L)
{
  lua_Number flag;
  lua_settop(L, ASKED);
  if(!lua_istable(L, DATA))
    return 0;
  luaL_checkstack(L, SLOTS, "a status");
  lua_getfield(L, DATA, "successFlag");
  if(!is_whole(L, FLAG))
    return 0;
  flag = lua_tonumber(L, FLAG);
  lua_getfield(L, DATA, "response");
  lua_getfield(L, DATA, "errorCode");
  lua_getfield(L, DATA, "errorMessage");
  lua_getfield(L, DATA, "createTime");
  lua_getfield(L, DATA, "completeTime");
  lua_getfield(L, DATA, "paramJson");
  lua_getfield(L, DATA, "taskId");
  if(!is_plain(L))
    return 0;
  if(flag == 1)
    return succeeded(L);
  if(flag != 0 || !lua_isnil(L, RESPONSE))
    return 0;
  push_status(L, "generating", 0, 8);
  return 1;
}
