/* Exchanges into the engine and their results out of it; see engine.h. */
#include "engine.h"

/* Takes it out of the list of those that have news. */
static void drop_news(veo_engine *engine, veo_exchange *exchange)
{
  veo_exchange **at = &engine->news;
  if(!exchange->has_news)
    return;
  while(*at != exchange)
    at = &(*at)->news_next;
  *at = exchange->news_next;
  exchange->has_news = 0;
}

veo_exchange *veo_engine_acquire(veo_engine *engine, veo_kind kind)
{
  veo_exchange *exchange = engine->idle.first;
  /* The last released is the likeliest to fit; a poll follows a poll. */
  if(engine->idle.last && engine->idle.last->kind == kind)
    exchange = engine->idle.last;
  if(exchange) {
    veo_engine_move(engine, exchange, VEO_STATE_PREPARED);
    return exchange;
  }
  exchange = veo_exchange_new();
  if(exchange) {
    exchange->slot = ++engine->slots;
    exchange->pace = &engine->pace;
    exchange->poller = &engine->poller;
    exchange->state = VEO_STATE_PREPARED;
    veo_list_append(&engine->prepared, exchange);
    veo_exchange_recycle(exchange);
    exchange->news = &engine->news;
  }
  return exchange;
}

void veo_engine_release(veo_engine *engine, veo_exchange *exchange)
{
  drop_news(engine, exchange);
  veo_exchange_recycle(exchange);
  if(engine->idle.count > engine->max_in_flight) {
    veo_list_remove(veo_list_of(engine, exchange), exchange);
    veo_exchange_free(exchange);
    return;
  }
  veo_engine_move(engine, exchange, VEO_STATE_IDLE);
}

veo_exchange *veo_engine_take(veo_engine *engine)
{
  veo_exchange *exchange;
  while((exchange = engine->done.first) != NULL && !exchange->owner)
    veo_engine_release(engine, exchange);
  if(exchange)
    veo_engine_hand_out(engine, exchange);
  return exchange;
}

veo_exchange *veo_engine_take_news(veo_engine *engine)
{
  veo_exchange *exchange;
  while((exchange = engine->news) != NULL) {
    drop_news(engine, exchange);
    if(exchange->state == VEO_STATE_ACTIVE && exchange->owner)
      break;
  }
  veo_engine_publish(engine);
  return exchange;
}

void veo_engine_hand_out(veo_engine *engine, veo_exchange *exchange)
{
  if(exchange->state == VEO_STATE_DONE)
    veo_engine_move(engine, exchange, VEO_STATE_TAKEN);
  veo_engine_publish(engine);
}
