/* A download in plain C on libcurl: download URL FILE, with the 512 KiB buffer that lua-veo uses. */
#include "bench.h"
#include <fcntl.h>
#include <unistd.h>

static size_t put(char *bytes, size_t size, size_t count, void *user)
{
  ssize_t written = write(*(int *)user, bytes, size * count);
  return written < 0 ? 0 : (size_t)written;
}

int main(int argc, char **argv)
{
  CURL *easy;
  CURLcode code;
  int fd;
  if(argc < 3)
    return 2;
  curl_global_init(CURL_GLOBAL_DEFAULT);
  easy = curl_easy_init();
  fd = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC, 0644);
  curl_easy_setopt(easy, CURLOPT_URL, argv[1]);
  curl_easy_setopt(easy, CURLOPT_FAILONERROR, 1L);
  trust(easy);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 512L * 1024L);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, put);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &fd);
  code = curl_easy_perform(easy);
  curl_easy_cleanup(easy);
  if(code != CURLE_OK)
    fprintf(stderr, "%s\n", curl_easy_strerror(code));
  return code != CURLE_OK || fsync(fd) != 0 || close(fd) != 0;
}
