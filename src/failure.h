/* The one shape of a failure that is not an exchange's: nil and a table. */
#ifndef VEO_FAILURE_H
#define VEO_FAILURE_H

#include "compat.h"

/* Leaves nil, { reason, message = "path: message", errno } on the stack and returns 2. */
int veo_fail_io(lua_State *L, const char *reason, const char *message, const char *path, int error);

#endif
