/* Operations into the engine and their results out of it; see engine.h. */
#include "engine.h"

/* Takes it out of the list of those that have news. */
static void drop_news(veo_engine *engine, veo_exchange *exchange)
{
  veo_exchange **at = &engine->news;
  if(!exchange->download || !exchange->download->has_news)
    return;
  while(*at != exchange)
    at = &(*at)->download->news_next;
  *at = exchange->download->news_next;
  exchange->download->has_news = 0;
}

/* A new one gets its number. */
static void enter(veo_engine *engine, veo_operation *operation)
{
  operation->slot = ++engine->slots;
  operation->state = VEO_STATE_PREPARED;
  veo_list_append(&engine->prepared, operation);
}

veo_exchange *veo_engine_acquire(veo_engine *engine, veo_kind kind)
{
  veo_operation *idle = engine->idle.first;
  veo_exchange *exchange;
  /* The last released is the likeliest to fit; a poll follows a poll. */
  if(engine->idle.last && engine->idle.last->kind == kind)
    idle = engine->idle.last;
  if(idle) {
    veo_engine_move(engine, idle, VEO_STATE_PREPARED);
    return veo_exchange_of(idle);
  }
  exchange = veo_exchange_new();
  if(exchange) {
    exchange->poller = &engine->poller;
    enter(engine, &exchange->op);
  }
  return exchange;
}

veo_work *veo_engine_acquire_work(veo_engine *engine, veo_kind kind)
{
  veo_work *work;
  if(engine->works.idle.first) {
    work = veo_work_of(engine->works.idle.first);
    veo_engine_move(engine, &work->op, VEO_STATE_PREPARED);
  } else {
    work = veo_work_new();
    if(!work)
      return NULL;
    enter(engine, &work->op);
  }
  work->op.kind = kind;
  return work;
}

void veo_engine_release(veo_engine *engine, veo_operation *operation)
{
  if(veo_is_work(operation)) {
    veo_work_recycle(veo_work_of(operation));
  } else {
    if(operation->state > VEO_STATE_PREPARED)
      veo_stats_count(&engine->stats, veo_exchange_of(operation));
    drop_news(engine, veo_exchange_of(operation));
    veo_exchange_recycle(veo_exchange_of(operation));
  }
  veo_engine_move(engine, operation, VEO_STATE_IDLE);
  if(veo_list_of(engine, operation)->count > engine->max_in_flight) {
    veo_list_remove(veo_list_of(engine, operation), operation);
    veo_operation_free(operation);
  }
}

veo_operation *veo_engine_take(veo_engine *engine)
{
  veo_operation *operation;
  while((operation = engine->done.first) != NULL && !operation->owner)
    veo_engine_release(engine, operation);
  if(operation)
    veo_engine_hand_out(engine, operation);
  return operation;
}

veo_operation *veo_engine_take_news(veo_engine *engine)
{
  veo_operation *operation = NULL;
  while(engine->news && !operation) {
    veo_exchange *exchange = engine->news;
    drop_news(engine, exchange);
    if(exchange->op.state == VEO_STATE_ACTIVE && exchange->op.owner)
      operation = &exchange->op;
  }
  veo_engine_publish(engine);
  return operation;
}

void veo_engine_hand_out(veo_engine *engine, veo_operation *operation)
{
  if(operation->state == VEO_STATE_DONE)
    veo_engine_move(engine, operation, VEO_STATE_TAKEN);
  veo_engine_publish(engine);
}
