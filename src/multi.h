/* The one multi handle of an engine, for life: its connections, names and TLS sessions are used again, and an HTTP/2
 * service gets one connection. */
#ifndef VEO_MULTI_H
#define VEO_MULTI_H

#include "exchange.h"

typedef struct {
  veo_poller *poller; /* which watches the handle; NULL: not open */
  int active;
  int most; /* it ever had active: as many connections may be idle */
} veo_multi;

/* 0 when memory is short. */
int veo_multi_open(veo_multi *multi, veo_poller *poller);
void veo_multi_close(veo_multi *multi);
/* 0 when libcurl does not take it. */
int veo_multi_add(veo_multi *multi, const veo_exchange *exchange);
void veo_multi_remove(veo_multi *multi, const veo_exchange *exchange);
/* A new handle in the place of one from which all exchanges were removed; its connections are closed. Without
 * memory there is none until the next exchange. */
void veo_multi_renew(veo_multi *multi);
/* The next exchange that has ended, removed already, and how; or NULL. */
veo_exchange *veo_multi_ended(veo_multi *multi, CURLcode *result);

#endif
