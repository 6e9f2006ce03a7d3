/* Failures of files; see failure.h. */
#include "failure.h"

int veo_fail_io(lua_State *L, const char *reason, const char *message, const char *path, int error)
{
  lua_pushnil(L);
  lua_createtable(L, 0, 3);
  lua_pushstring(L, reason);
  lua_setfield(L, -2, "reason");
  lua_pushfstring(L, "%s: %s", path, message);
  lua_setfield(L, -2, "message");
  veo_pushinteger(L, error);
  lua_setfield(L, -2, "errno");
  return 2;
}
