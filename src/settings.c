/* A client's settings; see settings.h. */
#include "settings.h"

#include "text.h"

#include <stdlib.h>
#include <string.h>

/* Appends, keeping the list when memory is short. */
static int add(struct curl_slist **list, const char *header)
{
  struct curl_slist *longer = curl_slist_append(*list, header);
  if(!longer)
    return 0;
  *list = longer;
  return 1;
}

/* Appends "name: value" and leaves no copy of it behind. */
static int add_value(struct curl_slist **list, const char *name, const char *value)
{
  veo_buffer header = {NULL, 0, 0};
  int ok = veo_buffer_append(&header, name, strlen(name)) &&
           veo_buffer_append(&header, value, strlen(value)) && add(list, header.data);
  if(header.data)
    veo_wipe(header.data, header.length);
  veo_buffer_free(&header);
  return ok;
}

/* As lines of our own, User-Agent and Accept-Encoding cost a sixth of what the options for them do:
 * libcurl prints those anew, byte by byte, for every exchange (7,000 instructions, measured). */
static int add_common(const veo_settings *settings, struct curl_slist **list, const char *encoding)
{
  return add_value(list, "Authorization: Bearer ", settings->api_key) &&
         add_value(list, "User-Agent: ", settings->user_agent) &&
         add(list, "Accept: application/json") && add(list, encoding);
}

/* Asked once: libcurl asks for each exchange, 3 % of its instructions (measured). */
static int is_direct(const veo_settings *settings)
{
  static const char *const names[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
                                      "ALL_PROXY"};
  size_t i;
  for(i = 0; i < sizeof names / sizeof *names; i++) {
    if(settings->proxy || getenv(names[i]))
      return 0;
  }
  return 1;
}

int veo_settings_finish(veo_settings *settings)
{
  static const char gzip[] = "Accept-Encoding: gzip";
  static const char json[] = "Content-Type: application/json";
  int ok =
      add_common(settings, &settings->get_headers, gzip) &&
      add_common(settings, &settings->post_headers, gzip) && add(&settings->post_headers, json) &&
      /* libcurl would send the body again on 417 */
      add(&settings->post_headers, "Expect:") &&
      /* no compression for orders: a cut answer then shows what came (a compressed one is read all the same: inflate.c) */
      add_common(settings, &settings->order_headers, "Accept-Encoding: identity") &&
      add(&settings->order_headers, json) && add(&settings->order_headers, "Expect:") &&
      add_common(settings, &settings->upload_headers, gzip) &&
      add(&settings->upload_headers, "Expect:");
  settings->direct |= is_direct(settings);
  return ok && veo_ca_find(&settings->ca);
}

static void free_headers(struct curl_slist *list)
{
  struct curl_slist *header;
  for(header = list; header; header = header->next)
    veo_wipe(header->data, strlen(header->data));
  curl_slist_free_all(list);
}

void veo_settings_free(veo_settings *settings)
{
  if(settings->api_key)
    veo_wipe(settings->api_key, strlen(settings->api_key));
  free(settings->base_url);
  free(settings->extend_path);
  free(settings->status_path);
  free(settings->api_key);
  free(settings->user_agent);
  veo_ca_free(&settings->ca);
  free(settings->proxy);
  free_headers(settings->get_headers);
  free_headers(settings->post_headers);
  free_headers(settings->order_headers);
  free_headers(settings->upload_headers);
  memset(settings, 0, sizeof *settings);
}
