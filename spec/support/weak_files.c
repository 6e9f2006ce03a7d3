/* A file system without locks and syncs, for a child process of the specs: preloaded there, flock and fsync fail with the
 * numbers in VEO_FLOCK and VEO_FSYNC. */
#define _GNU_SOURCE /* RTLD_NEXT, syscall */
#include <errno.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

static int fails(const char *name)
{
  const char *value = getenv(name);
  if(!value || !*value)
    return 0;
  errno = (int)strtol(value, NULL, 10);
  return 1;
}

int flock(int fd, int operation)
{
  return fails("VEO_FLOCK") ? -1 : (int)syscall(SYS_flock, fd, operation);
}

int fsync(int fd)
{
  return fails("VEO_FSYNC") ? -1 : (int)syscall(SYS_fsync, fd);
}
