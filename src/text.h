/* Small work on bytes: a growing buffer, what may be shown of foreign text, what may enter a header. */
#ifndef VEO_TEXT_H
#define VEO_TEXT_H

#include <stddef.h>

typedef struct {
  char *data;
  size_t length;
  size_t capacity;
} veo_buffer;

/* Appends and keeps a NUL behind the end. 0 when memory is short: the buffer is then as before. */
int veo_buffer_append(veo_buffer *buffer, const char *data, size_t length);
/* Empties; gives memory above `keep` bytes back, so that a pooled buffer stays small. */
void veo_buffer_reset(veo_buffer *buffer, size_t keep);
void veo_buffer_free(veo_buffer *buffer);

/* A copy on the heap, or NULL. */
char *veo_copy(const char *text, size_t length);
/* Overwrites a secret so that the compiler may not leave it out. */
void veo_wipe(char *text, size_t length);

/* True when the text holds no NUL, CR or LF: nothing that could end a header or a URL early. */
int veo_header_safe(const char *text, size_t length);
/* Replaces every occurrence of `secret` in the bytes by stars. */
void veo_scrub(char *data, size_t length, const char *secret);
/* Hides, in place, query strings and user:password of every URL in the text. */
void veo_redact(char *text);
/* Takes user:password@ out of a message of libcurl's, which may show a proxy that it cannot use. */
void veo_hide_user(char *text);
/* Copies the first bytes of a body as one printable line; returns its length. */
size_t veo_excerpt(const char *data, size_t length, char *out, size_t size);
/* True when the text begins with a scheme that is neither http nor https. */
int veo_has_other_scheme(const char *text);
/* True when a host stands behind the scheme, and behind that nothing but a port. */
int veo_names_host(const char *url);
/* True for http://localhost, 127.x.x.x and [::1]. */
int veo_is_loopback(const char *url);
/* True when the host of the URL is an address, which needs no resolver. */
int veo_is_address(const char *url);
/* Copies scheme://host:port of the URL; 0 when there is no host or no room. */
int veo_origin(const char *url, char *out, size_t size);

#endif
