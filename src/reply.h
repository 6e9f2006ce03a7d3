/* What a finished exchange looks like to Lua: a reply table, or nil and a failure table. */
#ifndef VEO_REPLY_H
#define VEO_REPLY_H

#include "compat.h"
#include "exchange.h"
#include "worker.h"

/* Pushes the result of a done exchange and returns the number of values; `env` is the stack index
 * of the client's table, `secret` the key, which no text may show. The exchange is looked at until the end,
 * the secret only before anything can run a finalizer. */
int veo_push_result(lua_State *L, int env, veo_exchange *exchange, const char *secret);
/* The same of a work that is done. */
int veo_push_work_result(lua_State *L, const veo_work *work);
/* Pushes what is known of a file whose headers are there. */
void veo_push_download_reply(lua_State *L, const veo_exchange *exchange);
/* Pushes nil and the failure of a call whose client was closed, with what had come of its answer. */
int veo_push_closed(lua_State *L, const char *message, veo_sent sent, const veo_buffer *reply);
/* Pushes nil and a failure with nothing but a reason and whether anything was sent. */
int veo_push_failure(lua_State *L, const char *reason, const char *message, veo_sent sent);

#endif
