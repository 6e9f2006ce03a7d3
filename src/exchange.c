/* One exchange; see exchange.h. */
#include "exchange.h"

#include "defaults.h"
#include "descriptors.h"
#include "inflate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { KEEP_BUFFER = 16384 }; /* bytes of a buffer that stay with a pooled exchange */

veo_exchange *veo_exchange_new(void)
{
  veo_exchange *exchange = calloc(1, sizeof *exchange);
  if(!exchange)
    return NULL;
  exchange->url = curl_url();
  if(!exchange->url) {
    veo_exchange_free(exchange);
    return NULL;
  }
  return exchange;
}

veo_download *veo_download_new(void)
{
  veo_download *download = calloc(1, sizeof *download);
  if(!download)
    return NULL;
  download->headers.range_start = -1;
  download->headers.range_total = -1;
  download->total = -1;
  return download;
}

static void free_download(veo_download *download)
{
  if(!download)
    return;
  curl_slist_free_all(download->extra);
  veo_buffer_free(&download->stream.bytes);
  veo_sink_release(download->sink);
  free(download);
}

void veo_exchange_free(veo_exchange *exchange)
{
  if(!exchange)
    return;
  curl_easy_cleanup(exchange->easy); /* first: it points at the form and the header */
  curl_mime_free(exchange->form);
  curl_url_cleanup(exchange->url);
  veo_buffer_free(&exchange->call.request);
  veo_buffer_free(&exchange->reply);
  free_download(exchange->download);
  free(exchange);
}

static int keeps_handle(const veo_exchange *exchange)
{
  return exchange->op.kind == VEO_KIND_STATUS && exchange->op.state >= VEO_STATE_DONE &&
         exchange->outcome == VEO_OUTCOME_REPLY && exchange->result == CURLE_OK;
}

void veo_exchange_recycle(veo_exchange *exchange)
{
  if(!keeps_handle(exchange)) {
    curl_easy_cleanup(exchange->easy); /* first: it points at the form and the header */
    exchange->easy = NULL;
    exchange->op.kind = VEO_KIND_NONE;
  }
  curl_mime_free(exchange->form);
  exchange->form = NULL;
  free_download(exchange->download);
  exchange->download = NULL;
  veo_buffer_reset(&exchange->call.request, KEEP_BUFFER);
  veo_buffer_reset(&exchange->reply, KEEP_BUFFER);
  exchange->call.look = 0;
  exchange->call.billable = 0;
  exchange->call.without_alpn = 0;
  exchange->call.no_alpn = 0;
  exchange->op.owner = NULL;
  exchange->outcome = VEO_OUTCOME_REPLY;
  exchange->sent = VEO_SENT_NO;
  exchange->result = CURLE_OK;
  exchange->http_status = 0;
  exchange->slow = 0;
  exchange->resolved = 0;
  exchange->overflow = 0;
  exchange->header_bytes = 0;
  exchange->in_headers = 0;
  exchange->error[0] = '\0';
}

int veo_is_encoded(const veo_file_headers *headers)
{
  const char *encoding = headers->encoding;
  return *encoding && strcasecmp(encoding, "identity") != 0 && strcasecmp(encoding, "none") != 0;
}

/* ----------------------------------------------------------------- outcome */

void veo_exchange_tell(veo_exchange *exchange)
{
  veo_download *download = exchange->download;
  if(download->has_news)
    return;
  download->has_news = 1;
  download->news_next = *download->news;
  *download->news = exchange;
}

veo_sent veo_exchange_sent(const veo_exchange *exchange)
{
  long status = 0;
  long bytes = 0;
  curl_off_t handshake = 0;
  curl_off_t ready = 0;
  if(exchange->op.state < VEO_STATE_ACTIVE)
    return VEO_SENT_NO;
  if(exchange->op.state >= VEO_STATE_DONE)
    return exchange->sent;
  curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &status);
  if(status >= 200)
    return VEO_SENT_YES; /* a 1xx is no answer */
  curl_easy_getinfo(exchange->easy, CURLINFO_REQUEST_SIZE, &bytes);
  if(bytes == 0)
    return VEO_SENT_NO;
  /* Behind a proxy the bytes may be the CONNECT's; the fresh connection's handshake tells. Both clocks
   * must, because money hangs on it. */
  curl_easy_getinfo(exchange->easy, CURLINFO_APPCONNECT_TIME_T, &handshake);
  curl_easy_getinfo(exchange->easy, CURLINFO_PRETRANSFER_TIME_T, &ready);
  return exchange->call.billable && exchange->tls && handshake == 0 && ready == 0 ? VEO_SENT_NO
                                                                                  : VEO_SENT_MAYBE;
}

/* An answer that came compressed, whatever its headers say of that. One that is damaged keeps what could be read. */
static void unpack(veo_exchange *exchange)
{
  veo_buffer plain = {NULL, 0, 0};
  veo_inflated how;
  if(exchange->download || !exchange->reply.length)
    return;
  how = veo_inflate(exchange->reply.data, exchange->reply.length, &plain, VEO_REPLY_CAP);
  if(how == VEO_INFLATE_TOO_LARGE)
    exchange->overflow = 1;
  if(how == VEO_INFLATE_DAMAGED && exchange->result == CURLE_OK) {
    exchange->result = CURLE_BAD_CONTENT_ENCODING;
    snprintf(exchange->error, sizeof exchange->error,
             "the compressed reply is damaged, or has bytes behind its end");
  }
  if(plain.length) {
    veo_buffer_free(&exchange->reply);
    exchange->reply = plain;
  } else
    veo_buffer_free(&plain);
}

static int is_unreadable(CURLcode result)
{
  return result == CURLE_BAD_CONTENT_ENCODING || result == CURLE_WEIRD_SERVER_REPLY ||
         result == CURLE_UNSUPPORTED_PROTOCOL; /* "Received HTTP/0.9 when not allowed" */
}

static void finish_download(veo_exchange *exchange)
{
  veo_download *download = exchange->download;
  if(download->begun)
    return;
  /* A reply without a body: an empty file, or an error page of no bytes. What is here is not given up for it. */
  if(exchange->http_status == 200 &&
     (download->sink ? veo_sink_size(download->sink) : download->offset) > 0) {
    exchange->outcome = VEO_OUTCOME_NETWORK;
    snprintf(exchange->error, sizeof exchange->error,
             "the server answered with no byte of the file");
  } else if(exchange->http_status == 200 && download->sink)
    download->total = 0;
  else if(exchange->http_status == 200)
    exchange->outcome = VEO_OUTCOME_REPLY;
  else if(exchange->http_status != 206 || download->headers.range_start != download->offset)
    exchange->outcome = VEO_OUTCOME_REFUSED;
}

/* A redirect that libcurl was told not to follow or cannot read. (Its code is also that of a server that does
 * not speak HTTP, which may be one that a redirect led to.) */
static int is_forbidden_redirect(const veo_exchange *exchange, CURLcode result)
{
  const char *to = exchange->download ? exchange->download->headers.location : "";
  if(!*to || exchange->http_status < 300 || exchange->http_status > 399)
    return 0;
  if(result == CURLE_UNSUPPORTED_PROTOCOL)
    return veo_has_other_scheme(to);
  return result == CURLE_URL_MALFORMAT || result == CURLE_TOO_MANY_REDIRECTS;
}

/* Certificates that could not be read for want of a descriptor look as if they were damaged or did not hold, which no
 * waiting would mend: it becomes the code that libcurl has for it where it reads a folder through OpenSSL. */
static CURLcode tell_shortage(veo_exchange *exchange, CURLcode result)
{
  if((result != CURLE_SSL_CACERT_BADFILE && result != CURLE_PEER_FAILED_VERIFICATION) ||
     !veo_descriptors_short())
    return result;
  snprintf(exchange->error, sizeof exchange->error,
           "too few descriptors were left to read certificates");
  return CURLE_SSL_CONNECT_ERROR;
}

void veo_exchange_finish(veo_exchange *exchange, CURLcode result)
{
  exchange->sent = veo_exchange_sent(exchange);
  result = tell_shortage(exchange, result);
  if(result == CURLE_OK && exchange->in_headers) {
    /* libcurl takes a reply that was cut in its headers for a whole one without a body. */
    result = CURLE_PARTIAL_FILE;
    snprintf(exchange->error, sizeof exchange->error, "the reply ended within its headers");
  }
  exchange->result = result;
  unpack(exchange);
  result = exchange->result;
  curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &exchange->http_status);
  if(exchange->download && result == CURLE_OK)
    finish_download(exchange);
  if(exchange->download && exchange->download->io_error)
    exchange->outcome = VEO_OUTCOME_IO;
  else if(exchange->overflow)
    exchange->outcome = VEO_OUTCOME_TOO_LARGE;
  else if(result == CURLE_ABORTED_BY_CALLBACK && exchange->call.no_alpn) {
    exchange->outcome = VEO_OUTCOME_PROTOCOL;
    exchange->sent = VEO_SENT_NO; /* stopped just before; what left went to a proxy */
  } else if(is_forbidden_redirect(exchange, result))
    exchange->outcome = VEO_OUTCOME_REDIRECT;
  else if(exchange->header_bytes > VEO_HEADER_CAP) {
    exchange->outcome = VEO_OUTCOME_UNREADABLE;
    snprintf(exchange->error, sizeof exchange->error, "the reply's headers are longer than %d KiB",
             (int)(VEO_HEADER_CAP >> 10));
  } else if(exchange->outcome != VEO_OUTCOME_REFUSED && result != CURLE_OK)
    exchange->outcome = is_unreadable(result) ? VEO_OUTCOME_UNREADABLE : VEO_OUTCOME_NETWORK;
  exchange->op.state = VEO_STATE_DONE;
}

void veo_exchange_abandon(veo_exchange *exchange, veo_outcome outcome)
{
  exchange->sent = veo_exchange_sent(exchange);
  unpack(exchange); /* what came of the answer to an order may name its task */
  exchange->outcome = outcome;
  exchange->op.state = VEO_STATE_DONE;
}
