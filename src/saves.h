/* Saves under way: exchanges whose work is done on a thread. */
#ifndef VEO_SAVES_H
#define VEO_SAVES_H

#include "exchange.h"
#include "worker.h"

enum { VEO_MAX_SAVES = 4 }; /* threads at a time; a disk gains nothing from more */

typedef struct {
  veo_worker *worker; /* made at the first save */
  int running;
} veo_saves;

/* 0 when it has ended at once, with the reason in the exchange. */
int veo_saves_start(veo_saves *saves, veo_poller *poller, veo_exchange *exchange);
/* The next that has ended, with its outcome; NULL when there is none. */
veo_exchange *veo_saves_ended(veo_saves *saves);
void veo_saves_close(veo_saves *saves);

#endif
