/* A multi handle whose descriptors no child process inherits. */
#ifndef VEO_WAKEUP_H
#define VEO_WAKEUP_H

#include <curl/curl.h>

/* As curl_multi_init. */
CURLM *veo_wakeup_init(void);

#endif
