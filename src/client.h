/* The client userdata: its life, and the calls on it. */
#ifndef VEO_CLIENT_H
#define VEO_CLIENT_H

#include "compat.h"

/* core.new(options) -> client */
int veo_client_new(lua_State *L);
void veo_client_register(lua_State *L);

#endif
