/* What a command needs of a process that is its own: signals that are told instead of ending it, its terminal's width.
 * Hosts load the core too, so nothing is changed before it is asked for. */
#include "console.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { PATIENCE = 2 }; /* signals that are only noted: who is stuck can still be ended */

/* A process has one set of handlers. */
static volatile sig_atomic_t last;
static volatile sig_atomic_t count;

static void note(int number)
{
  last = number;
  if(number == SIGHUP) /* a terminal that is closed sends several */
    return;
  count = count + 1;
  if(count > PATIENCE) {
    (void)signal(number, SIG_DFL);
    (void)raise(number);
  }
}

static void handle(int number, void (*handler)(int))
{
  struct sigaction action;
  if(sigaction(number, NULL, &action) || action.sa_handler == SIG_IGN) /* nohup */
    return;
  memset(&action, 0, sizeof action);
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART; /* a write is not cut; what sleeps is woken all the same */
  sigemptyset(&action.sa_mask);
  (void)sigaction(number, &action, NULL);
}

/* core.take_signals(): from here on SIGINT, SIGTERM and SIGHUP are noted, unless they are ignored, and a pipe that is
 * closed is an error of the write. A standard descriptor that is closed is opened so that writing to it fails: what is
 * opened next would get its number, and what is printed. */
int veo_console_take(lua_State *L)
{
  int fd;
  (void)L;
  handle(SIGINT, note);
  handle(SIGTERM, note);
  handle(SIGHUP, note);
  handle(SIGPIPE, SIG_IGN);
  for(fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
    if(fcntl(fd, F_GETFD) < 0)
      (void)open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
  return 0;
}

/* core.signal() -> "INT", "TERM" or "HUP" when one came since the last call, and how many came in all but
 * for SIGHUP; else nil */
int veo_console_signal(lua_State *L)
{
  int number = last;
  if(!number)
    return 0;
  last = 0;
  lua_pushstring(L, number == SIGINT ? "INT" : number == SIGTERM ? "TERM" : "HUP");
  lua_pushinteger(L, count);
  return 2;
}

/* core.columns(fd) -> how wide its terminal is, 80 where that is not told; nil when it is none */
int veo_console_columns(lua_State *L)
{
  int fd = (int)luaL_checkinteger(L, 1);
  struct winsize size;
  if(!isatty(fd))
    return 0;
  lua_pushinteger(L, !ioctl(fd, TIOCGWINSZ, &size) && size.ws_col > 0 ? size.ws_col : 80);
  return 1;
}
