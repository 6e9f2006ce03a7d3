/* A server whose replies are slow: slow PORT FILE FILE answers every request with the JSON in the first FILE after 50 to
 * 100 ms, on as many connections as there are descriptors, until its parent is gone. Under /ten/ it answers at once, and
 * the first nine times that it is asked for a task with the JSON in the second one. */
#define _GNU_SOURCE /* accept4 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SLOTS 128 /* a wheel of milliseconds, longer than any delay */
#define TASKS 100000
#define LOOKS 10 /* the last of so many finds a task that has ended */

struct reply {
  size_t length;
  char text[8192];
};

struct connection {
  int fd;
  int waiting; /* it is in the wheel */
  int gone;    /* the other side left while it was; the wheel frees it */
  size_t have;
  char head[4096];
  const struct reply *reply; /* to come */
  struct connection *next;   /* in a slot of the wheel */
};

static struct connection *wheel[SLOTS];
static struct reply ended;
static struct reply generating;
static unsigned char asked[TASKS]; /* how often, by the number in a task's name */

static void fail(const char *what)
{
  perror(what);
  exit(1);
}

static long milliseconds(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void load_reply(struct reply *reply, const char *path)
{
  static char body[4096];
  FILE *file = fopen(path, "r");
  size_t length = file ? fread(body, 1, sizeof(body) - 1, file) : 0;
  if(length == 0)
    fail(path);
  fclose(file);
  reply->length = (size_t)snprintf(reply->text, sizeof(reply->text),
                                   "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                                   "Content-Length: %zu\r\n\r\n%s",
                                   length, body);
}

static const struct reply *reply_to(const char *head)
{
  const char *id = strncmp(head, "GET /ten/", 9) == 0 ? strstr(head, "taskId=bench") : NULL;
  unsigned char *times = id ? &asked[strtoul(id + 12, NULL, 10) % TASKS] : NULL;
  if(!times)
    return &ended;
  *times = (unsigned char)(*times % LOOKS + 1);
  return *times < LOOKS ? &generating : &ended;
}

static int listen_on(int port)
{
  struct sockaddr_in address = {0};
  int yes = 1;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  address.sin_family = AF_INET;
  address.sin_port = htons((unsigned short)port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  if(bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, 4096) != 0)
    fail("listen");
  return fd;
}

static void accept_all(int epoll, int listener)
{
  int yes = 1;
  int fd;
  while((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
    struct epoll_event event = {0};
    struct connection *c = calloc(1, sizeof(*c));
    if(!c)
      fail("calloc");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    c->fd = fd;
    event.events = EPOLLIN;
    event.data.ptr = c;
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
  }
}

/* A complete request is due 50 to 100 ms from now; a connection has one at a time. */
static void receive(struct connection *c, long now)
{
  ssize_t got = recv(c->fd, c->head + c->have, sizeof(c->head) - c->have, 0);
  if(got <= 0) {
    close(c->fd);
    c->gone = 1;
    if(!c->waiting)
      free(c);
    return;
  }
  c->have += (size_t)got;
  if(c->have >= 4 && memcmp(c->head + c->have - 4, "\r\n\r\n", 4) == 0) {
    int at_once = strncmp(c->head, "GET /ten/", 9) == 0;
    long due = now + (at_once ? 1 : 50 + rand() % 51);
    c->reply = reply_to(c->head);
    memset(c->head, 0, c->have);
    c->have = 0;
    c->waiting = 1;
    c->next = wheel[due % SLOTS];
    wheel[due % SLOTS] = c;
  }
}

static void answer(long from, long to)
{
  for(long t = from + 1; t <= to; t++) {
    struct connection *c = wheel[t % SLOTS];
    wheel[t % SLOTS] = NULL;
    while(c) {
      struct connection *next = c->next;
      c->waiting = 0;
      if(c->gone)
        free(c);
      else if(send(c->fd, c->reply->text, c->reply->length, MSG_NOSIGNAL) < 0)
        shutdown(c->fd, SHUT_RDWR); /* freed when its end is read */
      c = next;
    }
  }
}

int main(int argc, char **argv)
{
  struct epoll_event events[512];
  struct rlimit files;
  struct epoll_event event = {0};
  int epoll = epoll_create1(0);
  int listener;
  long last = milliseconds();
  if(argc < 4)
    fail("slow PORT FILE FILE");
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  load_reply(&ended, argv[2]);
  load_reply(&generating, argv[3]);
  listener = listen_on(atoi(argv[1]));
  event.events = EPOLLIN;
  epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
  for(;;) {
    int ready = epoll_wait(epoll, events, 512, 1);
    long now = milliseconds();
    for(int i = 0; i < ready; i++) {
      if(events[i].data.ptr)
        receive(events[i].data.ptr, now);
      else
        accept_all(epoll, listener);
    }
    answer(last, now);
    last = now;
  }
}
