/* What a script starts and a transfer stands for: an exchange with a server (exchange.h), or a work for a thread
 * (worker.h), whose first member it is. */
#ifndef VEO_OPERATION_H
#define VEO_OPERATION_H

typedef enum {
  VEO_KIND_NONE, /* an exchange in the pool */
  VEO_KIND_STATUS,
  VEO_KIND_CALL, /* any other call of the API */
  VEO_KIND_DOWNLOAD,
  VEO_KIND_UPLOAD,
  VEO_KIND_WARM,
  VEO_KIND_SAVE, /* from here on it is a work */
  VEO_KIND_DIGEST
} veo_kind;

typedef enum {
  VEO_STATE_IDLE,
  VEO_STATE_PREPARED,
  VEO_STATE_QUEUED,
  VEO_STATE_ACTIVE,
  VEO_STATE_DONE, /* ended */
  VEO_STATE_TAKEN /* ended and handed out */
} veo_state;

typedef struct veo_operation {
  struct veo_operation *prev; /* neighbours in the engine's list of its state */
  struct veo_operation *next;
  void *owner; /* the transfer that script holds, or NULL: a blocking call's, or nobody's */
  int slot;    /* its number in the engine, from 1, for life */
  veo_kind kind;
  veo_state state;
} veo_operation;

static inline int veo_is_work(const veo_operation *operation)
{
  return operation->kind >= VEO_KIND_SAVE;
}

#endif
