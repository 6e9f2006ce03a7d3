/* Waits for the sockets and timers of a multi handle behind one descriptor that any event loop can watch.
 * poller_epoll.c serves Linux; poller_portable.c (curl_multi_poll, no descriptor) everything else. */
#ifndef VEO_POLLER_H
#define VEO_POLLER_H

#include <curl/curl.h>

#include "connections.h"

typedef struct {
  unsigned registered; /* events in the epoll set; 0: it is not in there */
  unsigned wanted;     /* what libcurl waits for; 0: nothing now */
  int kept;            /* a connection's: it says when it closes, and stays in the set meanwhile */
} veo_socket;

typedef struct veo_poller {
  CURLM *multi;
  double deadline; /* when libcurl wants its time-out handled, or VEO_NEVER */
  int broken;      /* libcurl failed in the multi handle: nothing but its end is safe any more */
  veo_socket *sockets; /* by descriptor */
  int size;            /* of that */
  double armed;        /* what the timer descriptor is set to */
  double retry_at;     /* when to try again what could not be put into the set, or VEO_NEVER */
  int fd;              /* epoll: the one descriptor; -1 where there is none */
  int timer_fd;
  int event_fd; /* readable while a completion waits to be taken */
  int signalled;
  int skipped;  /* the last turn did not look at the sockets */
  int behind;   /* the last turn may have left some that are ready */
  int watched;  /* pollfd() was asked for: only then are timer and event descriptors kept true */
  int guarded;  /* TLS may be under way, which can raise SIGPIPE; libcurl's plain sends cannot */
  int closing;  /* the epoll set goes as a whole */
  int extra_fd; /* one more descriptor to wake on (the worker's), or -1 */
  veo_connections connections;
} veo_poller;

/* NULL, or what failed; the poller can be closed either way. */
const char *veo_poller_open(veo_poller *poller);
/* The multi handle is about to be cleaned up, which still calls back. */
void veo_poller_closing(veo_poller *poller);
/* Must be called after that. */
void veo_poller_close(veo_poller *poller);
/* Watches a multi handle, or NULL, in the place of the one so far. */
void veo_poller_watch(veo_poller *poller, CURLM *multi);
/* Sleeps until something is ready, libcurl's timer is due or `until` has come, then lets libcurl work
 * once, on one socket after the other until `stop`; what is left stays ready. 0 when a signal
 * interrupted the sleep. */
int veo_poller_run(veo_poller *poller, double until, double stop);
/* When libcurl wants its time-outs handled next, or VEO_NEVER. */
double veo_poller_deadline(const veo_poller *poller);
/* The descriptor for foreign loops, or -1. */
int veo_poller_fd(veo_poller *poller);
/* Keeps the descriptor true: readable when a completion waits or `deadline` has passed. */
void veo_poller_publish(veo_poller *poller, double deadline, int waiting);
/* Adds the worker's descriptor. */
int veo_poller_extra(veo_poller *poller, int fd);
/* A connection's new socket, which libcurl will close by the function below: between two exchanges it
 * stays in the set, which saves two system calls an exchange. 0 when memory is short. */
int veo_poller_keep(veo_poller *poller, curl_socket_t fd);
/* CURLOPT_CLOSESOCKETFUNCTION; `user` is the poller. */
int veo_poller_close_socket(void *user, curl_socket_t fd);

#endif
