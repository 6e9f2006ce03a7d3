/* Waits for a multi handle's sockets and timers behind one descriptor that any event loop can watch.
 * poller_epoll.c serves Linux; poller_portable.c (curl_multi_poll, no descriptor) everything else. */
#ifndef VEO_POLLER_H
#define VEO_POLLER_H

#include <curl/curl.h>

typedef struct {
  CURLM *multi;
  double curl_deadline; /* when libcurl wants its time-out handled, or VEO_NEVER */
  double armed;         /* what the timer descriptor is set to */
  int fd;               /* epoll: the one descriptor; -1 where there is none */
  int timer_fd;
  int event_fd; /* readable while a completion waits to be taken */
  int signalled;
  int skipped;  /* the last turn did not look at the sockets */
  int watched;  /* pollfd() was asked for: only then are timer and event descriptors kept true */
  int guarded;  /* TLS may be under way, which can raise SIGPIPE; libcurl's plain sends cannot */
  int extra_fd; /* one more descriptor to wake on (the saver's), or -1 */
} veo_poller;

/* Attaches to the multi handle. NULL, or what failed; the poller can be closed either way. */
const char *veo_poller_open(veo_poller *poller, CURLM *multi);
/* Must be called after the multi handle is cleaned up, which still calls back. */
void veo_poller_close(veo_poller *poller);
/* Sleeps until something is ready, libcurl's timer is due or `until` has come, then lets libcurl work
 * once, on one socket after the other until `stop`; what is left stays ready. 0 when a signal
 * interrupted the sleep. */
int veo_poller_run(veo_poller *poller, double until, double stop);
/* True when a call of run with an `until` in the past could do something. */
int veo_poller_due(const veo_poller *poller, double now);
/* The descriptor for foreign loops, or -1. */
int veo_poller_fd(veo_poller *poller);
/* Keeps the descriptor true: readable when a completion waits or `deadline` has passed. */
void veo_poller_publish(veo_poller *poller, double deadline, int waiting);
/* Adds the saver's descriptor. */
int veo_poller_extra(veo_poller *poller, int fd);

#endif
