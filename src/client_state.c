/* Whether an argument is a client; see client_state.h. */
#include "client_state.h"

#include "defaults.h"

const veo_type veo_client_type = {"veo.core.client " VEO_VERSION};

veo_client *veo_check_client(lua_State *L, int index)
{
  veo_client *client =
      index == 1 ? veo_checkself(L, &veo_client_type) : veo_checktype(L, index, &veo_client_type);
  luaL_argcheck(L, client->open, index, "the client is closed");
  if(!veo_engine_is_ours(&client->engine))
    luaL_error(L, "this client was made before a fork: make a new one in this process");
  return client;
}
