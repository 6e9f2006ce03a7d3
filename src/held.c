/* A signal held back for the length of a call; see held.h. */
#include "held.h"

#include <lauxlib.h>
#include <pthread.h>

static void set_of(sigset_t *set, int signal)
{
  sigemptyset(set);
  sigaddset(set, signal);
}

void veo_hold(veo_held *guard, int signal)
{
  sigset_t set;
  set_of(&set, signal);
  guard->signal = signal;
  pthread_sigmask(SIG_BLOCK, &set, &guard->before);
  /* A host that blocks it itself takes care of a pending one itself. */
  guard->was_blocked = sigismember(&guard->before, signal) == 1;
}

void veo_let_go(veo_held *guard)
{
  sigset_t set;
  if(guard->was_blocked)
    return;
  sigpending(&set);
  if(sigismember(&set, guard->signal) == 1) {
    int taken;
    set_of(&set, guard->signal);
    sigwait(&set, &taken);
  }
  pthread_sigmask(SIG_SETMASK, &guard->before, NULL);
}

/* core.hold_pcall(fn, ...) -> as pcall: a write past the limit on the length of files (ulimit -f) fails, and its SIGXFSZ,
 * which kills, is held back. What it calls cannot yield. */
int veo_held_pcall(lua_State *L)
{
  veo_held guard;
  int status;
  luaL_checkany(L, 1);
  veo_hold(&guard, SIGXFSZ);
  status = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
  veo_let_go(&guard);
  lua_pushboolean(L, status == 0);
  lua_insert(L, 1);
  return lua_gettop(L);
}
