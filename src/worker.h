/* What takes longer than a frame and needs no Lua, on short threads: fsync and rename at a download's
 * end (37 ms for 64 MiB, measured), and what tells a file. The threads touch neither Lua nor libcurl. */
#ifndef VEO_WORKER_H
#define VEO_WORKER_H

#include <stddef.h>

#include "boxes.h"
#include "digest.h"

typedef struct veo_worker veo_worker;

typedef struct {
  void *tag;         /* who asked */
  int error;         /* errno, or 0 */
  const char *stage; /* what failed: a constant text */
  int unsynced;      /* of a save: the file system cannot */
  double size;       /* of a file that was looked at */
  char digest[VEO_DIGEST_TEXT];
  veo_boxes boxes;
} veo_saved;

/* 0, or errno when memory or descriptors are short. */
int veo_worker_open(veo_worker **out);
/* Saves under way go on to their end and free what they hold. */
void veo_worker_close(veo_worker *worker);
/* Readable while a save that has ended waits to be collected. */
int veo_worker_fd(const veo_worker *worker);
/* Starts: syncs fd and moves `from` to `to`; takes over fd. 0, or errno. */
int veo_worker_start(veo_worker *worker, int fd, const char *from, const char *to, int overwrite,
                     void *tag);
/* Looks at a file; see veo_digest_file and veo_boxes_file. 0, or errno. */
int veo_worker_digest(veo_worker *worker, const char *path, void *tag);
/* The next that has ended; 0 when there is none. */
int veo_worker_collect(veo_worker *worker, veo_saved *saved);

#endif
