/* The record of a task as the service documents it, read straight into a status. */
#ifndef VEO_STATUS_RECORD_H
#define VEO_STATUS_RECORD_H

#include <stddef.h>

#include "compat.h"

/* Pushes the status that the body of a reply tells and returns 1, when the body is the usual one in every
 * respect; 0 with nothing pushed when anything about it is unusual: the Lua half knows what that may mean.
 * `text` ends in a NUL; `kind` and `names` are stack indices of what the two functions below made. */
int veo_status_record_push(lua_State *L, int kind, int names, const char *text, size_t length);

/* Pushes a list of the names of a status's fields. */
void veo_status_record_names(lua_State *L);

/* Pushes the metatable of such statuses: it decodes `raw` from `json` when a script asks for it. `decode`
 * is the stack index of the JSON decoder. */
void veo_status_record_kind(lua_State *L, int decode);

#endif
