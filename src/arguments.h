/* Reads Lua arguments and options into plain C values, with an error that names what was wrong. */
#ifndef VEO_ARGUMENTS_H
#define VEO_ARGUMENTS_H

#include "compat.h"

/* Raises when the table at `index` has a field that is not in the NULL-terminated list. */
void veo_only_fields(lua_State *L, int index, const char *const *known);
/* The string field, NULL when absent. Pushes it, so that it stays alive. NUL, CR and LF are refused. */
const char *veo_text_field(lua_State *L, int index, const char *name);
/* Further on, not every whole number is one; each of them fits in an off_t. */
#define VEO_LARGEST 9007199254740992.0

/* The argument, a number from `least` to `most`. */
double veo_number_argument(lua_State *L, int index, double least, double most,
                           const char *expected);
/* The number field, or `fallback` when absent; must be finite and >= `least`, and is VEO_LARGEST when it is more.
 * Pushes nothing. */
double veo_number_field(lua_State *L, int index, const char *name, double fallback, double least);
int veo_boolean_field(lua_State *L, int index, const char *name);
/* Pushes the query string of the table at `index`, escaped. */
void veo_push_query(lua_State *L, int index);

#endif
