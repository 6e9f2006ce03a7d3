/* Deadlines of exchanges; see deadline.h. */
#include "deadline.h"

#include "clock.h"
#include "defaults.h"

#include <stdio.h>

/* A crawling file is looked at this many times within the seconds that end it. */
static const double LOOKS = 10.0;
/* A deadline that is judged so many seconds late means that the host did not step: it was in a modal dialog, in a
 * debugger, stopped. */
static const double LATE = 0.25;

static curl_off_t received(const veo_exchange *exchange)
{
  curl_off_t bytes = 0;
  curl_easy_getinfo(exchange->easy, CURLINFO_SIZE_DOWNLOAD_T, &bytes);
  return bytes;
}

static curl_off_t moved(const veo_exchange *exchange)
{
  curl_off_t sent = 0;
  curl_easy_getinfo(exchange->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
  return sent + received(exchange);
}

void veo_deadline_begin(veo_exchange *exchange, double now)
{
  veo_deadline *deadline = &exchange->deadline;
  deadline->began = now;
  deadline->end = exchange->timeout_ms ? now + (double)exchange->timeout_ms / 1000.0 : VEO_NEVER;
  deadline->extended = 0;
  deadline->crawls_since = now;
  deadline->look_at = now + (deadline->stall ? (double)deadline->stall / LOOKS : VEO_SLOW);
  deadline->moved = 0;
}

double veo_deadline_next(const veo_exchange *exchange)
{
  const veo_deadline *deadline = &exchange->deadline;
  return deadline->look_at < deadline->end ? deadline->look_at : deadline->end;
}

/* Whether fewer bytes than VEO_LOW_SPEED_LIMIT a second have moved for all the seconds it may crawl. One that
 * its reader holds back does not crawl. */
static int crawls(veo_exchange *exchange, double now)
{
  veo_deadline *deadline = &exchange->deadline;
  double interval = (double)deadline->stall / LOOKS;
  curl_off_t bytes;
  if(now < deadline->look_at)
    return 0;
  if(now - deadline->look_at > LATE)
    deadline->crawls_since += now - deadline->look_at;
  bytes = moved(exchange);
  if(veo_is_paused(exchange) || veo_is_stalled(exchange) ||
     (double)(bytes - deadline->moved) >= (double)VEO_LOW_SPEED_LIMIT * interval)
    deadline->crawls_since = now;
  deadline->moved = bytes;
  deadline->look_at = now + interval;
  return now - deadline->crawls_since >= (double)deadline->stall;
}

/* One whose end came while the host was away gets its time once more: what it waits for may come now. */
static int is_put_off(veo_exchange *exchange, double now)
{
  veo_deadline *deadline = &exchange->deadline;
  if(deadline->extended || now - deadline->end <= LATE)
    return 0;
  deadline->extended = 1;
  deadline->end = now + (double)exchange->timeout_ms / 1000.0;
  return 1;
}

double veo_deadline_passed(veo_exchange *exchange, double now)
{
  const veo_deadline *deadline = &exchange->deadline;
  if(now >= deadline->end && !is_put_off(exchange, now)) {
    snprintf(exchange->error, sizeof exchange->error,
             "timed out after %.3g s with %lld bytes received",
             (double)exchange->timeout_ms / 1000.0, (long long)received(exchange));
    return now - deadline->began;
  }
  if(!deadline->stall && now >= deadline->look_at) {
    exchange->slow = 1;
    exchange->deadline.look_at = VEO_NEVER;
  }
  if(deadline->stall && crawls(exchange, now)) {
    snprintf(exchange->error, sizeof exchange->error,
             "too slow: less than %ld bytes a second for %ld s", VEO_LOW_SPEED_LIMIT,
             deadline->stall);
    return now - deadline->crawls_since;
  }
  return 0;
}
