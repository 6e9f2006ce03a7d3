/* The bridge to lua-cjson; see json.h. */
#include "json.h"

#include <math.h>
#include <string.h>

enum { MAX_DIGITS = 14, MAX_DEPTH = 100 };

static void configure(lua_State *L, const char *option, int boolean, int number)
{
  lua_getfield(L, -1, option);
  if(!lua_isfunction(L, -1)) {
    lua_pop(L, 1); /* a flavour without the option behaves as we want by itself */
    return;
  }
  if(boolean >= 0)
    lua_pushboolean(L, boolean);
  else
    lua_pushinteger(L, number);
  lua_call(L, 1, 0);
}

void veo_json_open(lua_State *L)
{
  lua_getglobal(L, "require");
  lua_pushliteral(L, "cjson.safe");
  if(lua_pcall(L, 1, 1, 0) != 0)
    luaL_error(L, "veo.core needs lua-cjson (Debian: lua-cjson, LuaRocks: lua-cjson): %s",
               lua_tostring(L, -1));
  lua_getfield(L, -1, "new");
  lua_call(L, 0, 1); /* never the shared instance: others change its settings */
  lua_remove(L, -2);
  configure(L, "decode_invalid_numbers", 0, 0);
  configure(L, "encode_invalid_numbers", 0, 0);
  configure(L, "decode_max_depth", -1, MAX_DEPTH);
  configure(L, "encode_max_depth", -1, MAX_DEPTH);
  /* The most that every flavour takes; see check_numbers. */
  configure(L, "encode_number_precision", -1, MAX_DIGITS);
  lua_getfield(L, -1, "encode");
  lua_getfield(L, -2, "decode");
  lua_remove(L, -3);
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

int veo_json_decode(lua_State *L, int decode, const char *text, size_t length)
{
  lua_pushvalue(L, decode);
  lua_pushlstring(L, text, length);
  lua_call(L, 1, 2); /* value, or nil and a message */
  if(lua_isnil(L, -2)) {
    lua_remove(L, -2);
    return 0;
  }
  lua_pop(L, 1);
  if(lua_istable(L, -1))
    clean(L);
  return 1;
}

/* Refuses, in the table on the top, whole numbers that lua-cjson would round without a word, and
 * tables that hold themselves. */
static void check_numbers(lua_State *L, int depth)
{
  if(depth > MAX_DEPTH)
    luaL_error(L, "the request cannot be written as JSON: nested too deeply");
  luaL_checkstack(L, 4, "tables nested too deeply");
  lua_pushnil(L);
  while(lua_next(L, -2)) {
    if(lua_type(L, -1) == LUA_TNUMBER) {
      lua_Number number = lua_tonumber(L, -1);
      if(fabs(number) >= 1e14 && number == floor(number))
        luaL_error(L,
                   "the request cannot be written as JSON: a whole number of more than %d "
                   "digits, send it as a string",
                   MAX_DIGITS);
    } else if(lua_istable(L, -1)) {
      check_numbers(L, depth + 1);
    }
    lua_pop(L, 1);
  }
}

void veo_json_encode(lua_State *L, int encode, int value)
{
  value = veo_absindex(L, value);
  lua_pushvalue(L, value);
  if(lua_istable(L, -1))
    check_numbers(L, 1);
  lua_pop(L, 1);
  lua_pushvalue(L, encode);
  lua_pushvalue(L, value);
  lua_call(L, 1, 2);
  if(lua_isnil(L, -2))
    luaL_error(L, "the request cannot be written as JSON: %s", lua_tostring(L, -1));
  lua_pop(L, 1);
}
