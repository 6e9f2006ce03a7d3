/* The engine; see engine.h. */
#include "engine.h"

#include "clock.h"
#include "deadline.h"
#include "ends.h"
#include "held.h"
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STARTS_A_TURN = 8 };  /* libcurl connects all it was given in one go: 0.1 ms each, ... */
enum { STARTS_A_FRAME = 1 }; /* ... 0.4 ms with TLS */
static const double LOOK_AGAIN = 0.02; /* seconds until a loop without a descriptor looks again */

/* -------------------------------------------------------------------- life */

const char *veo_engine_open(veo_engine *engine)
{
  veo_process_start();
  engine->forks = veo_process_forks();
  engine->owner = getpid();
  engine->wake_at = VEO_NEVER;
  engine->due = VEO_NEVER;
  engine->pace.stop = VEO_NEVER;
  engine->poller.fd = -1;
  engine->poller.timer_fd = -1;
  engine->poller.event_fd = -1;
  if(!veo_multi_open(&engine->multi, &engine->poller))
    return "out of memory";
  return veo_poller_open(&engine->poller);
}

void veo_engine_limit(veo_engine *engine, int max_in_flight)
{
  engine->max_in_flight = max_in_flight;
}

int veo_engine_is_ours(const veo_engine *engine)
{
  return engine->forks == veo_process_forks();
}

int veo_engine_may_close(const veo_engine *engine)
{
  return veo_engine_is_ours(engine) && engine->owner == getpid();
}

/* Ends an exchange, whatever its state. */
static void end_exchange(veo_engine *engine, veo_exchange *exchange)
{
  int submitted = exchange->op.state > VEO_STATE_PREPARED;
  if(exchange->op.state == VEO_STATE_ACTIVE)
    veo_engine_take_off(engine, exchange);
  if(exchange->op.state < VEO_STATE_DONE)
    veo_exchange_abandon(exchange, VEO_OUTCOME_CLOSED);
  if(submitted)
    veo_stats_count(&engine->stats, exchange);
}

static void free_list(veo_engine *engine, veo_list *list, int (*orphan)(veo_operation *operation))
{
  while(list->first) {
    veo_operation *operation = list->first;
    veo_list_remove(list, operation);
    if(!veo_is_work(operation))
      end_exchange(engine, veo_exchange_of(operation));
    if(!operation->owner || !orphan(operation))
      veo_operation_free(operation);
  }
}

/* Works under way are freed by their threads. */
static void abandon_works(veo_list *running, int (*orphan)(veo_operation *operation))
{
  while(running->first) {
    veo_operation *operation = running->first;
    veo_list_remove(running, operation);
    if(operation->owner)
      (void)orphan(operation);
    veo_worker_abandon(veo_work_of(operation));
  }
}

void veo_engine_close(veo_engine *engine, int (*orphan)(veo_operation *operation))
{
  veo_held guard;
  if(!engine->multi.poller)
    return;
  veo_hold(&guard, SIGPIPE); /* TLS writes to connections that may be gone */
  free_list(engine, &engine->active, orphan);
  free_list(engine, &engine->queued, orphan);
  free_list(engine, &engine->works.queued, orphan);
  abandon_works(&engine->works.running, orphan);
  free_list(engine, &engine->prepared, orphan);
  free_list(engine, &engine->done, orphan);
  free_list(engine, &engine->taken, orphan);
  free_list(engine, &engine->idle, orphan);
  free_list(engine, &engine->works.idle, orphan);
  veo_poller_closing(&engine->poller);
  veo_multi_close(&engine->multi);
  veo_let_go(&guard);
  veo_poller_close(&engine->poller);
  veo_works_close(&engine->works);
}

/* -------------------------------------------------------------------- work */

/* When deadlines are to be judged. */
static double due(const veo_engine *engine)
{
  return engine->active.count ? engine->due : VEO_NEVER;
}

static void begin_work(veo_engine *engine, veo_operation *operation)
{
  veo_engine_move(engine, operation, VEO_STATE_ACTIVE);
  if(!veo_works_start(&engine->works, &engine->poller, veo_work_of(operation)))
    veo_engine_move(engine, operation, VEO_STATE_DONE);
}

static void begin(veo_engine *engine, veo_exchange *exchange)
{
  veo_engine_move(engine, &exchange->op, VEO_STATE_ACTIVE);
  if(!veo_multi_add(&engine->multi, exchange)) {
    /* Nothing left: it was never added. */
    veo_engine_leave(engine, exchange);
    exchange->outcome = VEO_OUTCOME_NETWORK;
    exchange->result = CURLE_OUT_OF_MEMORY;
    veo_engine_move(engine, &exchange->op, VEO_STATE_DONE);
    return;
  }
  veo_deadline_begin(exchange, veo_now());
  veo_engine_judge_later(engine, exchange);
}

/* Exchanges that may be under way at a time. One that has had no answer for long takes no place: a hundred looks that
 * hang would hold up all others. That doubles the number at most. */
static int places(const veo_engine *engine)
{
  return engine->max_in_flight +
         (engine->slow < engine->max_in_flight ? engine->slow : engine->max_in_flight);
}

/* Starts at most `most` exchanges, in the order of submission. Those whose host is not known yet are passed over, but a
 * long queue is not searched to its end. */
static void pump(veo_engine *engine, int most)
{
  veo_operation *operation = engine->queued.first;
  int skipped = 0;
  int begun = 0;
  while(operation && begun < most && skipped < engine->max_in_flight &&
        engine->active.count < places(engine)) {
    veo_operation *next = operation->next;
    if(veo_hosts_open(&engine->hosts, veo_exchange_of(operation))) {
      begin(engine, veo_exchange_of(operation));
      begun++;
    } else {
      skipped++;
    }
    operation = next;
  }
  while(engine->works.queued.first && engine->works.running.count < VEO_MAX_WORKS)
    begin_work(engine, engine->works.queued.first);
  engine->eager = begun == most;
}

static void collect_works(veo_engine *engine)
{
  veo_work *work;
  while((work = veo_works_ended(&engine->works)) != NULL) {
    engine->eager |= engine->works.queued.count > 0;
    veo_engine_move(engine, &work->op, VEO_STATE_DONE);
  }
}

int veo_engine_waiting(const veo_engine *engine)
{
  return engine->done.count + (engine->news != NULL);
}

int veo_engine_room(const veo_engine *engine)
{
  return places(engine) - (engine->active.count + engine->queued.count - engine->files);
}

/* When a step is wanted, completions and libcurl's timers aside. */
static double wanted_at(const veo_engine *engine)
{
  if(engine->eager || engine->pace.stalled)
    return 0;
  return due(engine) < engine->wake_at ? due(engine) : engine->wake_at;
}

void veo_engine_publish(veo_engine *engine)
{
  veo_poller_publish(&engine->poller, wanted_at(engine), veo_engine_waiting(engine) > 0);
}

static void enqueue(veo_engine *engine, veo_operation *operation)
{
  veo_engine_move(engine, operation, VEO_STATE_QUEUED);
  engine->eager = 1;
  veo_engine_publish(engine);
}

void veo_engine_submit(veo_engine *engine, veo_exchange *exchange, const char *url)
{
  exchange->host = veo_hosts_find(&engine->hosts, url);
  /* Anything but plain http to loopback may meet TLS: here, at a proxy or behind a redirect. */
  if(exchange->tls || exchange->download || !veo_is_loopback(url))
    engine->poller.guarded = 1;
  if(exchange->download) {
    exchange->download->pace = &engine->pace;
    exchange->download->news = &engine->news;
  }
  engine->files += veo_is_file(exchange);
  enqueue(engine, &exchange->op);
}

void veo_engine_submit_work(veo_engine *engine, veo_work *work)
{
  enqueue(engine, &work->op);
}

/* How long step may sleep. */
static double sleep_limit(const veo_engine *engine, double until, const veo_exchange *awaited)
{
  if(awaited)
    return awaited->op.state >= VEO_STATE_DONE ? 0 : until;
  if(engine->done.count || engine->news)
    return 0;
  return engine->wake_at < until ? engine->wake_at : until;
}

/* Bytes that libcurl holds are handed over inside curl_easy_pause, which may end the exchange. A failed
 * allocation there breaks the multi handle as one in a turn does (see act in poller_epoll.c): the next turn
 * replaces it, and nothing is asked of it until then. */
static void go_on(veo_engine *engine, veo_exchange *exchange)
{
  veo_held guard;
  CURLcode result;
  if(engine->poller.broken)
    return;
  veo_hold(&guard, SIGPIPE); /* HTTP/2 writes that its window is open again */
  result = curl_easy_pause(exchange->easy, CURLPAUSE_CONT);
  engine->poller.broken = result == CURLE_ABORTED_BY_CALLBACK;
  if(result != CURLE_OK && !engine->poller.broken)
    veo_multi_remove(&engine->multi, exchange);
  veo_let_go(&guard);
  if(engine->poller.broken)
    engine->eager = 1;
  else if(result != CURLE_OK)
    veo_engine_end(engine, exchange, result);
}

/* Downloads go on that an earlier step stopped for want of time, in turn: once the time of this one is used up the
 * others stand still, and come first in the next. Each that goes on and stops at once has libcurl copy all that it
 * holds of it (over HTTP/2 up to 32 MiB: four files at once took 18 to 78 ms of a frame, measured). */
static void resume_stalled(veo_engine *engine)
{
  veo_operation *operation = engine->active.first;
  veo_operation *next;
  int left;
  engine->pace.stalled = 0;
  for(left = engine->active.count; left && operation; left--, operation = next) {
    veo_exchange *exchange = veo_exchange_of(operation);
    next = operation->next;
    if(!veo_is_stalled(exchange))
      continue;
    if(engine->pace.stalled) {
      engine->pace.stalled++;
      continue;
    }
    exchange->download->stalled = 0;
    veo_engine_move(engine, operation, VEO_STATE_ACTIVE);
    go_on(engine, exchange);
  }
}

/* How long libcurl may sleep: what was begun just now may have ended at once. */
static double turn_limit(const veo_engine *engine, double until, const veo_exchange *awaited)
{
  if(engine->eager || engine->pace.stalled)
    return 0; /* the next turn starts more */
  until = sleep_limit(engine, until, awaited);
  return due(engine) < until ? due(engine) : until;
}

/* Starts, lets libcurl work and collects, once. 0 when a signal came. */
static int turn(veo_engine *engine, double until, double stop, const veo_exchange *awaited)
{
  int awake;
  engine->pace.stop = stop;
  if(engine->pace.stalled)
    resume_stalled(engine);
  if(engine->eager)
    pump(engine, stop < VEO_NEVER ? STARTS_A_FRAME : STARTS_A_TURN);
  awake = veo_poller_run(&engine->poller, turn_limit(engine, until, awaited), stop);
  engine->pace.stop = VEO_NEVER;
  veo_engine_collect(engine);
  collect_works(engine);
  veo_engine_judge(engine);
  if(veo_hosts_learn(&engine->hosts))
    engine->eager |= engine->queued.count > 0; /* those that waited for the name may start */
  return awake;
}

/* Without sleeping, and for a bounded time: a thousand connections that become ready at once must not
 * take one frame of the host. */
static void step_now(veo_engine *engine)
{
  double now = veo_now();
  double stop = now + engine->frame_budget;
  /* Nothing to ask the system for. A foreign loop that found the descriptor readable must not find it
   * so forever: newer libcurls also watch connections of the past while they close. */
  if(!veo_engine_active(engine) && !engine->eager && !engine->pace.stalled &&
     !engine->poller.watched && veo_poller_deadline(&engine->poller) > now)
    return;
  do
    (void)turn(engine, 0, stop, NULL);
  while((engine->eager || veo_poller_deadline(&engine->poller) <= now) && (now = veo_now()) < stop);
}

/* A blocking call waits for no place: streams may hold them all, and the script that is to read them
 * waits here. */
static void hurry(veo_engine *engine, veo_exchange *awaited)
{
  if(awaited && awaited->op.state == VEO_STATE_QUEUED && veo_hosts_open(&engine->hosts, awaited))
    begin(engine, awaited);
}

static void step_until(veo_engine *engine, double until, veo_exchange *awaited)
{
  double limit = until;
  int awake;
  do {
    hurry(engine, awaited);
    awake = turn(engine, limit, VEO_NEVER, awaited);
    limit = sleep_limit(engine, until, awaited);
  } while(awake && limit > veo_now());
}

void veo_engine_step(veo_engine *engine, double until, veo_exchange *awaited)
{
  double limit = sleep_limit(engine, until, awaited);
  if(limit <= veo_now() && !awaited)
    step_now(engine);
  else
    step_until(engine, limit, awaited);
  veo_engine_publish(engine);
}

void veo_engine_resume(veo_engine *engine, veo_exchange *exchange)
{
  if(exchange->op.state != VEO_STATE_ACTIVE || !veo_is_paused(exchange))
    return;
  exchange->download->stream.paused = 0;
  go_on(engine, exchange);
  veo_engine_publish(engine);
}

/* Cuts an exchange that has not ended; 0 when it may not be cut. */
static int cut(veo_engine *engine, veo_exchange *exchange)
{
  if(exchange->op.state == VEO_STATE_ACTIVE) {
    exchange->sent = veo_exchange_sent(exchange);
    if(exchange->call.billable && exchange->sent != VEO_SENT_NO)
      return 0;
    veo_engine_take_off(engine, exchange);
    veo_engine_leave(engine, exchange);
  } else {
    engine->files -= veo_is_file(exchange);
  }
  exchange->outcome = VEO_OUTCOME_CANCELLED;
  return 1;
}

int veo_engine_cancel(veo_engine *engine, veo_operation *operation)
{
  if(operation->state != VEO_STATE_QUEUED && operation->state != VEO_STATE_ACTIVE)
    return 0;
  if(veo_is_work(operation) ? operation->state == VEO_STATE_ACTIVE
                            : !cut(engine, veo_exchange_of(operation)))
    return 0;
  veo_engine_move(engine, operation, VEO_STATE_DONE);
  veo_engine_publish(engine);
  return 1;
}

void veo_engine_wake_at(veo_engine *engine, double deadline)
{
  engine->wake_at = deadline;
  veo_engine_publish(engine);
}

double veo_engine_deadline(const veo_engine *engine, int waiting)
{
  double deadline = wanted_at(engine);
  double libcurl = veo_poller_deadline(&engine->poller);
  double look = veo_now() + LOOK_AGAIN;
  if(libcurl < deadline)
    deadline = libcurl;
  /* Without a descriptor nobody is told of an answer that comes, or of a wait that somebody ends. */
  if((waiting || veo_engine_active(engine)) && engine->poller.fd < 0 && look < deadline)
    deadline = look;
  return veo_engine_waiting(engine) ? 0 : deadline;
}

int veo_engine_pollfd(veo_engine *engine)
{
  int fd = veo_poller_fd(&engine->poller);
  veo_engine_publish(engine);
  return fd;
}
