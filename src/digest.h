/* What tells a file: its length, and SHA-256 over its first and last 64 KiB. No Lua. */
#ifndef VEO_DIGEST_H
#define VEO_DIGEST_H

#include <stddef.h>

enum { VEO_DIGEST_TEXT = 65 }; /* in hex, with its NUL */

/* Reads at most 128 KiB. 0, or errno; EINVAL for what is no regular file. */
int veo_digest_file(const char *path, double *size, char *text);

/* SHA-256 of bytes in memory. */
void veo_digest_bytes(const char *bytes, size_t length, char *text);

#endif
