/* Works under way; see works.h. */
#include "works.h"

#include <errno.h>

static int open_worker(veo_works *works, veo_poller *poller)
{
  int error = works->worker ? 0 : veo_worker_open(&works->worker);
  if(error || poller->extra_fd >= 0)
    return error;
  if(!veo_poller_extra(poller, veo_worker_fd(works->worker))) {
    veo_works_close(works); /* the next work tries again: unwatched it would not wake a step */
    return ENOMEM;
  }
  return 0;
}

int veo_works_start(veo_works *works, veo_poller *poller, veo_work *work)
{
  int error = open_worker(works, poller);
  if(!error)
    error = veo_worker_start(works->worker, work);
  if(error)
    work->error = error; /* otherwise it is the thread's */
  return !error;
}

veo_work *veo_works_ended(const veo_works *works)
{
  return works->running.count ? veo_worker_collect(works->worker) : NULL;
}

void veo_works_close(veo_works *works)
{
  veo_worker_close(works->worker);
  works->worker = NULL;
}
