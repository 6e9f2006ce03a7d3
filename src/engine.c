/* The engine; see engine.h. */
#include "engine.h"

#include "clock.h"
#include "process.h"
#include "sigpipe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_SAVES = 4 };      /* threads that sync at a time; a disk gains nothing from more */
enum { STARTS_A_TURN = 8 };  /* libcurl connects all it was given in one go: 0.1 ms each, ... */
enum { STARTS_A_FRAME = 1 }; /* ... 0.4 ms with TLS */
static const double FRAME_SHARE = 0.0005; /* seconds a step without sleep spends in libcurl */

/* ------------------------------------------------------------------- lists */

static veo_list *list_of(veo_engine *engine, const veo_exchange *exchange)
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
static void move(veo_engine *engine, veo_exchange *exchange, veo_state state)
{
  veo_list_remove(list_of(engine, exchange), exchange);
  exchange->state = state;
  veo_list_append(list_of(engine, exchange), exchange);
}

/* -------------------------------------------------------------------- life */

const char *veo_engine_open(veo_engine *engine)
{
  veo_process_start();
  engine->forks = veo_process_forks();
  engine->owner = getpid();
  engine->wake_at = VEO_NEVER;
  engine->pace.stop = VEO_NEVER;
  engine->poller.fd = -1;
  engine->poller.timer_fd = -1;
  engine->poller.event_fd = -1;
  if(!veo_multis_open(&engine->multis, &engine->poller))
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

static void free_list(veo_engine *engine, veo_list *list, int (*orphan)(veo_exchange *exchange))
{
  while(list->first) {
    veo_exchange *exchange = list->first;
    if(exchange->state == VEO_STATE_ACTIVE && exchange->kind != VEO_KIND_SAVE)
      veo_multis_remove(&engine->multis, exchange);
    veo_list_remove(list, exchange);
    if(exchange->state < VEO_STATE_DONE)
      veo_exchange_abandon(exchange, VEO_OUTCOME_CLOSED);
    if(!exchange->owner || !orphan(exchange))
      veo_exchange_free(exchange);
  }
}

void veo_engine_close(veo_engine *engine, int (*orphan)(veo_exchange *exchange))
{
  veo_sigpipe guard;
  if(!engine->multis.count)
    return;
  veo_sigpipe_block(&guard); /* TLS says goodbye on connections that may be gone */
  free_list(engine, &engine->active, orphan);
  free_list(engine, &engine->queued, orphan);
  free_list(engine, &engine->saves_queued, orphan);
  free_list(engine, &engine->prepared, orphan);
  free_list(engine, &engine->done, orphan);
  free_list(engine, &engine->taken, orphan);
  free_list(engine, &engine->idle, orphan);
  veo_poller_closing(&engine->poller);
  veo_multis_close(&engine->multis);
  veo_sigpipe_restore(&guard);
  veo_poller_close(&engine->poller);
  veo_saver_close(engine->saver);
  engine->saver = NULL;
}

/* -------------------------------------------------------------------- pool */

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
    move(engine, exchange, VEO_STATE_PREPARED);
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
    veo_list_remove(list_of(engine, exchange), exchange);
    veo_exchange_free(exchange);
    return;
  }
  move(engine, exchange, VEO_STATE_IDLE);
}

/* ------------------------------------------------------------------ saving */

static int start_save(veo_engine *engine, veo_exchange *exchange)
{
  int fd;
  if(!engine->saver) {
    engine->saver = veo_saver_open();
    if(!engine->saver)
      return errno; /* of calloc or pipe */
    if(!veo_poller_extra(&engine->poller, veo_saver_fd(engine->saver))) {
      veo_saver_close(
          engine->saver); /* the next save tries again: unwatched it would not wake a step */
      engine->saver = NULL;
      return ENOMEM;
    }
  }
  if(exchange->program)
    return veo_saver_program(engine->saver, exchange->request.data, exchange->request.length,
                             exchange->timeout_ms, exchange);
  fd = fcntl(exchange->sink->fd, F_DUPFD_CLOEXEC, 0);
  if(fd < 0)
    return errno;
  return veo_saver_start(engine->saver, fd, exchange->sink->path, exchange->save_to,
                         exchange->overwrite, exchange);
}

static void end_save(veo_engine *engine, veo_exchange *exchange, int error, const char *stage)
{
  exchange->outcome = error ? VEO_OUTCOME_IO : VEO_OUTCOME_REPLY;
  exchange->io_error = error;
  exchange->io_stage = stage;
  move(engine, exchange, VEO_STATE_DONE);
}

static void collect_saves(veo_engine *engine)
{
  veo_saved saved;
  while(engine->saves && veo_saver_collect(engine->saver, &saved)) {
    veo_exchange *exchange = saved.tag;
    engine->saves--;
    engine->eager |= engine->saves_queued.count > 0;
    exchange->status = saved.status;
    (void)veo_buffer_append(&exchange->reply, saved.text, strlen(saved.text));
    end_save(engine, exchange, saved.error, saved.stage);
  }
}

/* -------------------------------------------------------------------- work */

static int is_file(const veo_exchange *exchange)
{
  return exchange->kind == VEO_KIND_DOWNLOAD || exchange->kind == VEO_KIND_UPLOAD;
}

/* It is under way no more. */
static void leave_host(veo_engine *engine, const veo_exchange *exchange)
{
  engine->files -= is_file(exchange);
  engine->eager |= engine->queued.count > 0; /* a place is free */
  veo_hosts_leave(&engine->hosts, exchange);
}

static void begin(veo_engine *engine, veo_exchange *exchange)
{
  move(engine, exchange, VEO_STATE_ACTIVE);
  if(exchange->kind == VEO_KIND_SAVE) {
    int error = start_save(engine, exchange);
    if(error)
      end_save(engine, exchange, error, "starting to save");
    else
      engine->saves++;
  } else if(!veo_multis_add(&engine->multis, exchange)) {
    /* Nothing left: it was never added. */
    leave_host(engine, exchange);
    exchange->outcome = VEO_OUTCOME_NETWORK;
    exchange->result = CURLE_OUT_OF_MEMORY;
    move(engine, exchange, VEO_STATE_DONE);
  }
}

/* Starts what may start, at most so many, in the order of submission. Behind a closed
 * host others are looked for, but not through the whole of a long queue. */
static void pump(veo_engine *engine, int most)
{
  veo_exchange *exchange = engine->queued.first;
  int skipped = 0;
  int begun = 0;
  while(exchange && begun < most && skipped < engine->max_in_flight &&
        engine->active.count - engine->saves < engine->max_in_flight) {
    veo_exchange *next = exchange->next;
    if(veo_hosts_open(&engine->hosts, exchange)) {
      begin(engine, exchange);
      begun++;
    } else {
      skipped++;
    }
    exchange = next;
  }
  while(engine->saves_queued.first && engine->saves < MAX_SAVES)
    begin(engine, engine->saves_queued.first);
  engine->eager = begun == most;
}

/* libcurl has let go of the handle. */
static void end_exchange(veo_engine *engine, veo_exchange *exchange, CURLcode result)
{
  leave_host(engine, exchange);
  veo_list_remove(&engine->active, exchange);
  veo_exchange_finish(exchange, result);
  veo_list_append(&engine->done, exchange);
}

static void collect(veo_engine *engine)
{
  CURLcode result;
  veo_exchange *exchange;
  while((exchange = veo_multis_ended(&engine->multis, &result)) != NULL)
    end_exchange(engine, exchange, result);
}

int veo_engine_waiting(const veo_engine *engine)
{
  return engine->done.count + (engine->news != NULL);
}

int veo_engine_room(const veo_engine *engine)
{
  return engine->max_in_flight -
         (engine->active.count - engine->saves + engine->queued.count - engine->files);
}

static void publish(veo_engine *engine)
{
  veo_poller_publish(&engine->poller, engine->eager || engine->pace.stalled ? 0 : engine->wake_at,
                     veo_engine_waiting(engine) > 0);
}

void veo_engine_submit(veo_engine *engine, veo_exchange *exchange, const char *url)
{
  exchange->host = veo_hosts_find(&engine->hosts, url);
  /* Anything but plain http to loopback may meet TLS: here, at a proxy or behind a redirect. */
  if(url && (exchange->tls || exchange->kind == VEO_KIND_DOWNLOAD || !veo_is_loopback(url)))
    engine->poller.guarded = 1;
  engine->files += is_file(exchange);
  move(engine, exchange, VEO_STATE_QUEUED);
  engine->eager = 1;
  publish(engine);
}

/* How long step may sleep. */
static double sleep_limit(const veo_engine *engine, double until, const veo_exchange *awaited)
{
  if(awaited)
    return awaited->state >= VEO_STATE_DONE ? 0 : until;
  if(engine->done.count || engine->news)
    return 0;
  return engine->wake_at < until ? engine->wake_at : until;
}

/* Bytes that libcurl holds are handed over inside curl_easy_pause, which may end the exchange. */
static void go_on(veo_engine *engine, veo_exchange *exchange)
{
  veo_sigpipe guard;
  CURLcode result;
  veo_sigpipe_block(&guard); /* HTTP/2 writes that its window is open again */
  result = curl_easy_pause(exchange->easy, CURLPAUSE_CONT);
  if(result != CURLE_OK)
    veo_multis_remove(&engine->multis, exchange);
  veo_sigpipe_restore(&guard);
  if(result != CURLE_OK)
    end_exchange(engine, exchange, result);
}

/* Lets downloads go on that a step before had no more time for. */
static void resume_stalled(veo_engine *engine)
{
  veo_exchange *exchange;
  veo_exchange *next;
  engine->pace.stalled = 0;
  for(exchange = engine->active.first; exchange; exchange = next) {
    next = exchange->next;
    if(exchange->stalled) {
      exchange->stalled = 0;
      go_on(engine, exchange);
    }
  }
}

/* Starts, lets libcurl work and collects, once. 0 when a signal came. */
static int turn(veo_engine *engine, double until, double stop)
{
  int awake;
  engine->pace.stop = stop;
  if(engine->pace.stalled)
    resume_stalled(engine);
  if(engine->eager)
    pump(engine, stop < VEO_NEVER ? STARTS_A_FRAME : STARTS_A_TURN);
  if(engine->eager)
    until = 0; /* the next turn starts more */
  if(engine->pace.stalled)
    until = 0;
  awake = veo_poller_run(&engine->poller, until, stop);
  engine->pace.stop = VEO_NEVER;
  collect(engine);
  collect_saves(engine);
  if(veo_hosts_learn(&engine->hosts))
    engine->eager |= engine->queued.count > 0; /* those that waited for the name may start */
  return awake;
}

/* Without sleeping, and for a bounded time: a thousand connections that become ready at once must not
 * take one frame of the host. */
static void step_now(veo_engine *engine)
{
  double now = veo_now();
  double stop = now + FRAME_SHARE;
  /* Nothing to ask the system for. A foreign loop that found the descriptor readable must not find it
   * so forever: newer libcurls also watch connections of the past while they close. */
  if(!engine->active.count && !engine->eager && !engine->pace.stalled && !engine->poller.watched &&
     veo_poller_deadline(&engine->poller) > now)
    return;
  do
    (void)turn(engine, 0, stop);
  while((engine->eager || veo_poller_deadline(&engine->poller) <= now) && (now = veo_now()) < stop);
}

/* A blocking call waits for no place: streams may hold them all, and the script that is to read them
 * waits here. */
static void hurry(veo_engine *engine, veo_exchange *awaited)
{
  if(awaited && awaited->state == VEO_STATE_QUEUED && veo_hosts_open(&engine->hosts, awaited))
    begin(engine, awaited);
}

static void step_until(veo_engine *engine, double until, veo_exchange *awaited)
{
  double limit = until;
  int awake;
  do {
    hurry(engine, awaited);
    awake = turn(engine, limit, VEO_NEVER);
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
  publish(engine);
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
  publish(engine);
  return exchange;
}

void veo_engine_resume(veo_engine *engine, veo_exchange *exchange)
{
  if(exchange->state != VEO_STATE_ACTIVE || !exchange->stream.paused)
    return;
  exchange->stream.paused = 0;
  go_on(engine, exchange);
  publish(engine);
}

void veo_engine_hand_out(veo_engine *engine, veo_exchange *exchange)
{
  if(exchange->state == VEO_STATE_DONE)
    move(engine, exchange, VEO_STATE_TAKEN);
  publish(engine);
}

int veo_engine_cancel(veo_engine *engine, veo_exchange *exchange)
{
  if(exchange->state == VEO_STATE_ACTIVE) {
    veo_sigpipe guard;
    if(exchange->kind == VEO_KIND_SAVE)
      return veo_saver_stop(engine->saver, exchange);
    if(exchange->billable && veo_exchange_sent(exchange) != VEO_SENT_NO)
      return 0;
    exchange->sent = veo_exchange_sent(exchange);
    veo_sigpipe_block(&guard);
    veo_multis_remove(&engine->multis, exchange);
    veo_sigpipe_restore(&guard);
    leave_host(engine, exchange);
  } else if(exchange->state == VEO_STATE_QUEUED) {
    engine->files -= is_file(exchange);
  } else {
    return 0;
  }
  exchange->outcome = VEO_OUTCOME_CANCELLED;
  move(engine, exchange, VEO_STATE_DONE);
  publish(engine);
  return 1;
}

void veo_engine_wake_at(veo_engine *engine, double deadline)
{
  engine->wake_at = deadline;
  publish(engine);
}

double veo_engine_deadline(const veo_engine *engine)
{
  double deadline = engine->eager || engine->pace.stalled ? 0 : engine->wake_at;
  double libcurl = veo_poller_deadline(&engine->poller);
  if(libcurl < deadline)
    deadline = libcurl;
  return veo_engine_waiting(engine) ? 0 : deadline;
}

int veo_engine_pollfd(veo_engine *engine)
{
  int fd = veo_poller_fd(&engine->poller);
  publish(engine);
  return fd;
}
