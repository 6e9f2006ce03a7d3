/* Saves under way; see saves.h. */
#include "saves.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

static int open_saver(veo_saves *saves, veo_poller *poller)
{
  int error = saves->worker ? 0 : veo_worker_open(&saves->worker);
  if(error || poller->extra_fd >= 0)
    return error;
  if(!veo_poller_extra(poller, veo_worker_fd(saves->worker))) {
    veo_saves_close(saves); /* the next save tries again: unwatched it would not wake a step */
    return ENOMEM;
  }
  return 0;
}

static int start(veo_saves *saves, veo_poller *poller, veo_exchange *exchange)
{
  int fd;
  int error = open_saver(saves, poller);
  if(error)
    return error;
  if(!exchange->sink)
    return veo_worker_digest(saves->worker, exchange->save_to, exchange);
  fd = fcntl(exchange->sink->fd, F_DUPFD_CLOEXEC, 0);
  if(fd < 0)
    return errno;
  return veo_worker_start(saves->worker, fd, exchange->sink->path, exchange->save_to,
                          exchange->overwrite, exchange);
}

static void end(veo_exchange *exchange, int error, const char *stage)
{
  exchange->outcome = error ? VEO_OUTCOME_IO : VEO_OUTCOME_REPLY;
  exchange->io_error = error;
  exchange->io_stage = stage;
}

int veo_saves_start(veo_saves *saves, veo_poller *poller, veo_exchange *exchange)
{
  int error = start(saves, poller, exchange);
  if(error)
    end(exchange, error, "starting to save");
  else
    saves->running++;
  return !error;
}

veo_exchange *veo_saves_ended(veo_saves *saves)
{
  veo_saved saved;
  veo_exchange *exchange;
  if(!saves->running || !veo_worker_collect(saves->worker, &saved))
    return NULL;
  saves->running--;
  exchange = saved.tag;
  exchange->unsynced = saved.unsynced;
  exchange->total = (curl_off_t)saved.size;
  memcpy(exchange->digest, saved.digest, sizeof exchange->digest);
  exchange->boxes = saved.boxes;
  end(exchange, saved.error, saved.stage);
  return exchange;
}

void veo_saves_close(veo_saves *saves)
{
  veo_worker_close(saves->worker);
  saves->worker = NULL;
}
