/* Waits in plain C: multi URL COUNT IN_FLIGHT [LOOKS]: one multi handle over epoll, a pool of IN_FLIGHT easy handles,
 * COUNT tasks with LOOKS exchanges each (over TLS on one HTTP/2 connection), bodies in buffers, no JSON. */
#include "bench.h"
#include <sys/epoll.h>

struct slot {
  CURL *easy;
  struct body body;
};

struct loop {
  CURLM *multi;
  int epoll;
  long timeout; /* milliseconds, -1 for none */
  const char *base;
  long next;
  long count;
  long looks;
};

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *known)
{
  struct loop *loop = user;
  struct epoll_event event = {0};
  (void)easy;
  if(what == CURL_POLL_REMOVE) {
    epoll_ctl(loop->epoll, EPOLL_CTL_DEL, fd, NULL);
    return 0;
  }
  if(what & CURL_POLL_IN)
    event.events |= EPOLLIN;
  if(what & CURL_POLL_OUT)
    event.events |= EPOLLOUT;
  event.data.fd = fd;
  epoll_ctl(loop->epoll, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event);
  curl_multi_assign(loop->multi, fd, loop);
  return 0;
}

static int on_timer(CURLM *multi, long timeout, void *user)
{
  struct loop *loop = user;
  (void)multi;
  loop->timeout = timeout;
  return 0;
}

static void begin(struct loop *loop, struct slot *slot)
{
  slot->body.length = 0;
  ask(slot->easy, loop->base, loop->next++ / loop->looks);
  curl_multi_add_handle(loop->multi, slot->easy);
}

/* Takes what is finished and gives each free slot the next exchange; says how many finished. */
static long take(struct loop *loop)
{
  CURLMsg *message;
  int left;
  long done = 0;
  while((message = curl_multi_info_read(loop->multi, &left)) != NULL) {
    CURL *easy = message->easy_handle;
    CURLcode code = message->data.result;
    struct slot *slot;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&slot);
    check(easy, code, &slot->body);
    curl_multi_remove_handle(loop->multi, easy);
    done++;
    if(loop->next < loop->count)
      begin(loop, slot);
  }
  return done;
}

static void step(struct loop *loop)
{
  struct epoll_event events[256];
  int running;
  int ready = epoll_wait(loop->epoll, events, 256, (int)loop->timeout);
  if(ready == 0) {
    loop->timeout = -1;
    curl_multi_socket_action(loop->multi, CURL_SOCKET_TIMEOUT, 0, &running);
  }
  for(int i = 0; i < ready; i++) {
    int mask = ((events[i].events & EPOLLIN) ? CURL_CSELECT_IN : 0) |
               ((events[i].events & EPOLLOUT) ? CURL_CSELECT_OUT : 0) |
               ((events[i].events & (EPOLLERR | EPOLLHUP)) ? CURL_CSELECT_ERR : 0);
    curl_multi_socket_action(loop->multi, events[i].data.fd, mask, &running);
  }
}

int main(int argc, char **argv)
{
  struct loop loop = {0};
  struct slot *slots;
  long in_flight = argc > 3 ? atol(argv[3]) : 1;
  curl_global_init(CURL_GLOBAL_DEFAULT);
  loop.base = argv[1];
  loop.looks = argc > 4 ? atol(argv[4]) : 1;
  loop.count = argc > 2 ? atol(argv[2]) * loop.looks : 0;
  loop.epoll = epoll_create1(EPOLL_CLOEXEC);
  loop.multi = curl_multi_init();
  loop.timeout = -1;
  curl_multi_setopt(loop.multi, CURLMOPT_SOCKETFUNCTION, on_socket);
  curl_multi_setopt(loop.multi, CURLMOPT_SOCKETDATA, &loop);
  curl_multi_setopt(loop.multi, CURLMOPT_TIMERFUNCTION, on_timer);
  curl_multi_setopt(loop.multi, CURLMOPT_TIMERDATA, &loop);
  curl_multi_setopt(loop.multi, CURLMOPT_MAXCONNECTS, in_flight);
  curl_multi_setopt(loop.multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
  curl_multi_setopt(loop.multi, CURLMOPT_MAX_CONCURRENT_STREAMS, in_flight);
  slots = calloc((size_t)in_flight, sizeof(*slots));
  if(!slots)
    fail("no memory");
  for(long i = 0; i < in_flight && i < loop.count; i++) {
    slots[i].easy = open_easy(&slots[i].body);
    curl_easy_setopt(slots[i].easy, CURLOPT_PRIVATE, &slots[i]);
    curl_easy_setopt(slots[i].easy, CURLOPT_PIPEWAIT, (long)(strncmp(argv[1], "https:", 6) == 0));
    begin(&loop, &slots[i]);
  }
  for(long done = 0; done < loop.count; done += take(&loop))
    step(&loop);
  for(long i = 0; i < in_flight && slots[i].easy; i++)
    curl_easy_cleanup(slots[i].easy);
  curl_multi_cleanup(loop.multi);
  free(slots);
  return 0;
}
