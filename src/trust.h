/* Which certificate authorities are trusted, told to libcurl in the way that makes a connection cheap. */
#ifndef VEO_TRUST_H
#define VEO_TRUST_H

#include "text.h"

#include <curl/curl.h>

typedef struct {
  char *file;     /* a bundle; NULL: libcurl has none of its own either */
  char *beside;   /* a folder that is searched as well; NULL: none that was named */
  char *folders;  /* used instead of both: certificates under hashed names; or NULL */
  veo_buffer one; /* the first certificate of the bundle */
} veo_trust;

/* Fills in what the user did not name. 0 when memory is short. */
int veo_trust_find(veo_trust *trust);
/* What libcurl says to it. Keeps pointers into `trust`. */
CURLcode veo_trust_apply(const veo_trust *trust, CURL *easy);
void veo_trust_free(veo_trust *trust);

#endif
