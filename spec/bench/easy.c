/* The status call in plain C: easy URL COUNT: one easy handle, one connection, the body in a buffer, no JSON. */
#include "bench.h"

int main(int argc, char **argv)
{
  static struct body body;
  long count = argc > 2 ? atol(argv[2]) : 0;
  CURL *easy;
  curl_global_init(CURL_GLOBAL_DEFAULT);
  easy = open_easy(&body);
  for(long i = 0; i < count; i++) {
    body.length = 0;
    ask(easy, argv[1], i);
    check(easy, curl_easy_perform(easy), &body);
  }
  curl_easy_cleanup(easy);
  return 0;
}
