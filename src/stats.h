/* What an engine has done, in numbers that only grow. No Lua. */
#ifndef VEO_STATS_H
#define VEO_STATS_H

#include "exchange.h"
#include "list.h"

/* How exchanges end. */
typedef enum {
  VEO_END_OK,
  VEO_END_HTTP_ERROR, /* an answer came that says no: by its HTTP status, or by the code in its body */
  VEO_END_MALFORMED, /* an answer came that is none */
  VEO_END_NETWORK,
  VEO_END_TIMED_OUT,
  VEO_END_CANCELLED,
  VEO_END_CLOSED,
  VEO_END_OTHER, /* too long, a redirect that is not followed, a file that could not be written */
  VEO_ENDS
} veo_end;

/* What exchanges move. */
typedef enum {
  VEO_BYTES_RECEIVED, /* HTTP's headers and bodies, without what TLS and HTTP/2 add or save */
  VEO_BYTES_SENT,
  VEO_CONNECTIONS_MADE,
  VEO_CONNECTIONS_REUSED,
  VEO_TRAFFICS
} veo_traffic;

enum { VEO_TALLIES = 24, VEO_TALLY_NAME = 24 };

typedef struct {
  char name[VEO_TALLY_NAME]; /* of a call; kinds that have a number of their own need none */
  double ends[VEO_ENDS];
} veo_tally;

typedef struct {
  veo_tally tallies[VEO_TALLIES]; /* by kind of operation, and behind the kinds the calls by name */
  double traffic[VEO_TRAFFICS];   /* of exchanges that were given back */
  double told[VEO_TRAFFICS];
} veo_stats;

/* The tally of calls with this name. */
int veo_stats_find(veo_stats *stats, const char *name);
/* An exchange that was submitted is given back; to be called once for each. */
void veo_stats_count(veo_stats *stats, const veo_exchange *exchange);
/* Sums the traffic up, with that of the exchanges in the lists; into `told`, which never falls. */
void veo_stats_tell(veo_stats *stats, const veo_list *const *lists, int count);

#endif
