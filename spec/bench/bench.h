/* What the plain C programs share: a body buffer, and an easy handle that sends what lua-veo does, each thing by the
 * option that libcurl has for it. */
#ifndef BENCH_H
#define BENCH_H

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct body {
  size_t length;
  char text[16384];
};

static inline size_t collect(char *bytes, size_t size, size_t count, void *user)
{
  struct body *body = user;
  size_t length = size * count;
  if(length > sizeof(body->text) - body->length)
    return 0;
  memcpy(body->text + body->length, bytes, length);
  body->length += length;
  return length;
}

static inline void fail(const char *what)
{
  fprintf(stderr, "%s\n", what);
  exit(1);
}

/* Sets the URL of task `number`: each call asks for another task, as a client does. */
static inline void ask(CURL *easy, const char *base, long number)
{
  char url[256];
  snprintf(url, sizeof(url), "%s/api/v1/veo/record-info?taskId=bench%08ld", base, number);
  curl_easy_setopt(easy, CURLOPT_URL, url);
}

/* The CA file that lua-veo takes from there too, and no folder beside it: libcurl then reads it once. */
static void trust(CURL *easy)
{
  const char *file = getenv("CURL_CA_BUNDLE");
  if(!file)
    return;
  curl_easy_setopt(easy, CURLOPT_CAINFO, file);
  curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
}

static inline CURL *open_easy(struct body *body)
{
  static struct curl_slist *headers;
  CURL *easy = curl_easy_init();
  if(!easy)
    fail("no easy handle");
  if(!headers) {
    headers = curl_slist_append(headers, "Authorization: Bearer bench-key");
    headers = curl_slist_append(headers, "Accept: application/json");
  }
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(easy, CURLOPT_USERAGENT, "bench/1");
  curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip");
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  trust(easy);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, collect);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, body);
  return easy;
}

static inline void check(CURL *easy, CURLcode code, const struct body *body)
{
  long status = 0;
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
  if(code != CURLE_OK || status != 200 || body->length < 100)
    fail(code != CURLE_OK ? curl_easy_strerror(code) : "not the reply that was expected");
}

#endif
