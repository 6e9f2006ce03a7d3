/* The record of a task as the service documents it, read into a status. */
#ifndef VEO_RECORD_H
#define VEO_RECORD_H

#include "compat.h"

/* core.record(data, envelope, taskId) -> status, or nothing when anything about the record is unusual:
 * the Lua half knows what that may mean. */
int veo_record(lua_State *L);

#endif
