/* Lua arguments as C values; see arguments.h. */
#include "arguments.h"

#include "text.h"

#include <float.h>
#include <string.h>

void veo_only_fields(lua_State *L, int index, const char *const *known)
{
  index = veo_absindex(L, index);
  lua_pushnil(L);
  while(lua_next(L, index)) {
    size_t i = 0;
    lua_pop(L, 1);
    if(lua_type(L, -1) != LUA_TSTRING)
      luaL_error(L, "unknown option: field names are strings");
    while(known[i] && strcmp(known[i], lua_tostring(L, -1)) != 0)
      i++;
    if(!known[i])
      luaL_error(L, "unknown option '%s'", lua_tostring(L, -1));
  }
}

const char *veo_text_field(lua_State *L, int index, const char *name)
{
  const char *text;
  size_t length;
  lua_getfield(L, index, name);
  if(lua_isnil(L, -1))
    return NULL;
  if(lua_type(L, -1) != LUA_TSTRING)
    luaL_error(L, "%s: string expected, got %s", name, luaL_typename(L, -1));
  text = lua_tolstring(L, -1, &length);
  if(!veo_header_safe(text, length))
    luaL_error(L, "%s: may not hold a NUL or a line break", name);
  return text;
}

double veo_number_argument(lua_State *L, int index, double least, double most, const char *expected)
{
  double number = luaL_checknumber(L, index);
  luaL_argcheck(L, number >= least && number <= most, index, expected); /* NaN is neither */
  return number;
}

double veo_number_field(lua_State *L, int index, const char *name, double fallback, double least)
{
  double number = fallback;
  lua_getfield(L, index, name);
  if(lua_type(L, -1) == LUA_TNUMBER)
    number = lua_tonumber(L, -1);
  else if(!lua_isnil(L, -1))
    luaL_error(L, "%s: number expected, got %s", name, luaL_typename(L, -1));
  if(!(number >= least && number <= DBL_MAX))
    luaL_error(L, "%s: a number from %f up expected", name, least);
  lua_pop(L, 1);
  return number < VEO_LARGEST ? number : VEO_LARGEST;
}

int veo_boolean_field(lua_State *L, int index, const char *name)
{
  int value;
  lua_getfield(L, index, name);
  if(!lua_isnil(L, -1) && !lua_isboolean(L, -1))
    luaL_error(L, "%s: boolean expected, got %s", name, luaL_typename(L, -1));
  value = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return value;
}

static void add_escaped(luaL_Buffer *buffer, const char *text, size_t length)
{
  static const char hex[] = "0123456789ABCDEF";
  static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  for(; length; text++, length--) {
    unsigned char c = (unsigned char)*text;
    if(c && strchr(plain, c)) {
      luaL_addchar(buffer, (char)c);
    } else {
      luaL_addchar(buffer, '%');
      luaL_addchar(buffer, hex[c >> 4]);
      luaL_addchar(buffer, hex[c & 15]);
    }
  }
}

void veo_push_query(lua_State *L, int index)
{
  int parts = 0;
  index = veo_absindex(L, index);
  luaL_checktype(L, index, LUA_TTABLE);
  lua_pushliteral(L, "");
  lua_pushnil(L);
  while(lua_next(L, index)) {
    luaL_Buffer buffer;
    size_t key_length;
    size_t value_length;
    const char *key;
    const char *value;
    if(lua_type(L, -2) != LUA_TSTRING || !lua_isstring(L, -1))
      luaL_error(L, "query: names and values are strings or numbers");
    lua_pushvalue(L, -1); /* converting the value itself would not harm, the key's would */
    key = lua_tolstring(L, -3, &key_length);
    value = lua_tolstring(L, -1, &value_length);
    luaL_buffinit(L, &buffer);
    if(parts++)
      luaL_addchar(&buffer, '&');
    add_escaped(&buffer, key, key_length);
    luaL_addchar(&buffer, '=');
    add_escaped(&buffer, value, value_length);
    luaL_pushresult(&buffer);
    /* [query, key, value, copy, part] -> [query .. part, key] */
    lua_pushvalue(L, -5);
    lua_insert(L, -2);
    lua_concat(L, 2);
    lua_replace(L, -5);
    lua_pop(L, 2);
  }
}
