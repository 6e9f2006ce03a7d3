/* The engine's list for each state of an exchange. */
#ifndef VEO_STATES_H
#define VEO_STATES_H

#include "engine.h"

static inline veo_list *veo_list_of(veo_engine *engine, const veo_exchange *exchange)
{
  switch(exchange->state) {
  case VEO_STATE_IDLE:
    return &engine->idle;
  case VEO_STATE_PREPARED:
    return &engine->prepared;
  case VEO_STATE_QUEUED:
    return exchange->kind == VEO_KIND_SAVE ? &engine->saves_queued : &engine->queued;
  case VEO_STATE_ACTIVE:
    return &engine->active;
  case VEO_STATE_TAKEN:
    return &engine->taken;
  default:
    return &engine->done;
  }
}

/* Moves between the lists of states. The state must still be the one whose list holds it. */
static inline void veo_engine_move(veo_engine *engine, veo_exchange *exchange, veo_state state)
{
  veo_list_remove(veo_list_of(engine, exchange), exchange);
  exchange->state = state;
  veo_list_append(veo_list_of(engine, exchange), exchange);
}

#endif
