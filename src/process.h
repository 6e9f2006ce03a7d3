/* What libcurl and forks ask of the process as a whole. */
#ifndef VEO_PROCESS_H
#define VEO_PROCESS_H

/* libcurl's global init, once. */
void veo_process_start(void);
/* Whether it was built with that (CURL_VERSION_SSL, ...). */
int veo_libcurl_has(int feature);
/* Forks since then on the way to this process: what was made at another number belongs to a parent. */
int veo_process_forks(void);

#endif
