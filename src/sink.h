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
  char *path;
} veo_sink;

#define VEO_SINK_TYPE "veo.core.sink"

/* Opens and locks. NULL with *error = errno; EWOULDBLOCK means that another has the lock. */
veo_sink *veo_sink_open(const char *path, int resume, int *error);
veo_sink *veo_sink_retain(veo_sink *sink);
void veo_sink_release(veo_sink *sink);
/* Writes all of it at the offset. 0, or errno. */
int veo_sink_write(veo_sink *sink, const char *data, size_t length, off_t offset);
int veo_sink_truncate(veo_sink *sink, off_t length);

/* The sink behind an argument, or an argument error when it is something else or closed. */
veo_sink *veo_check_sink(lua_State *L, int index);
/* core.sink and core.kind, and the type itself. */
void veo_sink_register(lua_State *L);
int veo_sink_new(lua_State *L);
int veo_file_kind(lua_State *L);

#endif
