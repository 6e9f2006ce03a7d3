/* What it costs to load libcurl: does nothing else. */
#include <curl/curl.h>

int main(void)
{
  return curl_version()[0] == '\0';
}
