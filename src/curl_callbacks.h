/* libcurl's callbacks for one exchange. They fill C memory and files; none touches Lua. */
#ifndef VEO_CURL_CALLBACKS_H
#define VEO_CURL_CALLBACKS_H

#include "exchange.h"

/* The body of an API reply, capped. */
size_t veo_on_body(char *data, size_t size, size_t count, void *user);
/* The body of a result file, to its sink. */
size_t veo_on_file(char *data, size_t size, size_t count, void *user);
/* The body of a result file, to a buffer that a script empties. */
size_t veo_on_piece(char *data, size_t size, size_t count, void *user);
/* Headers and trailers: counted, and read when they are of a result file. */
size_t veo_on_header(char *data, size_t size, size_t count, void *user);
/* What libcurl tells of an order's handshake: whether the server agreed on a protocol. */
int veo_on_debug(CURL *easy, curl_infotype type, char *data, size_t size, void *user);
/* An order's connection stands and nothing was sent yet: the last moment to keep it back. */
int veo_on_ready(void *user, char *peer_ip, char *local_ip, int peer_port, int local_port);
/* A socket is about to be connected: the host name is resolved. */
int veo_on_socket(void *user, curl_socket_t fd, curlsocktype purpose);

#endif
