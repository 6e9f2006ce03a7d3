/* Turns what a script asks for into a prepared exchange. */
#ifndef VEO_REQUEST_H
#define VEO_REQUEST_H

#include "compat.h"

/* client:extend(params [, options]) and client:status(taskId [, options]): one attempt, blocking. */
int veo_request_extend(lua_State *L);
int veo_request_status(lua_State *L);
/* client:look(taskId [, options]): as status, but the usual record comes as the status it tells, which has
 * a `state`, where a reply has none */
int veo_request_look(lua_State *L);
/* client:start(operation, …) -> transfer | nil, failure */
int veo_request_start(lua_State *L);
/* client:warm() -> reply | nil, failure: blocking */
int veo_request_warm(lua_State *L);

#endif
