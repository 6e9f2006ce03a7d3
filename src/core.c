/* veo.core: HTTP, bytes, files and time for the Lua half of lua-veo. Entry point. */
#define _GNU_SOURCE /* dladdr, RTLD_NODELETE */

#include "arguments.h"
#include "client.h"
#include "clock.h"
#include "compat.h"
#include "console.h"
#include "defaults.h"
#include "digest.h"
#include "files.h"
#include "guard.h"
#include "held.h"
#include "machine.h"
#include "sink.h"
#include "transfer.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/random.h>
#endif

VEO_EXPORT int luaopen_veo_core(lua_State *L);

#ifndef RTLD_NODELETE
#define RTLD_NODELETE 0
#endif

/* A resolver thread of libcurl may outlive the Lua state; unloading its code under it crashes the
 * host. The linker's -z nodelete says the same where it is known. The reference is kept for good. */
static void pin(void)
{
  Dl_info info;
  int (*self)(lua_State *) = luaopen_veo_core;
  void *address;
  memcpy(&address, &self, sizeof address); /* ISO C has no cast between the two */
  if(dladdr(address, &info) && info.dli_fname)
    (void)dlopen(info.dli_fname, RTLD_NOW | RTLD_NODELETE);
}

/* core.now() -> monotonic seconds */
static int core_now(lua_State *L)
{
  lua_pushnumber(L, veo_now());
  return 1;
}

/* How many of the bytes could be had. Without a descriptor where that is possible: a process may have none left in the
 * middle of an order. */
static size_t fill(char *bytes, size_t count)
{
  size_t done = 0;
  int fd;
#ifdef __linux__
  ssize_t n = getrandom(bytes, count, GRND_NONBLOCK); /* whole up to 256 bytes */
  if(n > 0)
    done = (size_t)n;
  if(done == count)
    return done;
#endif
  fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
  while(fd >= 0 && done < count) {
    ssize_t more = read(fd, bytes + done, count - done);
    if(more <= 0)
      break;
    done += (size_t)more;
  }
  if(fd >= 0)
    close(fd);
  return done;
}

/* core.random(count) -> that many random bytes, at most 64: the host's math.random stays untouched */
static int core_random(lua_State *L)
{
  char bytes[64];
  size_t count = (size_t)veo_number_argument(L, 1, 0, sizeof bytes, "0 to 64 expected");
  if(fill(bytes, count) < count)
    return luaL_error(L, "no random bytes to be had from the system");
  lua_pushlstring(L, bytes, count);
  return 1;
}

/* core.digest(bytes) -> their SHA-256, in hex */
static int core_digest(lua_State *L)
{
  size_t length;
  const char *bytes = luaL_checklstring(L, 1, &length);
  char text[VEO_DIGEST_TEXT];
  veo_digest_bytes(bytes, length, text);
  lua_pushstring(L, text);
  return 1;
}

/* core.keep(userdata, value): the value lives as long as the userdata. A driver's statement points at its connection
 * and keeps no hold of it: a whole collection in the middle of finalizers frees the one before the other, which then
 * crashes the host (LuaDBI 0.7.2, seen on LuaJIT). */
static int core_keep(lua_State *L)
{
  luaL_checktype(L, 1, LUA_TUSERDATA);
  luaL_checkany(L, 2);
  lua_settop(L, 2);
  lua_createtable(L, 1, 0);
  lua_insert(L, 2);
  lua_rawseti(L, 2, 1);
  veo_setuservalue(L, 1);
  return 0;
}

int luaopen_veo_core(lua_State *L)
{
  static const luaL_Reg functions[] = {{"new", veo_client_new},
                                       {"now", core_now},
                                       {"sink", veo_sink_new},
                                       {"kind", veo_file_kind},
                                       {"absolute", veo_file_absolute},
                                       {"remove", veo_file_remove},
                                       {"rename", veo_file_rename},
                                       {"write", veo_file_write},
                                       {"create", veo_file_create},
                                       {"read", veo_file_read},
                                       {"mkdir", veo_file_mkdir},
                                       {"random", core_random},
                                       {"hold_pcall", veo_held_pcall},
                                       {"identity", veo_machine_identity},
                                       {"keep_log", veo_machine_keep_log},
                                       {"pid", veo_machine_pid},
                                       {"exists", veo_machine_exists},
                                       {"boottime", veo_machine_boottime},
                                       {"guard", veo_guard_new},
                                       {"take_signals", veo_console_take},
                                       {"signal", veo_console_signal},
                                       {"columns", veo_console_columns},
                                       {"digest", core_digest},
                                       {"keep", core_keep},
                                       {NULL, NULL}};
  pin();
  veo_client_register(L);
  veo_transfer_register(L);
  veo_sink_register(L);
  veo_guard_register(L);
  lua_newtable(L);
  veo_setfuncs(L, functions);
  lua_pushliteral(L, VEO_VERSION);
  lua_setfield(L, -2, "version");
  lua_pushinteger(L, VEO_INTERFACE);
  lua_setfield(L, -2, "interface");
  lua_pushliteral(L, VEO_BASE_URL);
  lua_setfield(L, -2, "base_url");
  lua_pushstring(L, curl_version_info(CURLVERSION_NOW)->version);
  lua_setfield(L, -2, "curl_version");
  return 1;
}
