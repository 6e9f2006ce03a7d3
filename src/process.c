/* The process; see process.h. */
#include "process.h"

#include <curl/curl.h>
#include <pthread.h>

/* The only mutable statics. libcurl wants one global init per process, and is never cleaned up, because
 * other users of libcurl may live in the same process. */
static pthread_once_t once = PTHREAD_ONCE_INIT;
/* getpid() is a system call, and five of them a look. */
static int forks;
static int features;

static void count_fork(void)
{
  forks++;
}

static void start(void)
{
  curl_global_init(CURL_GLOBAL_DEFAULT);
  features = curl_version_info(CURLVERSION_NOW)->features;
  pthread_atfork(NULL, NULL, count_fork);
}

void veo_process_start(void)
{
  pthread_once(&once, start);
}

int veo_libcurl_has(int feature)
{
  veo_process_start();
  return (features & feature) != 0;
}

int veo_process_forks(void)
{
  return forks;
}
