/* veo.core: HTTP, bytes, files and time for the Lua half of lua-veo. Entry point. */
#define _GNU_SOURCE /* dladdr, RTLD_NODELETE */

#include "client.h"
#include "clock.h"
#include "compat.h"
#include "defaults.h"
#include "sink.h"
#include "transfer.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

VEO_EXPORT int luaopen_veo_core(lua_State *L);

/* A resolver thread of libcurl may outlive the Lua state; unloading its code under it crashes the
 * host. The linker's -z nodelete says the same where it is known. */
static void pin(void)
{
#ifdef RTLD_NODELETE
  Dl_info info;
  int (*self)(lua_State *) = luaopen_veo_core;
  void *address;
  memcpy(&address, &self, sizeof address); /* ISO C has no cast between the two */
  if(dladdr(address, &info) && info.dli_fname)
    (void)dlopen(info.dli_fname, RTLD_NOW | RTLD_NODELETE);
#endif
}

/* core.now() -> monotonic seconds */
static int core_now(lua_State *L)
{
  lua_pushnumber(L, veo_now());
  return 1;
}

/* core.random(count) -> that many random bytes, at most 64: the host's math.random stays untouched */
static int core_random(lua_State *L)
{
  char bytes[64];
  lua_Number count = luaL_checknumber(L, 1);
  size_t done = 0;
  int fd;
  luaL_argcheck(L, count >= 0 && count <= (lua_Number)sizeof bytes, 1, "0 to 64 expected");
  fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
  while(fd >= 0 && done < (size_t)count) {
    ssize_t n = read(fd, bytes + done, (size_t)count - done);
    if(n <= 0)
      break;
    done += (size_t)n;
  }
  if(fd >= 0)
    close(fd);
  if(done < (size_t)count)
    return luaL_error(L, "no random bytes to be had from /dev/urandom");
  lua_pushlstring(L, bytes, done);
  return 1;
}

int luaopen_veo_core(lua_State *L)
{
  static const luaL_Reg functions[] = {{"new", veo_client_new}, {"now", core_now},
                                       {"sink", veo_sink_new},  {"kind", veo_file_kind},
                                       {"random", core_random}, {NULL, NULL}};
  pin();
  veo_client_register(L);
  veo_transfer_register(L);
  veo_sink_register(L);
  lua_newtable(L);
  veo_setfuncs(L, functions);
  lua_pushliteral(L, VEO_VERSION);
  lua_setfield(L, -2, "version");
  lua_pushliteral(L, VEO_BASE_URL);
  lua_setfield(L, -2, "base_url");
  lua_pushstring(L, curl_version_info(CURLVERSION_NOW)->version);
  lua_setfield(L, -2, "curl_version");
  return 1;
}
