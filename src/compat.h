/* One Lua API for 5.1, 5.2, 5.3, 5.4, 5.5 and LuaJIT. 5.4 is the contract; the rest is bent to it here. */
#ifndef VEO_COMPAT_H
#define VEO_COMPAT_H

#include <lauxlib.h>
#include <lua.h>

/* luaopen_veo_core is the only symbol the host sees. */
#if defined(__GNUC__) || defined(__clang__)
#define VEO_EXPORT __attribute__((visibility("default")))
#else
#define VEO_EXPORT
#endif

#if LUA_VERSION_NUM >= 504
#define veo_newuserdata(L, size) lua_newuserdatauv(L, size, 1)
#define veo_setuservalue(L, index) ((void)lua_setiuservalue(L, index, 1))
#define veo_getuservalue(L, index) ((void)lua_getiuservalue(L, index, 1))
#elif LUA_VERSION_NUM >= 502
#define veo_newuserdata(L, size) lua_newuserdata(L, size)
#define veo_setuservalue(L, index) lua_setuservalue(L, index)
#define veo_getuservalue(L, index) lua_getuservalue(L, index)
#else
/* 5.1 has an environment where later versions have a user value; it must be a table. */
#define veo_newuserdata(L, size) lua_newuserdata(L, size)
#define veo_setuservalue(L, index) ((void)lua_setfenv(L, index))
#define veo_getuservalue(L, index) lua_getfenv(L, index)
#endif

#if LUA_VERSION_NUM >= 503
#define veo_pushinteger(L, value) lua_pushinteger(L, (lua_Integer)(value))
#else
/* lua_Integer may be 32 bits there; a double holds every size up to 2^53. */
#define veo_pushinteger(L, value) lua_pushnumber(L, (lua_Number)(value))
#endif

#if LUA_VERSION_NUM >= 502
#define veo_absindex(L, index) lua_absindex(L, index)
#define veo_rawlen(L, index) ((size_t)lua_rawlen(L, index))
#else
#define veo_rawlen(L, index) lua_objlen(L, index)
#define veo_absindex(L, index)                                                                     \
  ((index) > 0 || (index) <= LUA_REGISTRYINDEX ? (index) : lua_gettop(L) + 1 + (index))
#endif

/* Fills the table on the top of the stack; luaL_setfuncs is missing in 5.1. */
static inline void veo_setfuncs(lua_State *L, const luaL_Reg *functions)
{
  for(; functions->name; functions++) {
    lua_pushcfunction(L, functions->func);
    lua_setfield(L, -2, functions->name);
  }
}

/* The same for the methods of a type, each with its metatable; see veo_checkself. */
static inline void veo_setmethods(lua_State *L, const luaL_Reg *methods, int meta)
{
  for(; methods->name; methods++) {
    lua_pushvalue(L, meta);
    lua_pushcclosure(L, methods->func, 1);
    lua_setfield(L, -2, methods->name);
  }
}

/* A type of userdata. Its key is its address: two cores in one state, of whatever versions, may lay the
 * same type out differently, and each has to see its own userdata alone. */
typedef struct {
  const char *name; /* with the version; for messages */
} veo_type;

static inline void veo_pushtype(lua_State *L, const veo_type *type)
{
  lua_pushlightuserdata(L, (void *)type);
  lua_rawget(L, LUA_REGISTRYINDEX);
}

/* Makes a metatable with methods in __index and closes it to scripts; fills it anew when it exists, for
 * memory may have run out while a load before was at it. Leaves the stack as it was. */
static inline void veo_newtype(lua_State *L, const veo_type *type, const luaL_Reg *methods,
                               const luaL_Reg *events)
{
  veo_pushtype(L, type);
  if(lua_isnil(L, -1)) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushlightuserdata(L, (void *)type);
    lua_pushvalue(L, -2);
    lua_rawset(L, LUA_REGISTRYINDEX);
  }
  veo_setfuncs(L, events);
  lua_newtable(L);
  veo_setmethods(L, methods, lua_gettop(L) - 1);
  lua_setfield(L, -2, "__index");
  lua_pushstring(L, type->name);
  lua_setfield(L, -2, "__name");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
}

static inline void veo_settype(lua_State *L, const veo_type *type)
{
  veo_pushtype(L, type);
  lua_setmetatable(L, -2);
}

/* The userdata behind an argument, or an error that names what came instead. */
static inline void *veo_checktype(lua_State *L, int index, const veo_type *type)
{
  void *userdata = lua_touserdata(L, index);
  const char *given;
  if(userdata && lua_getmetatable(L, index)) {
    veo_pushtype(L, type);
    if(lua_rawequal(L, -1, -2)) {
      lua_pop(L, 2);
      return userdata;
    }
    lua_pop(L, 2);
  }
  given = luaL_typename(L, index);
  if(luaL_getmetafield(L, index, "__name") && lua_isstring(L, -1))
    given = lua_tostring(L, -1);
  luaL_argerror(L, index, lua_pushfstring(L, "%s expected, got %s", type->name, given));
  return NULL;
}

/* The same of the first argument, in a function that is called by methods of that type alone: they have their metatable
 * at hand, which takes a third of the 320 instructions that looking it up does. */
static inline void *veo_checkself(lua_State *L, const veo_type *type)
{
  void *userdata = lua_touserdata(L, 1);
  if(userdata && lua_getmetatable(L, 1)) {
    int own = lua_topointer(L, -1) == lua_topointer(L, lua_upvalueindex(1));
    lua_pop(L, 1);
    if(own)
      return userdata;
  }
  return veo_checktype(L, 1, type);
}

#endif
