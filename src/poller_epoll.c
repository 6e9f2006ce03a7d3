/* The poller on epoll, timerfd and eventfd; see poller.h. An empty unit elsewhere. */
#ifdef __linux__
#ifndef VEO_PORTABLE_POLLER

#include "poller.h"

#include "clock.h"
#include "held.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { EVENTS_A_TURN = 64 };
static const double AGAIN = 0.05;       /* seconds until what failed is tried again */
static const double FAR = 2147483647.0; /* what every time_t holds: 68 years of uptime */

/* The socket's entry, or NULL when memory is short. */
static veo_socket *entry(veo_poller *poller, int fd)
{
  if(fd >= poller->size) {
    int size = fd < 32 ? 64 : 2 * fd;
    veo_socket *more = realloc(poller->sockets, (size_t)size * sizeof *more);
    if(!more)
      return NULL;
    memset(more + poller->size, 0, (size_t)(size - poller->size) * sizeof *more);
    poller->sockets = more;
    poller->size = size;
  }
  return &poller->sockets[fd];
}

/* Puts into the set what should be in there. A failure is hidden from libcurl, which would give up the whole multi
 * handle or crash (7.88, seen), and tried again. */
static void enter(veo_poller *poller, int fd, veo_socket *socket)
{
  struct epoll_event event;
  int failed;
  memset(&event, 0, sizeof event);
  event.data.fd = fd;
  event.events = socket->wanted;
  failed = epoll_ctl(poller->fd, socket->registered ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event);
  if(failed && errno == EEXIST)
    failed = epoll_ctl(poller->fd, EPOLL_CTL_MOD, fd, &event);
  else if(failed && errno == ENOENT)
    failed = epoll_ctl(poller->fd, EPOLL_CTL_ADD, fd, &event);
  socket->registered = failed ? 0 : socket->wanted;
  if(failed && poller->retry_at >= VEO_NEVER)
    poller->retry_at = veo_now() + AGAIN;
}

static void enter_again(veo_poller *poller)
{
  int fd;
  poller->retry_at = VEO_NEVER;
  for(fd = 0; fd < poller->size; fd++) {
    veo_socket *socket = &poller->sockets[fd];
    if(socket->wanted && socket->wanted != socket->registered)
      enter(poller, fd, socket);
  }
}

static void leave(const veo_poller *poller, int fd, veo_socket *socket)
{
  struct epoll_event event;
  memset(&event, 0, sizeof event);
  if(socket->registered && !poller->closing)
    (void)epoll_ctl(poller->fd, EPOLL_CTL_DEL, fd, &event);
  socket->registered = 0;
}

/* libcurl tells which sockets it waits for. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *socketp)
{
  veo_poller *poller = user;
  veo_socket *socket = entry(poller, fd);
  (void)easy;
  (void)socketp;
  if(!socket)
    return 0; /* a resolver's, which libcurl looks at every 250 ms by itself; connections have theirs */
  if(what == CURL_POLL_REMOVE) {
    socket->wanted = 0;
    /* Only one that is quiet while idle may stay: one can be written to at all times. One that waited
     * to connect may be closed already (libcurl 7.88 to 8.1 do so unsaid). */
    if(!(socket->registered & EPOLLIN))
      socket->kept = 0;
    if(!socket->kept || socket->registered != EPOLLIN)
      leave(poller, fd, socket);
    return 0;
  }
  socket->wanted = 0;
  if(what & CURL_POLL_IN)
    socket->wanted |= EPOLLIN;
  if(what & CURL_POLL_OUT)
    socket->wanted |= EPOLLOUT;
  if(socket->wanted != socket->registered)
    enter(poller, fd, socket);
  return 0;
}

int veo_poller_keep(veo_poller *poller, curl_socket_t fd)
{
  veo_socket *socket = entry(poller, fd);
  if(!socket || !veo_connections_add(&poller->connections, fd))
    return 0;
  memset(socket, 0, sizeof *socket);
  socket->kept = 1;
  return 1;
}

int veo_poller_close_socket(void *user, curl_socket_t fd)
{
  veo_poller *poller = user;
  veo_connections_remove(&poller->connections, fd);
  if(fd < poller->size) {
    /* First: a child that inherited the descriptor would keep a closed one in the set for good. */
    leave(poller, fd, &poller->sockets[fd]);
    memset(&poller->sockets[fd], 0, sizeof poller->sockets[fd]);
  }
  return close(fd);
}

static int on_timer(CURLM *multi, long ms, void *user)
{
  veo_poller *poller = user;
  (void)multi;
  poller->deadline = ms < 0 ? VEO_NEVER : veo_now() + (double)ms / 1000.0;
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

const char *veo_poller_open(veo_poller *poller)
{
  poller->armed = VEO_NEVER;
  poller->retry_at = VEO_NEVER;
  poller->timer_fd = -1;
  poller->event_fd = -1;
  poller->extra_fd = -1;
  poller->fd = epoll_create1(EPOLL_CLOEXEC);
  if(poller->fd < 0)
    return strerror(errno);
  return NULL;
}

void veo_poller_watch(veo_poller *poller, CURLM *multi)
{
  poller->multi = multi;
  poller->deadline = VEO_NEVER;
  poller->broken = 0;
  curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
  curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, poller);
  curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
  curl_multi_setopt(multi, CURLMOPT_TIMERDATA, poller);
}

void veo_poller_closing(veo_poller *poller)
{
  poller->closing = 1;
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
  veo_connections_free(&poller->connections);
  free(poller->sockets);
  poller->sockets = NULL;
  poller->size = 0;
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

double veo_poller_deadline(const veo_poller *poller)
{
  return poller->deadline < poller->retry_at ? poller->deadline : poller->retry_at;
}

/* Lets libcurl work on one socket, or on what is due. One failed allocation leaves its table of sockets half
 * made, and the next use of that ends the process (a division by zero in 7.88). */
static void act(veo_poller *poller, curl_socket_t fd, int mask)
{
  int running;
  if(!poller->broken)
    poller->broken = curl_multi_socket_action(poller->multi, fd, mask, &running) != CURLM_OK;
}

/* Lets libcurl handle the time-outs that are due, and tries again what failed. */
static void expire(veo_poller *poller)
{
  double now = veo_now();
  if(poller->retry_at <= now)
    enter_again(poller);
  if(poller->deadline <= now) {
    poller->deadline = VEO_NEVER; /* libcurl sets a new one only when it differs */
    act(poller, CURL_SOCKET_TIMEOUT, 0);
  }
}

/* One descriptor that is ready. */
static void serve(veo_poller *poller, const struct epoll_event *event)
{
  veo_socket *socket;
  int fd = event->data.fd;
  int mask = 0;
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
  socket = &poller->sockets[fd];
  if(!socket->wanted) {
    leave(poller, fd, socket); /* the other side closed an idle connection */
    return;
  }
  if(event->events & EPOLLIN)
    mask |= CURL_CSELECT_IN;
  if(event->events & EPOLLOUT)
    mask |= CURL_CSELECT_OUT;
  if(event->events & (EPOLLERR | EPOLLHUP))
    mask |= CURL_CSELECT_ERR;
  act(poller, fd, mask);
}

int veo_poller_run(veo_poller *poller, double until, double stop)
{
  struct epoll_event events[EVENTS_A_TURN];
  veo_held guard;
  double deadline = veo_poller_deadline(poller);
  double at = until < deadline ? until : deadline;
  double now = veo_now();
  int n = 0;
  int i;
  /* What libcurl wants at once, as the start of an exchange, needs no look at the sockets before;
   * every second turn looks all the same. */
  poller->skipped = deadline <= now && !poller->skipped;
  if(!poller->skipped)
    n = epoll_wait(poller->fd, events, EVENTS_A_TURN, sleep_ms(at, now));
  poller->behind = poller->skipped || n == EVENTS_A_TURN;
  if(n < 0 && errno == EINTR)
    return 0;
  if(poller->guarded)
    veo_hold(&guard, SIGPIPE);
  expire(poller);
  for(i = 0; i < n; i++) {
    serve(poller, &events[i]);
    if(stop < VEO_NEVER && veo_now() >= stop) {
      poller->behind |= i + 1 < n;
      break;
    }
  }
  if(poller->guarded)
    veo_let_go(&guard);
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
  double libcurl;
  if(!poller->watched)
    return;
  libcurl = veo_poller_deadline(poller);
  if(libcurl < deadline)
    deadline = libcurl;
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
