/* The bridge to lua-cjson: an instance of our own, strict as the JSON standard, nulls absent, whole
 * numbers as integers. Both flavours (Debian's 2.1.0 and openresty's) behave the same through it. */
#ifndef VEO_JSON_H
#define VEO_JSON_H

#include "compat.h"

/* Pushes the decode of a new instance. Raises when lua-cjson is not installed. */
void veo_json_open(lua_State *L);
/* Calls the decode at `decode`. 1 with the value pushed, or 0 with a message pushed. */
int veo_json_decode(lua_State *L, int decode, const char *text, size_t length);

#endif
