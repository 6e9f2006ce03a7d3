/* The multi handles; see multis.h. */
#include "multis.h"

#include "descriptors.h"
#include "wakeup.h"

enum { FULL = 64 };                   /* exchanges of one multi handle before there is another */
static const long max_streams = 1000; /* on one HTTP/2 connection; libcurl's default is 100 */

/* It is full with as many as it ever had, for so many connections may be idle in it: no other one can use
 * them, and a host has but so many descriptors. */
static int capacity(const veo_multis *multis, int i)
{
  return multis->list[i].most > FULL ? multis->list[i].most : FULL;
}

/* Idle connections kept: by default libcurl keeps four times the handles added at the moment. */
static void limit(const veo_multis *multis, int i)
{
  curl_multi_setopt(multis->list[i].watch.multi, CURLMOPT_MAXCONNECTS,
                    (long)veo_descriptors_share(capacity(multis, i) + 8));
}

/* For a new handle. */
static void set_up(veo_multis *multis, int i)
{
  curl_multi_setopt(multis->list[i].watch.multi, CURLMOPT_MAX_CONCURRENT_STREAMS, max_streams);
  multis->list[i].active = 0;
  multis->list[i].most = 0;
  multis->list[i].begun = 0;
  multis->list[i].probe = NULL;
  limit(multis, i);
}

/* One more, or 0. */
static int grow(veo_multis *multis)
{
  int i = multis->count;
  CURLM *multi = i < VEO_MULTIS && !multis->alone ? veo_wakeup_init() : NULL;
  if(!multi)
    return 0;
  if(!veo_poller_watch(multis->poller, &multis->list[i].watch, multi)) {
    curl_multi_cleanup(multi);
    multis->alone = 1;
    return 0;
  }
  set_up(multis, i);
  multis->count++;
  return 1;
}

void veo_multis_renew(veo_multis *multis, int i)
{
  curl_multi_cleanup(multis->list[i].watch.multi);
  veo_poller_replace(&multis->list[i].watch, veo_wakeup_init());
  set_up(multis, i);
}

int veo_multis_open(veo_multis *multis, veo_poller *poller)
{
  multis->poller = poller;
  return grow(multis);
}

void veo_multis_close(veo_multis *multis)
{
  while(multis->count)
    curl_multi_cleanup(multis->list[--multis->count].watch.multi);
}

/* A multi handle knows no names that another has looked up: its first exchange goes alone until it does. */
static int is_open(veo_multis *multis, int i)
{
  const veo_exchange *probe = multis->list[i].probe;
  if(probe && probe->resolved)
    multis->list[i].probe = NULL;
  return !multis->list[i].probe;
}

/* Calls alone, for they are many and short. What was submitted while its host's name was not known goes
 * where the name is looked up. */
static int may_spread(const veo_exchange *exchange)
{
  return !exchange->tls && !exchange->billable && exchange->host < 0 &&
         (exchange->kind == VEO_KIND_STATUS || exchange->kind == VEO_KIND_CALL);
}

/* The first with room, so that idle connections are found again; else a new one; else the emptiest. */
static int choose(veo_multis *multis, const veo_exchange *exchange)
{
  int best = 0;
  int i;
  if(!may_spread(exchange))
    return 0;
  for(i = 0; i < multis->count; i++) {
    if(!is_open(multis, i))
      continue;
    if(multis->list[i].active < capacity(multis, i))
      return i;
    if(multis->list[i].active < multis->list[best].active)
      best = i;
  }
  if(multis->list[multis->count - 1].probe || !grow(multis))
    return best;
  return multis->count - 1;
}

int veo_multis_add(veo_multis *multis, veo_exchange *exchange)
{
  int i = choose(multis, exchange);
  if(!multis->list[i].watch.multi)
    veo_multis_renew(multis, i);
  if(curl_multi_add_handle(multis->list[i].watch.multi, exchange->easy) != CURLM_OK)
    return 0;
  if(i > 0 && !multis->list[i].begun)
    multis->list[i].probe = exchange;
  multis->list[i].begun = 1;
  multis->list[i].active++;
  if(multis->list[i].active > multis->list[i].most) {
    multis->list[i].most = multis->list[i].active;
    if(multis->list[i].most > FULL)
      limit(multis, i);
  }
  exchange->multi = i;
  return 1;
}

static void left(veo_multis *multis, const veo_exchange *exchange)
{
  multis->list[exchange->multi].active--;
  if(multis->list[exchange->multi].probe == exchange)
    multis->list[exchange->multi].probe = NULL;
}

void veo_multis_remove(veo_multis *multis, veo_exchange *exchange)
{
  curl_multi_remove_handle(multis->list[exchange->multi].watch.multi, exchange->easy);
  left(multis, exchange);
}

veo_exchange *veo_multis_ended(veo_multis *multis, CURLcode *result)
{
  CURLMsg *message;
  int ignored;
  int i;
  for(i = 0; i < multis->count; i++) {
    while((message = curl_multi_info_read(multis->list[i].watch.multi, &ignored)) != NULL) {
      /* The message dies with the removal: copy first. */
      veo_exchange *exchange = NULL;
      CURL *easy = message->easy_handle;
      *result = message->data.result;
      if(message->msg != CURLMSG_DONE)
        continue;
      curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&exchange);
      veo_multis_remove(multis, exchange);
      return exchange;
    }
  }
  return NULL;
}
