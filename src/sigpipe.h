/* Keeps a SIGPIPE raised inside libcurl or its TLS library from reaching the host, for this thread
 * and this call only: ignoring it process-wide would change the host. */
#ifndef VEO_SIGPIPE_H
#define VEO_SIGPIPE_H

#include <signal.h>

typedef struct {
  sigset_t before;
  int was_blocked;
} veo_sigpipe;

void veo_sigpipe_block(veo_sigpipe *guard);
void veo_sigpipe_restore(veo_sigpipe *guard);

#endif
