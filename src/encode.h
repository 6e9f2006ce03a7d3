/* A Lua value as JSON, exactly or not at all. */
#ifndef VEO_ENCODE_H
#define VEO_ENCODE_H

#include "compat.h"

/* 1 with the JSON of the value at `index` pushed, or 0 with a message pushed that says what JSON cannot
 * hold. Runs no metamethods. */
int veo_encode(lua_State *L, int index);

#endif
