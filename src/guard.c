/* A limit for a library that waits on a socket without one. libpq, behind LuaDBI, waits for ever for a server whose kernel
 * still acknowledges what is sent although its processes are stopped. So a thread ends the connection when its time is
 * over, and the library sees a server that is gone. It keeps a duplicate of the descriptor, so that a number that is
 * used again is never touched. A forked child has the connection too, and the server would take what the library sends
 * there, if only at its end, for its parent's: so a fork takes the connection from the child.
 *
 *   local guard = core.guard()   before the library connects
 *   guard:locate() -> whether the one new socket was found
 *   guard:arm(seconds)           from here on the connection ends after so many seconds,
 *   guard:disarm()               to here
 *   guard:close() */
#include "guard.h"

#include "arguments.h"
#include "pipe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST = 512 }; /* sockets of the process; with more there is no guard */

typedef struct guard {
  struct guard *next; /* in the list of those that have one */
  pthread_t thread;
  int fd;      /* a duplicate, or -1 */
  int theirs;  /* the library's own */
  int wake[2]; /* a byte: the thread need not wait any more */
  int limit;   /* milliseconds */
  int armed;   /* the thread runs */
  int known;
  ino_t before[MOST];
} guard;

static const veo_type guard_type = {"veo.core.guard"};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static guard *guards;

static void before_fork(void)
{
  pthread_mutex_lock(&lock);
}

static void in_parent(void)
{
  pthread_mutex_unlock(&lock);
}

/* Replaces each connection that the library still has by /dev/null, and forgets the threads: a child has none
 * of them, and would wait for one for ever. Only calls that are allowed after a fork. */
static void in_child(void)
{
  int nothing = guards ? open("/dev/null", O_RDWR | O_CLOEXEC) : -1;
  guard *g;
  for(g = guards; g; g = g->next) {
    struct stat ours;
    struct stat theirs;
    g->armed = 0;
    if(nothing >= 0 && !fstat(g->fd, &ours) && !fstat(g->theirs, &theirs) &&
       ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino)
      (void)dup2(nothing, g->theirs);
  }
  if(nothing >= 0)
    close(nothing);
  pthread_mutex_unlock(&lock);
}

static void start(void)
{
  pthread_atfork(before_fork, in_parent, in_child);
}

static void enlist(guard *g)
{
  pthread_mutex_lock(&lock);
  g->next = guards;
  guards = g;
  pthread_mutex_unlock(&lock);
}

static void delist(const guard *g)
{
  guard **at;
  pthread_mutex_lock(&lock);
  for(at = &guards; *at && *at != g; at = &(*at)->next)
    ;
  if(*at)
    *at = g->next;
  pthread_mutex_unlock(&lock);
}

/* The socket behind a descriptor, when it is a connected stream. */
static int is_connection(int fd, ino_t *socket)
{
  struct stat status;
  struct sockaddr_storage peer;
  socklen_t length = sizeof peer;
  int type = 0;
  socklen_t size = sizeof type;
  if(fstat(fd, &status) || !S_ISSOCK(status.st_mode))
    return 0;
  *socket = status.st_ino;
  return !getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) && type == SOCK_STREAM &&
         !getpeername(fd, (struct sockaddr *)&peer, &length);
}

static int is_known(const guard *g, ino_t socket)
{
  int i;
  for(i = 0; i < g->known; i++) {
    if(g->before[i] == socket)
      return 1;
  }
  return 0;
}

/* Goes through all descriptors: notes the connections when `found` is NULL, else looks for those that are new. Returns how
 * many there are of them, or -1. */
static int look(guard *g, int *found)
{
  DIR *directory = opendir("/proc/self/fd");
  struct dirent *entry;
  int count = 0;
  if(!directory)
    directory = opendir("/dev/fd");
  if(!directory)
    return -1;
  while((entry = readdir(directory))) {
    ino_t socket;
    char *end;
    long fd = strtol(entry->d_name, &end, 10);
    if(end == entry->d_name || *end || !is_connection((int)fd, &socket))
      continue;
    if(found && is_known(g, socket))
      continue;
    if(found)
      *found = (int)fd;
    else if(count < MOST)
      g->before[count] = socket;
    count++;
  }
  closedir(directory);
  return count;
}

static void *watch(void *data)
{
  const guard *g = data;
  struct pollfd woken = {g->wake[0], POLLIN, 0};
  int ready = poll(&woken, 1, g->limit); /* signals are blocked here */
  if(ready == 0)
    (void)shutdown(g->fd, SHUT_RDWR);
  return NULL;
}

static void disarm(guard *g)
{
  char byte = 0;
  if(!g->armed)
    return;
  (void)!write(g->wake[1], &byte, 1);
  pthread_join(g->thread, NULL);
  (void)!read(g->wake[0], &byte, 1);
  g->armed = 0;
}

/* core.guard() -> guard, nil where descriptors cannot be listed */
int veo_guard_new(lua_State *L)
{
  guard *g = lua_newuserdata(L, sizeof *g);
  memset(g, 0, sizeof *g);
  pthread_once(&once, start);
  g->fd = g->wake[0] = g->wake[1] = -1;
  veo_settype(L, &guard_type);
  if(veo_pipe(g->wake))
    return 0;
  g->known = look(g, NULL);
  return g->known >= 0 && g->known <= MOST;
}

static int guard_locate(lua_State *L)
{
  guard *g = veo_checktype(L, 1, &guard_type);
  int fd = -1;
  if(g->fd < 0 && look(g, &fd) == 1) {
    g->theirs = fd;
    g->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if(g->fd >= 0)
      enlist(g);
  }
  lua_pushboolean(L, g->fd >= 0);
  return 1;
}

static int guard_arm(lua_State *L)
{
  guard *g = veo_checktype(L, 1, &guard_type);
  double seconds = veo_number_argument(L, 2, 0.001, 1e6, "seconds up to a million expected");
  sigset_t all;
  sigset_t before;
  if(g->fd < 0 || g->armed)
    return 0;
  g->limit = (int)(seconds * 1000);
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  g->armed = !pthread_create(&g->thread, NULL, watch, g);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return 0;
}

static int guard_disarm(lua_State *L)
{
  disarm(veo_checktype(L, 1, &guard_type));
  return 0;
}

static void shut(int *fd)
{
  if(*fd >= 0)
    close(*fd);
  *fd = -1;
}

static int guard_close(lua_State *L)
{
  guard *g = veo_checktype(L, 1, &guard_type);
  disarm(g);
  delist(g);
  shut(&g->fd);
  shut(&g->wake[0]);
  shut(&g->wake[1]);
  return 0;
}

void veo_guard_register(lua_State *L)
{
  static const luaL_Reg methods[] = {{"locate", guard_locate},
                                     {"arm", guard_arm},
                                     {"disarm", guard_disarm},
                                     {"close", guard_close},
                                     {NULL, NULL}};
  static const luaL_Reg events[] = {{"__gc", guard_close}, {NULL, NULL}};
  veo_newtype(L, &guard_type, methods, events);
}
