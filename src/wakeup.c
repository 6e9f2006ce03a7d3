/* libcurl makes a pair of sockets for curl_multi_wakeup and lets every program that the host starts inherit them (7.88).
 * It names them to nobody: they take the first free numbers, and a wakeup shows that it is them. See wakeup.h. */
#include "wakeup.h"

#ifdef __linux__

#include <fcntl.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* The two numbers that are taken next. 0 when there are none. */
static int look_ahead(int ahead[2])
{
  ahead[0] = open("/", O_RDONLY | O_CLOEXEC);
  ahead[1] = open("/", O_RDONLY | O_CLOEXEC);
  if(ahead[1] >= 0)
    close(ahead[1]);
  if(ahead[0] >= 0)
    close(ahead[0]);
  return ahead[1] >= 0;
}

/* The bytes that wait behind a descriptor; -1 when it is none of a socket. */
static int waiting(int fd, unsigned long request)
{
  int bytes = -1;
  return ioctl(fd, request, &bytes) == 0 ? bytes : -1;
}

CURLM *veo_wakeup_init(void)
{
  int pair[2];
  int known = look_ahead(pair);
  CURLM *multi = curl_multi_init();
  if(!multi || !known || waiting(pair[0], SIOCINQ) != 0 || waiting(pair[1], SIOCOUTQ) != 0)
    return multi;
  if(curl_multi_wakeup(multi) == CURLM_OK && waiting(pair[0], SIOCINQ) > 0 &&
     waiting(pair[1], SIOCOUTQ) > 0) {
    (void)fcntl(pair[0], F_SETFD, FD_CLOEXEC);
    (void)fcntl(pair[1], F_SETFD, FD_CLOEXEC);
  }
  curl_multi_poll(multi, NULL, 0, 0, NULL); /* reads it away */
  return multi;
}

#else

CURLM *veo_wakeup_init(void)
{
  return curl_multi_init();
}

#endif
