/* The multi handle; see multi.h. */
#include "multi.h"

#include "descriptors.h"
#include "wakeup.h"

enum { IDLE = 64 }; /* connections kept at least, where there are descriptors for them */
static const long max_streams = 1000; /* on one HTTP/2 connection; libcurl's default is 100 */

/* Idle connections kept: by default libcurl keeps four times the handles added at the moment. */
static void limit(const veo_multi *multi)
{
  curl_multi_setopt(multi->poller->multi, CURLMOPT_MAXCONNECTS,
                    (long)veo_descriptors_share((multi->most > IDLE ? multi->most : IDLE) + 8));
}

static void take(veo_multi *multi, CURLM *handle)
{
  multi->active = 0;
  multi->most = 0;
  veo_poller_watch(multi->poller, handle);
  curl_multi_setopt(handle, CURLMOPT_MAX_CONCURRENT_STREAMS, max_streams);
  limit(multi);
}

void veo_multi_renew(veo_multi *multi)
{
  curl_multi_cleanup(multi->poller->multi);
  take(multi, veo_wakeup_init());
}

int veo_multi_open(veo_multi *multi, veo_poller *poller)
{
  CURLM *handle = veo_wakeup_init();
  if(!handle)
    return 0;
  multi->poller = poller;
  take(multi, handle);
  return 1;
}

void veo_multi_close(veo_multi *multi)
{
  curl_multi_cleanup(multi->poller->multi);
  multi->poller = NULL;
}

int veo_multi_add(veo_multi *multi, const veo_exchange *exchange)
{
  if(!multi->poller->multi)
    veo_multi_renew(multi);
  if(curl_multi_add_handle(multi->poller->multi, exchange->easy) != CURLM_OK)
    return 0;
  multi->active++;
  if(multi->active > multi->most) {
    multi->most = multi->active;
    if(multi->most > IDLE)
      limit(multi);
  }
  return 1;
}

void veo_multi_remove(veo_multi *multi, const veo_exchange *exchange)
{
  curl_multi_remove_handle(multi->poller->multi, exchange->easy);
  multi->active--;
}

veo_exchange *veo_multi_ended(veo_multi *multi, CURLcode *result)
{
  CURLMsg *message;
  int ignored;
  while((message = curl_multi_info_read(multi->poller->multi, &ignored)) != NULL) {
    /* The message dies with the removal: copy first. */
    veo_exchange *exchange = NULL;
    CURL *easy = message->easy_handle;
    *result = message->data.result;
    if(message->msg != CURLMSG_DONE)
      continue;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&exchange);
    veo_multi_remove(multi, exchange);
    return exchange;
  }
  return NULL;
}
