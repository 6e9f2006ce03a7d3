/* The poller on epoll, timerfd and eventfd; see poller.h. An empty unit elsewhere. */
#ifdef __linux__
#ifndef VEO_PORTABLE_POLLER

#include "poller.h"

#include "clock.h"
#include "sigpipe.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { EVENTS_A_TURN = 64 };
static const double FAR = 2147483647.0; /* what every time_t holds: 68 years of uptime */

/* libcurl tells which sockets it waits for. socketp is set once a socket is in the epoll set. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *socketp)
{
  veo_poller *poller = user;
  struct epoll_event event;
  int failed;
  (void)easy;
  if(poller->fd < 0)
    return 0; /* closing */
  memset(&event, 0, sizeof event);
  event.data.fd = fd;
  if(what == CURL_POLL_REMOVE) {
    (void)epoll_ctl(poller->fd, EPOLL_CTL_DEL, fd, &event);
    return 0;
  }
  if(what & CURL_POLL_IN)
    event.events |= EPOLLIN;
  if(what & CURL_POLL_OUT)
    event.events |= EPOLLOUT;
  failed = epoll_ctl(poller->fd, socketp ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event);
  if(failed && errno == EEXIST)
    failed = epoll_ctl(poller->fd, EPOLL_CTL_MOD, fd, &event);
  else if(failed && errno == ENOENT)
    failed = epoll_ctl(poller->fd, EPOLL_CTL_ADD, fd, &event);
  if(failed)
    return -1;
  if(!socketp)
    curl_multi_assign(poller->multi, fd, poller);
  return 0;
}

static int on_timer(CURLM *multi, long ms, void *user)
{
  veo_poller *poller = user;
  (void)multi;
  poller->curl_deadline = ms < 0 ? VEO_NEVER : veo_now() + (double)ms / 1000.0;
  return 0;
}

static int add(veo_poller *poller, int fd)
{
  struct epoll_event event;
  memset(&event, 0, sizeof event);
  event.data.fd = fd;
  event.events = EPOLLIN;
  return epoll_ctl(poller->fd, EPOLL_CTL_ADD, fd, &event) == 0 || errno == EEXIST;
}

const char *veo_poller_open(veo_poller *poller, CURLM *multi)
{
  poller->multi = multi;
  poller->curl_deadline = VEO_NEVER;
  poller->armed = VEO_NEVER;
  poller->timer_fd = -1;
  poller->event_fd = -1;
  poller->extra_fd = -1;
  poller->fd = epoll_create1(EPOLL_CLOEXEC);
  if(poller->fd < 0)
    return strerror(errno);
  curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
  curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, poller);
  curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
  curl_multi_setopt(multi, CURLMOPT_TIMERDATA, poller);
  return NULL;
}

void veo_poller_close(veo_poller *poller)
{
  int *fds[3];
  size_t i;
  fds[0] = &poller->fd;
  fds[1] = &poller->timer_fd;
  fds[2] = &poller->event_fd;
  for(i = 0; i < 3; i++) {
    if(*fds[i] >= 0)
      close(*fds[i]);
    *fds[i] = -1;
  }
}

static void drain(int fd)
{
  uint64_t count;
  ssize_t ignored = read(fd, &count, sizeof count);
  (void)ignored;
}

/* Milliseconds to sleep, rounded up so that a deadline has really come when the sleep ends. */
static int sleep_ms(double until, double now)
{
  double ms = ceil((until - now) * 1000.0);
  if(ms <= 0)
    return 0;
  return ms > 60000.0 ? 60000 : (int)ms;
}

int veo_poller_due(const veo_poller *poller, double now)
{
  return poller->curl_deadline <= now;
}

/* One descriptor that is ready. */
static void serve(veo_poller *poller, const struct epoll_event *event)
{
  int fd = event->data.fd;
  int mask = 0;
  int running;
  if(fd == poller->extra_fd)
    return; /* its owner empties it */
  if(fd == poller->timer_fd) {
    drain(fd);
    return;
  }
  if(fd == poller->event_fd) {
    /* Or a sleep for one exchange would spin while others wait to be taken; publish signals again. */
    drain(fd);
    poller->signalled = 0;
    return;
  }
  if(event->events & EPOLLIN)
    mask |= CURL_CSELECT_IN;
  if(event->events & EPOLLOUT)
    mask |= CURL_CSELECT_OUT;
  if(event->events & (EPOLLERR | EPOLLHUP))
    mask |= CURL_CSELECT_ERR;
  curl_multi_socket_action(poller->multi, fd, mask, &running);
}

int veo_poller_run(veo_poller *poller, double until, double stop)
{
  struct epoll_event events[EVENTS_A_TURN];
  veo_sigpipe guard;
  double at = until < poller->curl_deadline ? until : poller->curl_deadline;
  int running;
  int i;
  int due = poller->curl_deadline <= veo_now();
  int n = 0;
  /* What libcurl wants at once, as the start of an exchange, needs no look at the sockets before;
   * every second turn looks all the same. */
  poller->skipped = due && !poller->skipped;
  if(!poller->skipped)
    n = epoll_wait(poller->fd, events, EVENTS_A_TURN, sleep_ms(at, veo_now()));
  if(n < 0 && errno == EINTR)
    return 0;
  if(poller->guarded)
    veo_sigpipe_block(&guard);
  if(due || poller->curl_deadline <= veo_now()) {
    poller->curl_deadline = VEO_NEVER; /* libcurl sets a new one only when it differs */
    curl_multi_socket_action(poller->multi, CURL_SOCKET_TIMEOUT, 0, &running);
  }
  for(i = 0; i < n; i++) {
    serve(poller, &events[i]);
    if(stop < VEO_NEVER && veo_now() >= stop)
      break;
  }
  if(poller->guarded)
    veo_sigpipe_restore(&guard);
  return 1;
}

int veo_poller_extra(veo_poller *poller, int fd)
{
  if(!add(poller, fd))
    return 0;
  poller->extra_fd = fd;
  return 1;
}

int veo_poller_fd(veo_poller *poller)
{
  if(!poller->watched) {
    if(poller->timer_fd < 0)
      poller->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if(poller->event_fd < 0)
      poller->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if(poller->timer_fd < 0 || poller->event_fd < 0)
      return -1;
    if(!add(poller, poller->timer_fd) || !add(poller, poller->event_fd))
      return -1;
    poller->watched = 1;
  }
  return poller->fd;
}

static void arm(veo_poller *poller, double deadline)
{
  struct itimerspec when;
  memset(&when, 0, sizeof when);
  if(deadline < FAR) {
    double whole = floor(deadline);
    if(whole < 0)
      whole = 0;
    when.it_value.tv_sec = (time_t)whole;
    when.it_value.tv_nsec = (long)((deadline - whole) * 1e9);
    if(when.it_value.tv_sec == 0 && when.it_value.tv_nsec <= 0)
      when.it_value.tv_nsec = 1; /* zero would disarm */
  }
  (void)timerfd_settime(poller->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
  poller->armed = deadline;
}

void veo_poller_publish(veo_poller *poller, double deadline, int waiting)
{
  if(!poller->watched)
    return;
  if(poller->curl_deadline < deadline)
    deadline = poller->curl_deadline;
  /* A deadline that has passed unchanged stays readable until it is served. */
  if(deadline < poller->armed || deadline > poller->armed || deadline <= veo_now())
    arm(poller, deadline);
  if(waiting && !poller->signalled) {
    uint64_t one = 1;
    ssize_t ignored = write(poller->event_fd, &one, sizeof one);
    (void)ignored;
  } else if(!waiting && poller->signalled) {
    drain(poller->event_fd);
  }
  poller->signalled = waiting;
}

#endif
#endif

/* ISO C forbids an empty unit. */
typedef int veo_poller_epoll_unit;
