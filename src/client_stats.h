/* A client's numbers for Lua. */
#ifndef VEO_CLIENT_STATS_H
#define VEO_CLIENT_STATS_H

#include "compat.h"

/* client:stats() -> a table of counters and gauges; of a closed client the last ones */
int veo_client_stats(lua_State *L);

#endif
