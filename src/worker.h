/* What takes longer than a frame and needs no Lua, on short threads: fsync and rename at a download's
 * end (37 ms for 64 MiB, measured), and what tells a file. The threads touch neither Lua nor libcurl. */
#ifndef VEO_WORKER_H
#define VEO_WORKER_H

#include "boxes.h"
#include "digest.h"
#include "operation.h"
#include "sink.h"

typedef struct veo_worker veo_worker;

/* One work. From its start until it is collected all of it is its thread's, but for `op` and the sink. */
typedef struct veo_work {
  veo_operation op;      /* first: a pointer to either points at both */
  struct veo_work *next; /* among those that have ended */
  veo_worker *worker;
  char *path;        /* the file */
  int error;         /* errno, or 0 */
  const char *stage; /* what failed: a constant text */
  struct {
    veo_sink *sink; /* holds the file's lock until the result is read */
    int fd;         /* its descriptor once more; -1 without a thread */
    char *to;
    int overwrite;
    int unsynced; /* the file system cannot sync */
  } save;
  struct {
    double size;
    char text[VEO_DIGEST_TEXT];
    veo_boxes boxes;
  } digest;
} veo_work;

/* The work of an operation that is one. */
static inline veo_work *veo_work_of(veo_operation *operation)
{
  return (veo_work *)operation;
}

/* A new work, or NULL. */
veo_work *veo_work_new(void);
void veo_work_free(veo_work *work);
/* Empties it for the pool. */
void veo_work_recycle(veo_work *work);
/* To sync the sink's file and to move it to `to`. 0 when memory is short. */
int veo_work_save(veo_work *work, veo_sink *sink, const char *to, int overwrite);
/* To look at a file; see veo_digest_file and veo_boxes_file. 0 when memory is short. */
int veo_work_digest(veo_work *work, const char *path);

/* 0, or errno when memory or descriptors are short. */
int veo_worker_open(veo_worker **out);
/* Works under way go on to their end and are freed there. */
void veo_worker_close(veo_worker *worker);
/* Readable while a work that has ended waits to be collected. */
int veo_worker_fd(const veo_worker *worker);
/* Starts a work on a thread of its own. 0, or errno. */
int veo_worker_start(veo_worker *worker, veo_work *work);
/* The next that has ended, or NULL. */
veo_work *veo_worker_collect(veo_worker *worker);
/* Nobody waits for a work under way any more: its thread frees it. To be called before the worker is closed. */
void veo_worker_abandon(veo_work *work);

#endif
