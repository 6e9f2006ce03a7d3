/* The connections' sockets; see connections.h. */
#define _GNU_SOURCE /* struct tcp_info */

#include "connections.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

int veo_connections_add(veo_connections *connections, curl_socket_t fd)
{
  /* libcurl 7.88 closes one that did not connect in time and tells nobody: its number is used again. */
  veo_connections_remove(connections, fd);
  if(connections->count == connections->size) {
    int size = connections->size ? 2 * connections->size : 16;
    curl_socket_t *more = realloc(connections->list, (size_t)size * sizeof *more);
    if(!more)
      return 0;
    connections->list = more;
    connections->size = size;
  }
  connections->list[connections->count++] = fd;
  return 1;
}

void veo_connections_remove(veo_connections *connections, curl_socket_t fd)
{
  int i;
  for(i = 0; i < connections->count; i++) {
    if(connections->list[i] == fd) {
      connections->list[i] = connections->list[--connections->count];
      return;
    }
  }
}

void veo_connections_free(veo_connections *connections)
{
  free(connections->list);
  memset(connections, 0, sizeof *connections);
}

typedef union {
  struct sockaddr any;
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
} address;

static int port_of(const address *at)
{
  return ntohs(at->any.sa_family == AF_INET6 ? at->v6.sin6_port : at->v4.sin_port);
}

/* libcurl names the socket of an exchange only after its end, and not even then when others share it; the
 * addresses of both ends it tells at all times. */
static int is_of(curl_socket_t fd, long local_port, long peer_port, const char *peer_ip)
{
  address ours;
  address peer;
  char text[INET6_ADDRSTRLEN] = "";
  socklen_t size = sizeof ours;
  memset(&ours, 0, sizeof ours);
  memset(&peer, 0, sizeof peer);
  if(getsockname(fd, &ours.any, &size) != 0 || port_of(&ours) != local_port)
    return 0;
  size = sizeof peer;
  if(getpeername(fd, &peer.any, &size) != 0 || port_of(&peer) != peer_port)
    return 0;
  if(peer.any.sa_family == AF_INET6)
    inet_ntop(AF_INET6, &peer.v6.sin6_addr, text, sizeof text);
  else
    inet_ntop(AF_INET, &peer.v4.sin_addr, text, sizeof text);
  return strcmp(text, peer_ip) == 0;
}

/* Half of the time counts: a new connection receives its handshake even when it is dead afterwards. Where the
 * system tells nothing, the silence of one exchange is enough. */
static int is_silent(curl_socket_t fd, double seconds, int held)
{
#ifdef __linux__
  struct tcp_info info;
  socklen_t size = sizeof info;
  memset(&info, 0, sizeof info);
  if(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0)
    return info.tcpi_last_data_recv >= seconds * 1000.0 / 2 && (!held || info.tcpi_unacked > 0);
#endif
  (void)fd;
  (void)seconds;
  return !held;
}

void veo_connections_leave(const veo_connections *connections, CURL *easy, double seconds, int held)
{
  long local_port = 0;
  long peer_port = 0;
  char *peer_ip = NULL;
  int i;
  curl_easy_getinfo(easy, CURLINFO_LOCAL_PORT, &local_port);
  curl_easy_getinfo(easy, CURLINFO_PRIMARY_PORT, &peer_port);
  curl_easy_getinfo(easy, CURLINFO_PRIMARY_IP, &peer_ip);
  if(!local_port || !peer_ip)
    return;
  for(i = 0; i < connections->count; i++) {
    curl_socket_t fd = connections->list[i];
    if(is_of(fd, local_port, peer_port, peer_ip)) {
      if(is_silent(fd, seconds, held))
        (void)shutdown(fd, SHUT_RDWR);
      return;
    }
  }
}
