/* SIGPIPE held back for the length of a call; see sigpipe.h. */
#include "sigpipe.h"

#include <pthread.h>

static int pending(void)
{
  sigset_t set;
  sigemptyset(&set);
  sigpending(&set);
  return sigismember(&set, SIGPIPE) == 1;
}

void veo_sigpipe_block(veo_sigpipe *guard)
{
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &set, &guard->before);
  /* A host that blocks SIGPIPE itself takes care of a pending one itself. */
  guard->was_blocked = sigismember(&guard->before, SIGPIPE) == 1;
}

void veo_sigpipe_restore(veo_sigpipe *guard)
{
  if(guard->was_blocked)
    return;
  if(pending()) {
    sigset_t set;
    int taken;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    sigwait(&set, &taken);
  }
  pthread_sigmask(SIG_SETMASK, &guard->before, NULL);
}
