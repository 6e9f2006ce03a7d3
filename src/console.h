/* What a command needs of a process that is its own; see console.c. */
#ifndef VEO_CONSOLE_H
#define VEO_CONSOLE_H

#include "compat.h"

int veo_console_take(lua_State *L);
int veo_console_signal(lua_State *L);
int veo_console_columns(lua_State *L);

#endif
