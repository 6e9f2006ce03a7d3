/* The gate before hosts whose names are not known; see hosts.h. */
#include "hosts.h"

#include "text.h"

#include <string.h>

int veo_hosts_find(veo_hosts *hosts, const char *url)
{
  char origin[sizeof hosts->list[0].origin];
  int i;
  if(!url || veo_is_address(url) || !veo_origin(url, origin, sizeof origin))
    return -1;
  for(i = 0; i < hosts->count; i++) {
    if(strcmp(hosts->list[i].origin, origin) == 0)
      return hosts->list[i].known ? -1 : i;
  }
  if(hosts->count == VEO_HOSTS)
    return -1;
  memcpy(hosts->list[i].origin, origin, sizeof origin);
  hosts->list[i].known = 0;
  hosts->list[i].probe = NULL;
  return hosts->count++;
}

static void open_gate(veo_hosts *hosts, int host)
{
  hosts->list[host].known = 1;
  hosts->list[host].probe = NULL;
  hosts->probes--;
}

int veo_hosts_open(veo_hosts *hosts, veo_exchange *exchange)
{
  if(exchange->host < 0 || hosts->list[exchange->host].known)
    return 1;
  if(hosts->list[exchange->host].probe)
    return 0;
  hosts->list[exchange->host].probe = exchange;
  hosts->probes++;
  return 1;
}

/* Whatever became of the one that went alone opens the gate: a name that does not resolve must not hold
 * up the others. */
void veo_hosts_leave(veo_hosts *hosts, const veo_exchange *exchange)
{
  if(exchange->host >= 0 && hosts->list[exchange->host].probe == exchange)
    open_gate(hosts, exchange->host);
}

int veo_hosts_learn(veo_hosts *hosts)
{
  int learned = 0;
  int i;
  for(i = 0; hosts->probes && i < hosts->count; i++) {
    if(hosts->list[i].probe && hosts->list[i].probe->resolved) {
      open_gate(hosts, i);
      learned = 1;
    }
  }
  return learned;
}
