/* The transfer userdata: a script's handle on an operation under way. */
#ifndef VEO_TRANSFER_H
#define VEO_TRANSFER_H

#include "client_state.h"

typedef struct veo_transfer {
  veo_client *client;       /* kept alive by the user value; NULL once nothing is needed of it */
  veo_operation *operation; /* NULL before it is bound and once its result is read or it is cut */
  veo_operation *kept;      /* being read: freed here should the client be closed meanwhile */
  const char *reason;       /* why there is no result to read; both texts are constants */
  const char *message;
  veo_sent sent;
  veo_buffer text; /* what had come of a billable call's answer when its client was closed */
} veo_transfer;

/* Pushes a new transfer of the client at `index`, bound to nothing yet. */
veo_transfer *veo_transfer_new(lua_State *L, int index, veo_client *client);
/* Binds it to a prepared operation and keeps it alive while that is under way, with the value at `tag`
 * (0: none). The transfer is on the top of the stack; may raise, and the collector then gives the
 * operation back. */
void veo_transfer_bind(lua_State *L, veo_transfer *transfer, veo_operation *operation, int tag);
/* Pushes the transfer of an operation and what was tied to it; lets it go when it was taken. */
void veo_transfer_push(lua_State *L, int client_index, const veo_operation *operation);
/* Binds it to the operation of a blocking call, which no script sees. Does not raise. */
void veo_transfer_own(veo_transfer *transfer, veo_operation *operation);
/* Pushes the result of its operation, which is done and goes back to the pool, also when this raises; `env` is
 * the index of the client's table. Returns the number of values. */
int veo_transfer_finish(lua_State *L, veo_transfer *transfer, int env);
/* The engine is closing: the transfer lets go of the operation. True when it is just being read, and
 * freed by its reader. */
int veo_transfer_orphan(veo_operation *operation);
void veo_transfer_register(lua_State *L);

#endif
