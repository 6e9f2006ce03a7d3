/* What tells this process and its files from others, on this boot of the machine. */
#define _GNU_SOURCE /* CLOCK_BOOTTIME, F_OFD_SETLK */

#include "machine.h"

#include "arguments.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* core.identity(path) -> "device.inode" of the file, or of the namespace that a link in /proc leads to; nil when there is
 * none to be seen */
int veo_machine_identity(lua_State *L)
{
  const char *path = luaL_checkstring(L, 1);
  struct stat found;
  char text[64];
  if(stat(path, &found))
    return 0;
  snprintf(text, sizeof text, "%llu.%llu", (unsigned long long)found.st_dev,
           (unsigned long long)found.st_ino);
  lua_pushstring(L, text);
  return 1;
}

/* core.keep_log(path) -> whether, from here on and until this process ends, nobody takes the log of that SQLite database in
 * and removes it: a shared lock where SQLite's readers have theirs. It is never given back: closing a file gives up all
 * locks that the process has on it, SQLite's too. */
int veo_machine_keep_log(lua_State *L)
{
  const char *path = luaL_checkstring(L, 1);
  int kept = 0;
#ifdef F_OFD_SETLK
  struct flock readers = {
      .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 0x40000002, .l_len = 510};
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  kept = fd >= 0 && !fcntl(fd, F_OFD_SETLK, &readers);
#else
  (void)path;
#endif
  lua_pushboolean(L, kept);
  return 1;
}

/* core.boottime() -> seconds since the machine started, sleep included, whatever is done to the wall clock; nil where no
 * such clock is known */
int veo_machine_boottime(lua_State *L)
{
#ifdef CLOCK_BOOTTIME
  struct timespec now;
  if(clock_gettime(CLOCK_BOOTTIME, &now))
    return 0;
  lua_pushnumber(L, (lua_Number)now.tv_sec + (lua_Number)now.tv_nsec / 1e9);
  return 1;
#else
  (void)L;
  return 0;
#endif
}

/* core.pid() -> this process's number, as its own PID namespace counts */
int veo_machine_pid(lua_State *L)
{
  lua_pushinteger(L, (lua_Integer)getpid());
  return 1;
}

/* core.exists(pid) -> false when this PID namespace certainly has no process of that number. The kernel says so whatever
 * /proc shows: hidepid hides processes of others there, and a container may see another namespace's /proc. */
int veo_machine_exists(lua_State *L)
{
  double pid = veo_number_argument(L, 1, 1, 2147483647, "a process id expected");
  lua_pushboolean(L, !(kill((pid_t)pid, 0) && errno == ESRCH));
  return 1;
}
