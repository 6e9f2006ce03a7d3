/* Reads JSON text token by token, in place. It takes less than JSON allows: whatever it does not take is
 * for lua-cjson to judge, and all that it takes, lua-cjson reads too. No Lua. */
#ifndef VEO_JSON_SCAN_H
#define VEO_JSON_SCAN_H

#include <stddef.h>

typedef struct {
  const char *at; /* the text ends in a NUL, which no token holds */
} veo_json_scan;

typedef struct {
  const char *data; /* between the quotes; NULL when there was none */
  size_t length;
  int escaped; /* it holds backslashes */
} veo_text;

/* Each of these passes over blanks first, and returns 0 without a promise about its place when something
 * else comes. */
int veo_json_scan_char(veo_json_scan *scan, char wanted);
int veo_json_scan_null(veo_json_scan *scan);
int veo_json_scan_bool(veo_json_scan *scan, int *value);
/* A whole number from 0 up of at most 15 digits: every version of Lua holds it exactly. */
int veo_json_scan_whole(veo_json_scan *scan, double *value);
/* Any string without \u. */
int veo_json_scan_string(veo_json_scan *scan, veo_text *text);
/* Any value, nested at most so deep. */
int veo_json_scan_skip(veo_json_scan *scan, int depth);
/* The next key of an object whose brace is behind; stands at its value then. 0 at the end of the object,
 * -1 when something else comes. */
int veo_json_scan_key(veo_json_scan *scan, int first, veo_text *key);
/* True when nothing but blanks is left up to `end`. */
int veo_json_scan_ended(veo_json_scan *scan, const char *end);

/* Writes the text without its backslashes to `out`, which has room for its length; returns the new length. */
size_t veo_unescape(const veo_text *text, char *out);

#endif
