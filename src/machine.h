/* What tells this process and its files from others, on this boot of the machine; see machine.c. */
#ifndef VEO_MACHINE_H
#define VEO_MACHINE_H

#include "compat.h"

int veo_machine_identity(lua_State *L);
int veo_machine_keep_log(lua_State *L);
int veo_machine_boottime(lua_State *L);
int veo_machine_pid(lua_State *L);
int veo_machine_exists(lua_State *L);

#endif
