/* The multi handles of an engine. One, as long as it has not too many connections to look through:
 * libcurl goes through all of them for each exchange that it begins (with a thousand, 14 % of the CPU of
 * an exchange, measured). Over TLS there is always one: HTTP/2 needs one connection, and each multi
 * handle reads the certificates anew. */
#ifndef VEO_MULTIS_H
#define VEO_MULTIS_H

#include "exchange.h"

enum { VEO_MULTIS = 16 };

typedef struct {
  struct {
    veo_watch watch;
    int active;
    int most;                  /* it ever had active: as many connections may be idle there */
    int begun;                 /* it had an exchange */
    const veo_exchange *probe; /* the first, until it knows the address: it goes alone */
  } list[VEO_MULTIS];
  int count;
  int alone; /* there can be no second one */
  veo_poller *poller;
} veo_multis;

/* 0 when memory is short. */
int veo_multis_open(veo_multis *multis, veo_poller *poller);
void veo_multis_close(veo_multis *multis);
/* 0 when libcurl does not take it. */
int veo_multis_add(veo_multis *multis, veo_exchange *exchange);
void veo_multis_remove(veo_multis *multis, veo_exchange *exchange);
/* A new handle in the place of one from which all exchanges were removed; its connections are closed. Without
 * memory there is none until the next exchange. */
void veo_multis_renew(veo_multis *multis, int i);
/* The next exchange that has ended, removed already, and how; or NULL. */
veo_exchange *veo_multis_ended(veo_multis *multis, CURLcode *result);

#endif
