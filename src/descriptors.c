/* A share of few descriptors; see descriptors.h. */
#include "descriptors.h"

#include <sys/resource.h>

enum {
  ENOUGH = 256, /* from here on nothing is limited */
  OWN = 16,     /* the host's three, the poller's, a ledger's, one or two more */
  PER = 4       /* a connection, a file, one that hangs beside, and one for the moment */
};

int veo_descriptors_share(int most)
{
  struct rlimit limit;
  int share;
  if(getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= ENOUGH)
    return most;
  share = ((int)limit.rlim_cur - OWN) / PER;
  if(share < 1)
    share = 1;
  return share < most ? share : most;
}
