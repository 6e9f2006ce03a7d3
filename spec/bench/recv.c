/* A download with nothing but the kernel: recv PORT PATH FILE, recv of 1 MiB and write, over loopback. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char buffer[1 << 20];

static void fail(const char *what)
{
  perror(what);
  exit(1);
}

static int connect_to(int port)
{
  struct sockaddr_in address = {0};
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  address.sin_family = AF_INET;
  address.sin_port = htons((unsigned short)port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if(fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
    fail("connect");
  return fd;
}

/* The bytes of the body that came with the end of the header stay at the start of the buffer. */
static size_t skip_header(int fd)
{
  size_t have = 0;
  char *end = NULL;
  while(!end) {
    ssize_t got = recv(fd, buffer + have, 4096, 0);
    if(got <= 0 || have > 65536)
      fail("header");
    have += (size_t)got;
    buffer[have] = '\0';
    end = strstr(buffer, "\r\n\r\n");
  }
  end += 4;
  have -= (size_t)(end - buffer);
  memmove(buffer, end, have);
  return have;
}

int main(int argc, char **argv)
{
  int in;
  int out;
  ssize_t got;
  if(argc < 4) {
    fprintf(stderr, "recv PORT PATH FILE\n");
    return 1;
  }
  in = connect_to(atoi(argv[1]));
  out = open(argv[3], O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if(dprintf(in, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", argv[2]) < 0)
    fail("send");
  got = (ssize_t)skip_header(in);
  do {
    if(write(out, buffer, (size_t)got) != got)
      fail("write");
    got = recv(in, buffer, sizeof(buffer), 0);
  } while(got > 0);
  if(got < 0 || fsync(out) != 0)
    fail("recv");
  return 0;
}
