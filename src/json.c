/* The bridge to lua-cjson; see json.h. */
#include "json.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 100 };

static void configure(lua_State *L, const char *option, int boolean, int number)
{
  lua_getfield(L, -1, option);
  if(!lua_isfunction(L, -1)) {
    lua_pop(L, 1); /* a lua-cjson without the option needs none */
    return;
  }
  if(boolean >= 0)
    lua_pushboolean(L, boolean);
  else
    lua_pushinteger(L, number);
  lua_call(L, 1, 0);
}

/* A sandbox may have dropped `require` since it was loaded. */
static void push_cjson(lua_State *L)
{
  lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
  lua_getfield(L, -1, "cjson.safe");
  lua_remove(L, -2);
  if(lua_istable(L, -1))
    return;
  lua_pop(L, 1);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "cjson.safe");
  if(lua_pcall(L, 1, 1, 0) != 0)
    luaL_error(L, "veo.core needs lua-cjson (Debian: lua-cjson, LuaRocks: lua-cjson): %s",
               lua_tostring(L, -1));
}

void veo_json_open(lua_State *L)
{
  push_cjson(L);
  lua_getfield(L, -1, "new");
  lua_call(L, 0, 1); /* never the shared instance: others change its settings */
  lua_remove(L, -2);
  configure(L, "decode_invalid_numbers", 0, 0);
  configure(L, "decode_max_depth", -1, MAX_DEPTH);
  lua_getfield(L, -1, "decode");
  lua_remove(L, -2);
}

/* Replaces the number on the top by an integer when it is whole. 1 when it did. */
static int make_integer(lua_State *L)
{
#if LUA_VERSION_NUM >= 503
  int whole;
  lua_Integer integer;
  if(lua_isinteger(L, -1))
    return 0;
  integer = lua_tointegerx(L, -1, &whole);
  if(!whole || integer > 9007199254740992 || integer < -9007199254740992)
    return 0;
  lua_pop(L, 1);
  lua_pushinteger(L, integer);
  return 1;
#else
  (void)L;
  return 0;
#endif
}

/* Walks the table on the top: nulls become absent, whole numbers integers. Leaves it there. The
 * decoder bounds the depth. Assigning to a field that exists is allowed during a traversal. */
static void clean(lua_State *L)
{
  luaL_checkstack(L, 4, "JSON nested too deeply");
  lua_pushnil(L);
  while(lua_next(L, -2)) {
    switch(lua_type(L, -1)) {
    case LUA_TTABLE:
      clean(L);
      break;
    case LUA_TLIGHTUSERDATA: /* cjson.null */
      lua_pushvalue(L, -2);
      lua_pushnil(L);
      lua_rawset(L, -5);
      break;
    case LUA_TNUMBER:
      if(make_integer(L)) {
        lua_pushvalue(L, -2);
        lua_pushvalue(L, -2);
        lua_rawset(L, -5);
      }
      break;
    default:
      break;
    }
    lua_pop(L, 1);
  }
}

/* The code unit that an escape at `text` writes, or -1. */
static long unit_of(const char *text, size_t left)
{
  char digits[5] = "";
  if(left < 6 || text[0] != '\\' || text[1] != 'u')
    return -1;
  memcpy(digits, text + 2, 4);
  return strspn(digits, "0123456789abcdefABCDEF") == 4 ? strtol(digits, NULL, 16) : -1;
}

/* Pushes the text with U+FFFD for each half of a surrogate pair that stands alone, at which lua-cjson refuses it all. 0
 * with nothing pushed when there is none. */
static int push_mended(lua_State *L, const char *text, size_t length)
{
  luaL_Buffer out;
  int mended = 0;
  int top = lua_gettop(L);
  luaL_buffinit(L, &out);
  while(length) {
    long unit = unit_of(text, length);
    size_t n = unit >= 0 ? 6 : *text == '\\' && length > 1 ? 2 : 1;
    long next = unit >= 0xd800 && unit <= 0xdbff ? unit_of(text + 6, length - 6) : -1;
    if(next >= 0xdc00 && next <= 0xdfff)
      n = 12;
    if(n == 6 && unit >= 0xd800 && unit <= 0xdfff) {
      luaL_addstring(&out, "\\ufffd");
      mended = 1;
    } else
      luaL_addlstring(&out, text, n);
    text += n;
    length -= n;
  }
  luaL_pushresult(&out);
  if(!mended)
    lua_settop(L, top);
  return mended;
}

int veo_json_decode(lua_State *L, int decode, const char *text, size_t length)
{
  decode = veo_absindex(L, decode);
  lua_pushvalue(L, decode);
  lua_pushlstring(L, text, length);
  lua_call(L, 1, 2); /* value, or nil and a message */
  if(lua_isnil(L, -2) && push_mended(L, text, length)) {
    lua_pushvalue(L, decode);
    lua_insert(L, -2);
    lua_call(L, 1, 2);
    lua_remove(L, -3);
    lua_remove(L, -3);
  }
  if(lua_isnil(L, -2)) {
    lua_remove(L, -2);
    return 0;
  }
  lua_pop(L, 1);
  if(lua_istable(L, -1))
    clean(L);
  return 1;
}
