/* The data of an engine: its parts, and a list for each state of an operation. Its functions: engine.h. No Lua. */
#ifndef VEO_ENGINE_STATE_H
#define VEO_ENGINE_STATE_H

#include <sys/types.h>

#include "exchange.h"
#include "hosts.h"
#include "list.h"
#include "multi.h"
#include "poller.h"
#include "stats.h"
#include "works.h"

typedef struct {
  veo_multi multi;
  veo_poller poller;
  veo_works works;
  pid_t owner;
  int forks; /* of the process that made it: after one more nothing of it may be touched */
  int max_in_flight;
  int files; /* downloads and uploads submitted and not ended */
  int slow;  /* calls under way that take no place any more */
  veo_pace pace;
  double frame_budget; /* seconds a step without sleep spends in libcurl */
  int slots;           /* numbers given to operations */
  int eager;           /* something queued may be able to start */
  double wake_at;
  double due; /* when to judge the deadlines of exchanges again, or before: some may have ended */
  int behind; /* turns that they have waited for libcurl to read what is there */
  veo_list prepared;
  veo_list queued; /* exchanges; works have lists of their own */
  veo_list active;
  veo_list done;  /* ended and not taken yet */
  veo_list taken; /* ended and taken, held by the transfer that will read its result */
  veo_list idle;
  veo_exchange
      *news; /* downloads whose owner has something to look at, though they have not ended */
  veo_hosts hosts;
  veo_stats stats;
} veo_engine;

static inline veo_list *veo_list_of(veo_engine *engine, const veo_operation *operation)
{
  int is_work = veo_is_work(operation);
  switch(operation->state) {
  case VEO_STATE_IDLE:
    return is_work ? &engine->works.idle : &engine->idle;
  case VEO_STATE_PREPARED:
    return &engine->prepared;
  case VEO_STATE_QUEUED:
    return is_work ? &engine->works.queued : &engine->queued;
  case VEO_STATE_ACTIVE:
    return is_work ? &engine->works.running : &engine->active;
  case VEO_STATE_TAKEN:
    return &engine->taken;
  default:
    return &engine->done;
  }
}

/* Moves between the lists of states. The state must still be the one whose list holds it. */
static inline void veo_engine_move(veo_engine *engine, veo_operation *operation, veo_state state)
{
  veo_list_remove(veo_list_of(engine, operation), operation);
  operation->state = state;
  veo_list_append(veo_list_of(engine, operation), operation);
}

/* Frees one that the engine has let go of. */
static inline void veo_operation_free(veo_operation *operation)
{
  if(veo_is_work(operation))
    veo_work_free(veo_work_of(operation));
  else
    veo_exchange_free(veo_exchange_of(operation));
}

/* Exchanges and works under way. */
static inline int veo_engine_active(const veo_engine *engine)
{
  return engine->active.count + engine->works.running.count;
}

#endif
