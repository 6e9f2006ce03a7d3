/* Works of the worker: those that wait for a thread, and those under way. */
#ifndef VEO_WORKS_H
#define VEO_WORKS_H

#include "list.h"
#include "poller.h"
#include "worker.h"

enum { VEO_MAX_WORKS = 4 }; /* threads at a time; a disk gains nothing from more */

typedef struct {
  veo_worker *worker; /* made at the first work */
  veo_list queued;
  veo_list running;
  veo_list idle;
} veo_works;

/* 0 when it has ended at once, with the reason in it. */
int veo_works_start(veo_works *works, veo_poller *poller, veo_work *work);
/* The next that has ended, or NULL. */
veo_work *veo_works_ended(const veo_works *works);
void veo_works_close(veo_works *works);

#endif
