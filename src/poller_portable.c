/* The poller on curl_multi_poll, for systems without epoll; see poller.h. There is no one descriptor
 * to watch there, so pollfd() answers nil and foreign loops use step and timeout. */
#if !defined(__linux__) || defined(VEO_PORTABLE_POLLER)

#include "poller.h"

#include "clock.h"
#include "sigpipe.h"

#include <math.h>
#include <string.h>

const char *veo_poller_open(veo_poller *poller, CURLM *multi)
{
  poller->multi = multi;
  poller->curl_deadline = VEO_NEVER;
  poller->armed = VEO_NEVER;
  poller->fd = -1;
  poller->timer_fd = -1;
  poller->event_fd = -1;
  poller->extra_fd = -1;
  return NULL;
}

void veo_poller_close(veo_poller *poller)
{
  poller->multi = NULL;
}

int veo_poller_due(const veo_poller *poller, double now)
{
  long ms = -1;
  (void)now;
  curl_multi_timeout(poller->multi, &ms);
  return ms == 0;
}

int veo_poller_run(veo_poller *poller, double until, double stop)
{
  struct curl_waitfd extra;
  veo_sigpipe guard;
  double ms = ceil((until - veo_now()) * 1000.0);
  int ready = 0;
  int running;
  long wants = -1;
  (void)stop; /* libcurl serves all sockets at once here */
  memset(&extra, 0, sizeof extra);
  extra.fd = poller->extra_fd;
  extra.events = CURL_WAIT_POLLIN;
  if(ms < 0)
    ms = 0;
  if(ms > 60000.0)
    ms = 60000.0;
  veo_sigpipe_block(&guard);
  /* Sleep first, no longer than libcurl's own timer: what work ends is to be collected before a sleep. */
  if(ms > 0)
    curl_multi_poll(poller->multi, &extra, poller->extra_fd >= 0, (int)ms, &ready);
  curl_multi_perform(poller->multi, &running);
  curl_multi_timeout(poller->multi, &wants);
  poller->curl_deadline = wants < 0 ? VEO_NEVER : veo_now() + (double)wants / 1000.0;
  veo_sigpipe_restore(&guard);
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
