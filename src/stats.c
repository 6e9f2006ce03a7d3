/* Counts what an engine does; see stats.h. */
#include "stats.h"

#include <stdio.h>
#include <string.h>

enum { FIRST_NAMED = VEO_KIND_SAVE };

int veo_stats_find(veo_stats *stats, const char *name)
{
  int at = FIRST_NAMED;
  while(at < VEO_TALLIES && stats->tallies[at].name[0] &&
        strncmp(stats->tallies[at].name, name, VEO_TALLY_NAME - 1) != 0)
    at++;
  if(at == VEO_TALLIES)
    return VEO_KIND_CALL;
  if(!stats->tallies[at].name[0])
    snprintf(stats->tallies[at].name, sizeof stats->tallies[at].name, "%s", name);
  return at;
}

static veo_end end_of(const veo_exchange *exchange)
{
  if(exchange->call.code)
    return exchange->call.code == 200 ? VEO_END_OK : VEO_END_HTTP_ERROR;
  switch(exchange->outcome) {
  case VEO_OUTCOME_REPLY:
    return exchange->http_status < 300 || exchange->op.kind == VEO_KIND_WARM ? VEO_END_OK
                                                                             : VEO_END_HTTP_ERROR;
  case VEO_OUTCOME_UNREADABLE:
  case VEO_OUTCOME_REFUSED:
    return exchange->http_status < 300 ? VEO_END_MALFORMED : VEO_END_HTTP_ERROR;
  case VEO_OUTCOME_NETWORK:
    return exchange->result == CURLE_OPERATION_TIMEDOUT ? VEO_END_TIMED_OUT : VEO_END_NETWORK;
  case VEO_OUTCOME_CANCELLED:
    return VEO_END_CANCELLED;
  case VEO_OUTCOME_CLOSED:
    return VEO_END_CLOSED;
  default:
    return VEO_END_OTHER;
  }
}

static void add_traffic(double *traffic, const veo_exchange *exchange)
{
  curl_off_t body = 0;
  long request = 0;
  long made = 0;
  curl_easy_getinfo(exchange->easy, CURLINFO_SIZE_DOWNLOAD_T, &body);
  curl_easy_getinfo(exchange->easy, CURLINFO_REQUEST_SIZE, &request);
  curl_easy_getinfo(exchange->easy, CURLINFO_NUM_CONNECTS, &made);
  traffic[VEO_BYTES_RECEIVED] += (double)body + (double)exchange->header_bytes;
  traffic[VEO_BYTES_SENT] += (double)request;
  traffic[VEO_CONNECTIONS_MADE] += (double)made;
  traffic[VEO_CONNECTIONS_REUSED] += request && !made;
  if(exchange->op.kind != VEO_KIND_CALL && exchange->op.kind != VEO_KIND_UPLOAD)
    return;
  curl_easy_getinfo(exchange->easy, CURLINFO_SIZE_UPLOAD_T, &body);
  traffic[VEO_BYTES_SENT] += (double)body;
}

/* 310 instructions, of 190,000 that a status takes over TLS and HTTP/2. */
void veo_stats_count(veo_stats *stats, const veo_exchange *exchange)
{
  int at = exchange->call.tally ? exchange->call.tally : (int)exchange->op.kind;
  stats->tallies[at].ends[end_of(exchange)]++;
  add_traffic(stats->traffic, exchange);
}

/* libcurl counts a body anew behind a redirect, and a connection made where one that it reused was closed. */
void veo_stats_tell(veo_stats *stats, const veo_list *const *lists, int count)
{
  double now[VEO_TRAFFICS];
  int i;
  memcpy(now, stats->traffic, sizeof now);
  for(i = 0; i < count; i++) {
    const veo_operation *operation;
    for(operation = lists[i]->first; operation; operation = operation->next) {
      if(!veo_is_work(operation))
        add_traffic(now, (const veo_exchange *)operation);
    }
  }
  for(i = 0; i < VEO_TRAFFICS; i++) {
    if(now[i] > stats->told[i])
      stats->told[i] = now[i];
  }
}
