/* The file a download is written to: opened once, locked against other processes, kept open over
 * all attempts. Counted, because a transfer may outlive the script's handle. */
#ifndef VEO_SINK_H
#define VEO_SINK_H

#include <stddef.h>
#include <sys/types.h>

#include "compat.h"

typedef struct {
  int fd; /* -1 once closed */
  int references;
  int created; /* there was no such file */
  int locked;  /* 0: the file system knows no locks */
  char *path;
} veo_sink;

/* Opens and locks. NULL with *error = errno; EWOULDBLOCK means that another has the lock. */
veo_sink *veo_sink_open(const char *path, int resume, int *error);
veo_sink *veo_sink_retain(veo_sink *sink);
void veo_sink_release(veo_sink *sink);
/* Writes all of it at the offset. 0, or errno. */
int veo_sink_write(veo_sink *sink, const char *data, size_t length, off_t offset);
/* Whether a file of so many bytes, of which those up to `offset` are there, fits on the disk and under the
 * process's limit: 0, ENOSPC or EFBIG. */
int veo_sink_room(const veo_sink *sink, off_t offset, off_t total);
/* Whether the file has these bytes at the offset. 0, errno or VEO_SINK_DIFFERS. */
enum { VEO_SINK_DIFFERS = -1 };
int veo_sink_compare(const veo_sink *sink, const char *data, size_t length, off_t offset);
/* -1 when it cannot be had. */
off_t veo_sink_size(const veo_sink *sink);
int veo_sink_truncate(veo_sink *sink, off_t length);

/* 0 for a regular file of ours, else errno. One of somebody else would let him choose what is in it. */
int veo_check_ours(int fd, const char *path);
/* True when the path still names the file behind the descriptor. */
int veo_still_named(int fd, const char *path);

/* The sink behind an argument, or an argument error when it is something else or closed. */
veo_sink *veo_check_sink(lua_State *L, int index);
/* core.sink, and the type itself. */
void veo_sink_register(lua_State *L);
int veo_sink_new(lua_State *L);

#endif
