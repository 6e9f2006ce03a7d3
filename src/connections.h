/* The sockets of libcurl's connections, so that one that the network has silently dropped can be left. */
#ifndef VEO_CONNECTIONS_H
#define VEO_CONNECTIONS_H

#include <curl/curl.h>

typedef struct {
  curl_socket_t *list;
  int count;
  int size;
} veo_connections;

/* 0 when memory is short. */
int veo_connections_add(veo_connections *connections, curl_socket_t fd);
void veo_connections_remove(veo_connections *connections, curl_socket_t fd);
void veo_connections_free(veo_connections *connections);
/* The exchange of this handle met silence for so many seconds. When its connection brought nothing to any
 * other exchange either, it is shut down: libcurl ends what is under way on it and does not use it again. By
 * itself libcurl keeps an HTTP/2 connection whose streams time out for ever. Of one that we hold back ourselves
 * (`held`) silence says nothing: it is left when what we sent is not acknowledged either. */
void veo_connections_leave(const veo_connections *connections, CURL *easy, double seconds,
                           int held);

#endif
