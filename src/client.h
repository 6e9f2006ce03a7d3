/* The client userdata: settings, engine, and the calls on it. */
#ifndef VEO_CLIENT_H
#define VEO_CLIENT_H

#include "compat.h"
#include "engine.h"

#define VEO_CLIENT_TYPE "veo.core.client"

/* Places in the table that is the client's user value. */
enum {
  VEO_ENV_ENCODE = 1,
  VEO_ENV_DECODE = 2,
  VEO_ENV_LIVE = 3, /* transfers under way, by their exchange's slot */
  VEO_ENV_TAGS = 4, /* what scripts tied to them, likewise */
  VEO_ENV_CLIENT = 5
};

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
