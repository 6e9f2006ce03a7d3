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
#define veo_rawlen(L, index) lua_rawlen(L, index)
#else
#define veo_rawlen(L, index) lua_objlen(L, index)
#define veo_absindex(L, index) ((index) > 0 ? (index) : lua_gettop(L) + 1 + (index))
#endif

/* Fills the table on the top of the stack; luaL_setfuncs is missing in 5.1. */
static inline void veo_setfuncs(lua_State *L, const luaL_Reg *functions)
{
  for(; functions->name; functions++) {
    lua_pushcfunction(L, functions->func);
    lua_setfield(L, -2, functions->name);
  }
}

/* Makes a metatable with methods in __index and closes it to scripts; fills it anew when it exists, for
 * memory may have run out while a load before was at it. Leaves the stack as it was. */
static inline void veo_newtype(lua_State *L, const char *name, const luaL_Reg *methods,
                               const luaL_Reg *events)
{
  luaL_newmetatable(L, name);
  veo_setfuncs(L, events);
  lua_newtable(L);
  veo_setfuncs(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pushstring(L, name);
  lua_setfield(L, -2, "__name");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
}

static inline void veo_settype(lua_State *L, const char *name)
{
  luaL_getmetatable(L, name);
  lua_setmetatable(L, -2);
}

#endif
