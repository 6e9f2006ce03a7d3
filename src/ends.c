/* How exchanges leave libcurl; see ends.h. */
#include "ends.h"

#include "clock.h"
#include "deadline.h"
#include "defaults.h"
#include "held.h"

enum { CATCH_UP = 60 }; /* turns that deadlines wait for unread sockets */

/* Takes it away from libcurl. What a paused HTTP/2 stream holds is read and thrown away first: libcurl 7.88 would
 * leak it (16 MB a time, measured). */
void veo_engine_take_off(veo_engine *engine, veo_exchange *exchange)
{
  veo_held guard;
  veo_hold(&guard, SIGPIPE); /* it writes to connections that may be gone */
  /* What it meets there is not why the exchange ends. */
  (void)curl_easy_setopt(exchange->easy, CURLOPT_ERRORBUFFER, NULL);
  if(veo_is_stalled(exchange) || veo_is_paused(exchange)) {
    exchange->download->discarded = 1;
    (void)curl_easy_pause(exchange->easy, CURLPAUSE_CONT);
  }
  veo_multi_remove(&engine->multi, exchange);
  veo_let_go(&guard);
}

/* It is no longer under way. */
void veo_engine_leave(veo_engine *engine, const veo_exchange *exchange)
{
  engine->files -= veo_is_file(exchange);
  engine->slow -= exchange->slow;
  engine->eager |= engine->queued.count > 0; /* a place is free */
  veo_hosts_leave(&engine->hosts, exchange);
}

void veo_engine_judge_later(veo_engine *engine, const veo_exchange *exchange)
{
  double next = veo_deadline_next(exchange);
  if(next < engine->due)
    engine->due = next;
}

/* libcurl has let go of the handle. */
void veo_engine_end(veo_engine *engine, veo_exchange *exchange, CURLcode result)
{
  /* Its HTTP/2 session may be spoilt, by a failed allocation for one, and libcurl keeps it. */
  if(result == CURLE_OUT_OF_MEMORY || result == CURLE_SEND_ERROR || result == CURLE_HTTP2)
    veo_connections_leave(&engine->poller.connections, exchange->easy, 0, 0);
  veo_engine_leave(engine, exchange);
  veo_list_remove(&engine->active, &exchange->op);
  veo_exchange_finish(exchange, result);
  veo_list_append(&engine->done, &exchange->op);
}

static void collect_ended(veo_engine *engine)
{
  CURLcode result;
  veo_exchange *exchange;
  while((exchange = veo_multi_ended(&engine->multi, &result)) != NULL)
    veo_engine_end(engine, exchange, result);
}

/* Replaces a multi handle in which libcurl failed; all that is under way in it ends. */
static void replace_broken(veo_engine *engine)
{
  veo_held guard;
  veo_hold(&guard, SIGPIPE); /* TLS writes to connections that may be gone */
  while(engine->active.first) {
    veo_exchange *exchange = veo_exchange_of(engine->active.first);
    veo_multi_remove(&engine->multi, exchange);
    veo_engine_end(engine, exchange, CURLE_OUT_OF_MEMORY);
  }
  veo_multi_renew(&engine->multi);
  veo_let_go(&guard);
}

void veo_engine_collect(veo_engine *engine)
{
  collect_ended(engine);
  if(engine->poller.broken)
    replace_broken(engine);
}

/* True while libcurl has not read all that is there: a turn looks at a limited number of sockets, and a frame at fewer
 * (of a hundred orders whose host did not step for long, 94 lost answers that lay in their sockets, measured). For
 * CATCH_UP turns at most, because a slow host is always behind. */
static int is_behind(veo_engine *engine, double now)
{
  if(engine->behind < CATCH_UP &&
     (engine->poller.behind || veo_poller_deadline(&engine->poller) <= now)) {
    engine->behind++;
    return 1;
  }
  engine->behind = 0;
  return 0;
}

static long local_port(const veo_exchange *exchange)
{
  long port = 0;
  curl_easy_getinfo(exchange->easy, CURLINFO_LOCAL_PORT, &port);
  return port;
}

/* Seconds that went into a connection of its own: what came meanwhile was its handshake. */
static double connecting(const veo_exchange *exchange)
{
  curl_off_t microseconds = 0;
  curl_easy_getinfo(exchange->easy, CURLINFO_APPCONNECT_TIME_T, &microseconds);
  return (double)microseconds / 1e6;
}

/* The silence that others on its connection have to grant it. */
static double patience(const veo_exchange *exchange)
{
  double seconds = (double)exchange->timeout_ms / 1000.0;
  return exchange->timeout_ms && seconds < VEO_SLOW ? seconds : VEO_SLOW;
}

/* The exchange met silence for so long: its connection may be dead. Over HTTP/1.1 it goes with the exchange. Over
 * HTTP/2 a reader may hold back a stream on it, which makes the silence (a look without an answer for two seconds
 * had such a download cut); and others may wait for their answers on it, who must not go because somebody else
 * had less time. */
static void leave_connection(veo_engine *engine, const veo_exchange *exchange, double silence)
{
  veo_operation *operation;
  long port = local_port(exchange);
  int held = 0;
  if(!port || exchange->call.billable || !(exchange->tls || exchange->download))
    return;
  silence -= connecting(exchange);
  for(operation = engine->active.first; operation; operation = operation->next) {
    const veo_exchange *other = veo_exchange_of(operation);
    int more = patience(other) > silence;
    if(other == exchange || !(more || veo_is_paused(other)) || local_port(other) != port)
      continue;
    if(more)
      silence = patience(other);
    held |= veo_is_paused(other);
  }
  veo_connections_leave(&engine->poller.connections, exchange->easy, silence, held);
}

/* Ends those that have taken too long. Once libcurl has read what is there: an answer that lies in the socket
 * counts, however late this step comes. */
void veo_engine_judge(veo_engine *engine)
{
  double now = veo_now();
  veo_operation *operation;
  veo_operation *next;
  if(now < engine->due || is_behind(engine, now))
    return;
  engine->due = VEO_NEVER;
  for(operation = engine->active.first; operation; operation = next) {
    veo_exchange *exchange = veo_exchange_of(operation);
    int slow = exchange->slow;
    double silence = veo_deadline_passed(exchange, now);
    next = operation->next;
    engine->slow += exchange->slow - slow;
    engine->eager |= engine->queued.count > 0 && exchange->slow != slow;
    if(silence > 0) {
      leave_connection(engine, exchange, silence);
      veo_engine_take_off(engine, exchange);
      veo_engine_end(engine, exchange, CURLE_OPERATION_TIMEDOUT);
    } else {
      veo_engine_judge_later(engine, exchange);
    }
  }
}
