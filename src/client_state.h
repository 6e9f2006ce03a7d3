/* The data of a client userdata, and the check that an argument is one. The calls on it are in client.h, and those of
 * them that begin an exchange in request.h. */
#ifndef VEO_CLIENT_STATE_H
#define VEO_CLIENT_STATE_H

#include "compat.h"
#include "engine.h"
#include "user_value.h"

typedef struct {
  int open; /* settings and engine are in use */
  veo_settings settings;
  veo_engine engine;
} veo_client;

extern const veo_type veo_client_type;

/* The open client behind an argument of this process, or an error. */
veo_client *veo_check_client(lua_State *L, int index);

#endif
