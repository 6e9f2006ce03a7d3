/* Keeps a signal from reaching the host, for this thread and the length of a call only: ignoring it process-wide would
 * change the host. SIGPIPE is raised inside libcurl or its TLS library, SIGXFSZ by SQLite's writes. */
#ifndef VEO_HELD_H
#define VEO_HELD_H

#include <lua.h>
#include <signal.h>

typedef struct {
  sigset_t before;
  int signal;
  int was_blocked;
} veo_held;

void veo_hold(veo_held *guard, int signal);
void veo_let_go(veo_held *guard);

/* core.hold_pcall(fn, ...) */
int veo_held_pcall(lua_State *L);

#endif
