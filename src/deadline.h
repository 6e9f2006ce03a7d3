/* When an exchange under way has taken too long. The clock is ours: one failed allocation inside libcurl can
 * lose its timers (15 of 337 points, measured), and then nothing would end the exchange. Only the time to
 * connect is libcurl's. */
#ifndef VEO_DEADLINE_H
#define VEO_DEADLINE_H

#include "exchange.h"

/* The exchange goes to libcurl. */
void veo_deadline_begin(veo_exchange *exchange, double now);
/* When to judge it next; VEO_NEVER for one without a limit. */
double veo_deadline_next(const veo_exchange *exchange);
/* Judges it: the seconds of silence that are too many, or 0 when it may go on. Notes when a call has become
 * slow. */
double veo_deadline_passed(veo_exchange *exchange, double now);

#endif
