/* Monotonic time in seconds. */
#ifndef VEO_CLOCK_H
#define VEO_CLOCK_H

#include <time.h>

static inline double veo_now(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

#define VEO_NEVER 1e300 /* a deadline that does not come */

#endif
