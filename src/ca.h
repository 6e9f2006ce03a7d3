/* Which certificate authorities are trusted, told to libcurl in the way that makes a connection cheap. */
#ifndef VEO_CA_H
#define VEO_CA_H

#include "text.h"

#include <curl/curl.h>

typedef struct {
  char *file;     /* a bundle; NULL: libcurl has none of its own either */
  char *beside;   /* a folder that is searched as well; NULL: none that was named */
  char *folders;  /* used instead of both: certificates under hashed names; or NULL */
  veo_buffer one; /* the first certificate of the bundle */
} veo_ca;

/* Fills in what the user did not name. 0 when memory is short. */
int veo_ca_find(veo_ca *ca);
/* What libcurl says to it. Keeps pointers into `ca`. */
CURLcode veo_ca_apply(const veo_ca *ca, CURL *easy);
void veo_ca_free(veo_ca *ca);

#endif
