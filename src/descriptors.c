/* A share of few descriptors; see descriptors.h. */
#include "descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
  ENOUGH = 256, /* from here on nothing is limited */
  OWN = 16,     /* the host's three, the poller's, a ledger's, one or two more */
  PER = 4,      /* a connection, a file, one that hangs beside, and one for the moment */
  READING = 4   /* a connection, a folder, a file in it, and one more */
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

/* The connection is closed by now; other descriptors are still short. */
int veo_descriptors_short(void)
{
  int held[READING];
  int count = 0;
  int lacks = 0;
  while(count < READING && !lacks) {
    int fd = open("/", O_RDONLY | O_CLOEXEC);
    if(fd >= 0)
      held[count++] = fd;
    else if(errno == EMFILE || errno == ENFILE)
      lacks = 1;
    else
      break;
  }
  while(count > 0)
    (void)close(held[--count]);
  return lacks;
}
