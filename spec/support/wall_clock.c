/* A wall clock that jumps, and a death at a set instant, for a child process of the specs: preloaded there, so that
 * every library in it (SQLite, LuaDBI, Lua itself) reads this clock. Monotonic clocks and the boot's are left alone. It
 * begins VEO_WALL seconds off.
 *
 *   local clock = require "wall_clock"
 *   clock.shift(seconds)   the wall clock is that far off from now on
 *   clock.die()            SIGKILL, now
 *   clock.die_in(seconds)  SIGKILL at that instant, whatever runs then; 0: not any more
 *   clock.chdir(folder)    works there from now on
 *   clock.cloexec(fd)      not for programs started from here; this works in any process
 */
#define _GNU_SOURCE /* syscall */
#include <fcntl.h>
#include <lauxlib.h>
#include <lua.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

int luaopen_wall_clock(lua_State *L);

static volatile double shift;

__attribute__((constructor)) static void begin(void)
{
  const char *seconds = getenv("VEO_WALL");
  if(seconds)
    shift = strtod(seconds, NULL);
}

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): the header's names are reserved ones */
int clock_gettime(clockid_t id, struct timespec *at)
{
  int result = (int)syscall(SYS_clock_gettime, id, at);
  double seconds = shift;
  if(result == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
    at->tv_sec += (time_t)seconds;
  return result;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone)
{
  struct timespec now;
  (void)zone;
  if(clock_gettime(CLOCK_REALTIME, &now))
    return -1;
  at->tv_sec = now.tv_sec;
  at->tv_usec = now.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *at)
{
  struct timespec now = {0, 0};
  clock_gettime(CLOCK_REALTIME, &now);
  if(at)
    *at = now.tv_sec;
  return now.tv_sec;
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */

static void die(int number)
{
  (void)number;
  kill(getpid(), SIGKILL);
}

static int clock_set_shift(lua_State *L)
{
  shift = floor(luaL_checknumber(L, 1));
  return 0;
}

static int clock_die(lua_State *L)
{
  (void)L;
  die(0);
  return 0;
}

static int clock_die_in(lua_State *L)
{
  double seconds = luaL_checknumber(L, 1);
  struct itimerval when = {{0, 0}, {0, 0}};
  when.it_value.tv_sec = (time_t)seconds;
  when.it_value.tv_usec = (suseconds_t)((seconds - floor(seconds)) * 1e6);
  signal(SIGALRM, die);
  setitimer(ITIMER_REAL, &when, NULL);
  return 0;
}

static int clock_chdir(lua_State *L)
{
  lua_pushboolean(L, chdir(luaL_checkstring(L, 1)) == 0);
  return 1;
}

static int clock_cloexec(lua_State *L)
{
  lua_pushboolean(L, fcntl((int)luaL_checkinteger(L, 1), F_SETFD, FD_CLOEXEC) == 0);
  return 1;
}

int luaopen_wall_clock(lua_State *L)
{
  lua_newtable(L);
  lua_pushcfunction(L, clock_set_shift);
  lua_setfield(L, -2, "shift");
  lua_pushcfunction(L, clock_die);
  lua_setfield(L, -2, "die");
  lua_pushcfunction(L, clock_die_in);
  lua_setfield(L, -2, "die_in");
  lua_pushcfunction(L, clock_chdir);
  lua_setfield(L, -2, "chdir");
  lua_pushcfunction(L, clock_cloexec);
  lua_setfield(L, -2, "cloexec");
  return 1;
}
