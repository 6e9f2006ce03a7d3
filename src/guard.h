/* A limit for a library that waits on a socket without one; see guard.c. */
#ifndef VEO_GUARD_H
#define VEO_GUARD_H

#include "compat.h"

void veo_guard_register(lua_State *L);
int veo_guard_new(lua_State *L);

#endif
