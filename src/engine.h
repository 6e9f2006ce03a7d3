/* Runs operations: one multi handle for life, a queue in front of it, a pool behind it, a worker beside it. No Lua. */
#ifndef VEO_ENGINE_H
#define VEO_ENGINE_H

#include "engine_state.h"

/* NULL, or what failed; close can be called either way. */
const char *veo_engine_open(veo_engine *engine);
void veo_engine_limit(veo_engine *engine, int max_in_flight);
/* Ends everything. Operations with an owner are handed to `orphan` first, so that it lets go; when it
 * answers true it keeps the operation, and frees it. */
void veo_engine_close(veo_engine *engine, int (*orphan)(veo_operation *operation));
/* True in the process that opened it. */
int veo_engine_is_ours(const veo_engine *engine);
/* The same, also of a process that was made by no fork() of libc's. */
int veo_engine_may_close(const veo_engine *engine);

/* An exchange to prepare, or NULL when memory is short. `kind` picks one that is set up for it. */
veo_exchange *veo_engine_acquire(veo_engine *engine, veo_kind kind);
veo_work *veo_engine_acquire_work(veo_engine *engine, veo_kind kind);
/* Gives back one that is prepared or done. */
void veo_engine_release(veo_engine *engine, veo_operation *operation);
/* Queues a prepared exchange to the URL. */
void veo_engine_submit(veo_engine *engine, veo_exchange *exchange, const char *url);
void veo_engine_submit_work(veo_engine *engine, veo_work *work);
/* Lets things happen until `until`, an exchange is done, the wake time has come or a signal came.
 * With `awaited`, until that one is done or a signal came, whatever else is. */
void veo_engine_step(veo_engine *engine, double until, veo_exchange *awaited);
/* The next that is done and has an owner, or NULL; those without are released. It stays in the engine's
 * lists until it is released. */
veo_operation *veo_engine_take(veo_engine *engine);
/* The next under way that has news, or NULL. */
veo_operation *veo_engine_take_news(veo_engine *engine);
/* Places that calls do not take, files aside. */
int veo_engine_room(const veo_engine *engine);
/* Completions and news that wait to be taken. */
int veo_engine_waiting(const veo_engine *engine);
/* The script has emptied the buffer of a stream: a paused one goes on. */
void veo_engine_resume(veo_engine *engine, veo_exchange *exchange);
/* Marks one that is done as taken. */
void veo_engine_hand_out(veo_engine *engine, veo_operation *operation);
/* Cuts it; 0 when it may not be cut: bytes of a billable request may have left, or a thread has begun. */
int veo_engine_cancel(veo_engine *engine, veo_operation *operation);
/* Keeps the one descriptor true after a change; see poller.h. */
void veo_engine_publish(veo_engine *engine);
void veo_engine_wake_at(veo_engine *engine, double deadline);
/* When step wants to be called next: VEO_NEVER, or a time that may have passed. `waiting`: somebody waits for what the
 * engine knows nothing of. */
double veo_engine_deadline(const veo_engine *engine, int waiting);
/* The one descriptor for foreign event loops, or -1. */
int veo_engine_pollfd(veo_engine *engine);

#endif
