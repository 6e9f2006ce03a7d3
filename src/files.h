/* core.kind, core.absolute, core.remove, core.rename, core.write, core.create, core.read and core.mkdir. */
#ifndef VEO_FILES_H
#define VEO_FILES_H

#include <lua.h>

int veo_file_kind(lua_State *L);
int veo_file_absolute(lua_State *L);
int veo_file_remove(lua_State *L);
int veo_file_rename(lua_State *L);
int veo_file_write(lua_State *L);
int veo_file_create(lua_State *L);
int veo_file_read(lua_State *L);
int veo_file_mkdir(lua_State *L);

#endif
