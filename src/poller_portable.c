/* The poller on curl_multi_poll, for systems without epoll; see poller.h. There is no one descriptor
 * to watch there, so pollfd() answers nil and foreign loops use step and timeout. */
#if !defined(__linux__) || defined(VEO_PORTABLE_POLLER)

#include "poller.h"

#include "clock.h"
#include "held.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

const char *veo_poller_open(veo_poller *poller)
{
  poller->armed = VEO_NEVER;
  poller->fd = -1;
  poller->timer_fd = -1;
  poller->event_fd = -1;
  poller->extra_fd = -1;
  return NULL;
}

void veo_poller_closing(veo_poller *poller)
{
  poller->closing = 1;
}

void veo_poller_close(veo_poller *poller)
{
  veo_connections_free(&poller->connections);
}

void veo_poller_watch(veo_poller *poller, CURLM *multi)
{
  poller->multi = multi;
  poller->broken = 0;
}

double veo_poller_deadline(const veo_poller *poller)
{
  long ms = -1;
  curl_multi_timeout(poller->multi, &ms);
  if(ms <= 0)
    return ms < 0 ? VEO_NEVER : 0;
  return veo_now() + (double)ms / 1000.0;
}

int veo_poller_keep(veo_poller *poller, curl_socket_t fd)
{
  return veo_connections_add(&poller->connections, fd);
}

int veo_poller_close_socket(void *user, curl_socket_t fd)
{
  veo_poller *poller = user;
  veo_connections_remove(&poller->connections, fd);
  return close(fd);
}

int veo_poller_run(veo_poller *poller, double until, double stop)
{
  struct curl_waitfd extra;
  veo_held guard;
  double ms = ceil((until - veo_now()) * 1000.0);
  CURLM *multi = poller->multi;
  int ready = 0;
  int running;
  (void)stop; /* libcurl serves all sockets at once here */
  memset(&extra, 0, sizeof extra);
  extra.fd = poller->extra_fd;
  extra.events = CURL_WAIT_POLLIN;
  if(ms < 0)
    ms = 0;
  if(ms > 60000.0)
    ms = 60000.0;
  veo_hold(&guard, SIGPIPE);
  /* Sleep first, no longer than libcurl's own timer: what work ends is to be collected before a sleep. */
  if(ms > 0)
    curl_multi_poll(multi, &extra, poller->extra_fd >= 0, (int)ms, &ready);
  if(!poller->broken) /* by curl_easy_pause, since the last turn */
    poller->broken = curl_multi_perform(multi, &running) != CURLM_OK;
  veo_let_go(&guard);
  return 1;
}

int veo_poller_extra(veo_poller *poller, int fd)
{
  poller->extra_fd = fd;
  return 1;
}

int veo_poller_fd(veo_poller *poller)
{
  (void)poller;
  return -1;
}

void veo_poller_publish(veo_poller *poller, double deadline, int waiting)
{
  (void)poller;
  (void)deadline;
  (void)waiting;
}

#endif

/* ISO C forbids an empty unit. */
typedef int veo_poller_portable_unit;
