/* What a client was made with: addresses, key, headers, limits. Copied once, wiped at the end. */
#ifndef VEO_SETTINGS_H
#define VEO_SETTINGS_H

#include "ca.h"

#include <curl/curl.h>

typedef struct {
  char *base_url; /* without a trailing slash */
  char *extend_path;
  char *status_path;
  char *api_key;
  char *user_agent;
  veo_ca ca;
  char *proxy; /* NULL: what the environment says */
  int direct;  /* no proxy: it names none, or is not asked */
  int allow_http;
  int max_in_flight;
  double timeout;
  double connect_timeout;
  struct curl_slist *get_headers;
  struct curl_slist *post_headers;
  struct curl_slist *order_headers; /* of billable calls */
  struct curl_slist *upload_headers;
} veo_settings;

/* Makes the header lists and finds whom to trust. 0 when memory is short. */
int veo_settings_finish(veo_settings *settings);
/* Wipes the key wherever it stands and frees everything. */
void veo_settings_free(veo_settings *settings);

#endif
