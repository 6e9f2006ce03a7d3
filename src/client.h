/* The client userdata: settings, engine, and the calls on it. */
#ifndef VEO_CLIENT_H
#define VEO_CLIENT_H

#include "compat.h"
#include "engine.h"
#include "env.h"

typedef struct {
  int open; /* settings and engine are in use */
  veo_settings settings;
  veo_engine engine;
} veo_client;

/* The open client behind an argument of this process, or an error. */
veo_client *veo_check_client(lua_State *L, int index);
/* core.new(options) -> client */
int veo_client_new(lua_State *L);
void veo_client_register(lua_State *L);

#endif
