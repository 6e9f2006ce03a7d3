/* Reads gzip data (RFC 1952). No Lua, no libcurl. */
#ifndef VEO_INFLATE_H
#define VEO_INFLATE_H

#include "text.h"

typedef enum {
  VEO_INFLATE_NONE,  /* not compressed */
  VEO_INFLATE_WHOLE, /* all of it was read */
  VEO_INFLATE_DAMAGED, /* it is cut, damaged, or has bytes behind its end: what could be read is there */
  VEO_INFLATE_TOO_LARGE /* more than `most` bytes, or than memory */
} veo_inflated;

/* By the first bytes, whatever headers say. Appends to `out`. */
veo_inflated veo_inflate(const char *data, size_t length, veo_buffer *out, size_t most);

#endif
