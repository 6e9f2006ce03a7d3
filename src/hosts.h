/* Which exchanges must wait until the name of their host is known: one that is not yet resolved starts a
 * resolver thread per transfer, so the first exchange with a host goes alone until it is. */
#ifndef VEO_HOSTS_H
#define VEO_HOSTS_H

#include "exchange.h"

enum { VEO_HOSTS = 32 };

typedef struct {
  struct {
    char origin[128];
    int known;
    const veo_exchange *probe; /* the one that goes alone, or NULL */
  } list[VEO_HOSTS];
  int count;
  int probes; /* hosts with one */
} veo_hosts;

/* The number of the URL's host; -1 when it needs no gate: an address, a known name, or too many hosts
 * to know. */
int veo_hosts_find(veo_hosts *hosts, const char *url);
/* True when the exchange may go now; it may then be the one that goes alone. */
int veo_hosts_open(veo_hosts *hosts, veo_exchange *exchange);
/* The exchange has ended. */
void veo_hosts_leave(veo_hosts *hosts, const veo_exchange *exchange);
/* True when a name has become known since the last time. */
int veo_hosts_learn(veo_hosts *hosts);

#endif
