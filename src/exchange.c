/* One exchange; see exchange.h. */
#include "exchange.h"

#include "callbacks.h"
#include "defaults.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { KEEP_BUFFER = 16384 }; /* bytes of a buffer that stay with a pooled exchange */

static const char no_memory[] = "out of memory";

veo_exchange *veo_exchange_new(void)
{
  veo_exchange *exchange = calloc(1, sizeof *exchange);
  if(!exchange)
    return NULL;
  exchange->easy = curl_easy_init();
  exchange->url = curl_url();
  if(!exchange->easy || !exchange->url) {
    veo_exchange_free(exchange);
    return NULL;
  }
  return exchange;
}

void veo_exchange_free(veo_exchange *exchange)
{
  if(!exchange)
    return;
  curl_easy_cleanup(exchange->easy);
  curl_mime_free(exchange->form); /* the handle first: it still points at the form */
  curl_slist_free_all(exchange->extra);
  curl_url_cleanup(exchange->url);
  veo_buffer_free(&exchange->request);
  veo_buffer_free(&exchange->stream.bytes);
  veo_buffer_free(&exchange->reply);
  veo_sink_release(exchange->sink);
  free(exchange->headers);
  free(exchange->save_to);
  free(exchange);
}

void veo_exchange_recycle(veo_exchange *exchange)
{
  veo_buffer_reset(&exchange->request, KEEP_BUFFER);
  veo_buffer_reset(&exchange->reply, KEEP_BUFFER);
  veo_sink_release(exchange->sink);
  exchange->sink = NULL;
  free(exchange->save_to);
  exchange->save_to = NULL;
  if(exchange->extra) {
    /* The easy handle still points at the list. */
    curl_easy_setopt(exchange->easy, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(exchange->extra);
    exchange->extra = NULL;
    exchange->kind = VEO_KIND_NONE;
  }
  if(exchange->form) {
    curl_easy_setopt(exchange->easy, CURLOPT_MIMEPOST, NULL);
    curl_mime_free(exchange->form);
    exchange->form = NULL;
    exchange->kind = VEO_KIND_NONE;
  }
  veo_buffer_free(&exchange->stream.bytes);
  memset(&exchange->stream, 0, sizeof exchange->stream);
  exchange->tell_headers = 0;
  exchange->owner = NULL;
  exchange->outcome = VEO_OUTCOME_REPLY;
  exchange->sent = VEO_SENT_NO;
  exchange->result = CURLE_OK;
  exchange->http_status = 0;
  exchange->billable = 0;
  exchange->look = 0;
  exchange->resolved = 0;
  exchange->stalled = 0;
  exchange->overflow = 0;
  exchange->offset = 0;
  exchange->written = 0;
  exchange->total = -1;
  exchange->max_bytes = 0;
  exchange->begun = 0;
  exchange->program = 0;
  exchange->status = 0;
  exchange->io_error = 0;
  exchange->io_stage = NULL;
  exchange->error[0] = '\0';
}

/* ------------------------------------------------------------- preparation */

/* Options newer than the libcurl that this was built with are left out; those newer than the one it
 * runs with are refused by it, without harm. */
static void set_newer(CURL *easy)
{
#if LIBCURL_VERSION_NUM >= 0x075700
  /* Cancelling during a look-up would block otherwise: 2.8 s measured. */
  curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
  curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, -1L);
#else
  (void)easy;
#endif
}

static int allow_http_and_https(CURL *easy)
{
#if LIBCURL_VERSION_NUM >= 0x075500
  return !curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") &&
         !curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
#else
  return !curl_easy_setopt(easy, CURLOPT_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS) &&
         !curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS);
#endif
}

/* Sets what every kind needs. The pool keeps live connections and sessions: those belong to the
 * multi handle, not to the easy handle that is reset here. */
static int set_common(veo_exchange *exchange, const veo_settings *settings)
{
  CURL *easy = exchange->easy;
  exchange->kind = VEO_KIND_NONE;
  curl_easy_reset(easy);
  set_newer(easy);
  return !curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) &&
         !curl_easy_setopt(easy, CURLOPT_PRIVATE, exchange) &&
         !curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, exchange->error) &&
         !curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, veo_on_socket) &&
         !curl_easy_setopt(easy, CURLOPT_SOCKOPTDATA, exchange) &&
         !curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, veo_poller_close_socket) &&
         !curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, exchange->poller) &&
         veo_trust_apply(&settings->trust, easy) &&
         (!settings->proxy || !curl_easy_setopt(easy, CURLOPT_PROXY, settings->proxy)) &&
         (!settings->direct || !curl_easy_setopt(easy, CURLOPT_NOPROXY, "*")) &&
         !curl_easy_setopt(easy, CURLOPT_CURLU, exchange->url) && allow_http_and_https(easy);
}

static int is_https(const char *url)
{
  return strncasecmp(url, "https:", 6) == 0;
}

/* Waiting for a connection that may carry HTTP/2 pays off where TLS negotiates it; a plain http
 * connection would be waited for until its first reply says that it cannot. */
static int set_api(veo_exchange *exchange, const char *url)
{
  return !curl_easy_setopt(exchange->easy, CURLOPT_WRITEFUNCTION, veo_on_body) &&
         !curl_easy_setopt(exchange->easy, CURLOPT_WRITEDATA, exchange) &&
         !curl_easy_setopt(exchange->easy, CURLOPT_ACCEPT_ENCODING, "gzip") &&
         !curl_easy_setopt(exchange->easy, CURLOPT_PIPEWAIT, (long)is_https(url));
}

static int set_timeouts(veo_exchange *exchange, long timeout_ms, long connect_timeout_ms)
{
  exchange->timeout_ms = timeout_ms;
  exchange->connect_timeout_ms = connect_timeout_ms;
  return !curl_easy_setopt(exchange->easy, CURLOPT_TIMEOUT_MS, timeout_ms) &&
         !curl_easy_setopt(exchange->easy, CURLOPT_CONNECTTIMEOUT_MS, connect_timeout_ms);
}

/* NULL, or what is wrong with the URL. */
static const char *set_url(veo_exchange *exchange, const char *url, const char *query)
{
  CURLUcode code;
  /* libcurl would take an address without a scheme for one beside the last address of the handle. */
  if(strncasecmp(url, "http://", 7) != 0 && strncasecmp(url, "https://", 8) != 0)
    return "not an http or https address";
  code = curl_url_set(exchange->url, CURLUPART_URL, url, 0);
  if(!code && query)
    code = curl_url_set(exchange->url, CURLUPART_QUERY, query, 0);
  if(code == CURLUE_OUT_OF_MEMORY)
    return no_memory;
  exchange->tls = is_https(url);
  return code ? "not a URL that can be used" : NULL;
}

static int is_unreserved(const char *text, size_t length)
{
  size_t i;
  for(i = 0; i < length; i++) {
    char c = text[i];
    if(!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_' || c == '.' || c == '~'))
      return 0;
  }
  return 1;
}

/* Replaces nothing but the query of the kept URL: 0.85 of the cost of setting a URL string, which
 * is 45 % of libcurl's instructions in an exchange (measured). */
static const char *set_task(veo_exchange *exchange, const char *task_id, size_t length)
{
  CURLUcode code;
  char query[160] = VEO_STATUS_QUERY;
  size_t prefix = sizeof VEO_STATUS_QUERY - 1;
  if(length < sizeof query - prefix && is_unreserved(task_id, length)) {
    memcpy(query + prefix, task_id, length);
    query[prefix + length] = '\0';
    code = curl_url_set(exchange->url, CURLUPART_QUERY, query, 0);
  } else {
    char *escaped = length ? curl_easy_escape(exchange->easy, task_id, (int)length) : NULL;
    int ok = !length || (escaped && veo_buffer_append(&exchange->request, query, prefix) &&
                         veo_buffer_append(&exchange->request, escaped, strlen(escaped)));
    code = !ok ? CURLUE_OUT_OF_MEMORY
               : curl_url_set(exchange->url, CURLUPART_QUERY,
                              length ? exchange->request.data : VEO_STATUS_QUERY, 0);
    curl_free(escaped);
  }
  return code ? no_memory : NULL;
}

const char *veo_prepare_status(veo_exchange *exchange, const veo_settings *settings,
                               const char *task_id, size_t length, long timeout_ms,
                               long connect_timeout_ms)
{
  if(exchange->kind != VEO_KIND_STATUS) {
    const char *wrong;
    veo_buffer url = {NULL, 0, 0};
    if(!set_common(exchange, settings) || !set_api(exchange, settings->base_url) ||
       curl_easy_setopt(exchange->easy, CURLOPT_HTTPHEADER, settings->get_headers) ||
       !veo_buffer_append(&url, settings->base_url, strlen(settings->base_url)) ||
       !veo_buffer_append(&url, settings->status_path, strlen(settings->status_path)))
      wrong = no_memory;
    else
      wrong = set_url(exchange, url.data, NULL);
    veo_buffer_free(&url);
    if(wrong)
      return wrong;
    exchange->timeout_ms = -1;
  }
  if((timeout_ms != exchange->timeout_ms || connect_timeout_ms != exchange->connect_timeout_ms) &&
     !set_timeouts(exchange, timeout_ms, connect_timeout_ms))
    return no_memory;
  exchange->kind = VEO_KIND_STATUS;
  return set_task(exchange, task_id, length);
}

/* The body stays in the exchange: libcurl reads it from there while it sends. */
static int set_post(veo_exchange *exchange, const veo_call *call)
{
  return veo_buffer_append(&exchange->request, call->body ? call->body : "", call->body_length) &&
         !curl_easy_setopt(exchange->easy, CURLOPT_POST, 1L) &&
         !curl_easy_setopt(exchange->easy, CURLOPT_POSTFIELDS, exchange->request.data) &&
         !curl_easy_setopt(exchange->easy, CURLOPT_POSTFIELDSIZE_LARGE,
                           (curl_off_t)call->body_length);
}

/* libcurl re-sends a POST by itself on a reused connection that was closed unanswered and on a
 * refused HTTP/2 stream (three times, measured); with these two it cannot. */
static int set_billable(veo_exchange *exchange)
{
  exchange->billable = 1;
  return !curl_easy_setopt(exchange->easy, CURLOPT_FRESH_CONNECT, 1L) &&
         !curl_easy_setopt(exchange->easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1) &&
         !curl_easy_setopt(exchange->easy, CURLOPT_FOLLOWLOCATION, 0L);
}

const char *veo_prepare_call(veo_exchange *exchange, const veo_settings *settings,
                             const veo_call *call, long timeout_ms, long connect_timeout_ms)
{
  int post = strcmp(call->method, "POST") == 0;
  const char *wrong;
  if(!set_common(exchange, settings) || !set_api(exchange, call->url) ||
     !set_timeouts(exchange, timeout_ms, connect_timeout_ms) ||
     curl_easy_setopt(exchange->easy, CURLOPT_HTTPHEADER,
                      post ? settings->post_headers : settings->get_headers) ||
     (post && !set_post(exchange, call)) || (call->billable && !set_billable(exchange)))
    return no_memory;
  wrong = set_url(exchange, call->url, call->query);
  if(!wrong)
    exchange->kind = VEO_KIND_CALL;
  return wrong;
}

/* A range request goes on where the file stops, if the server's file is still the same. */
static int set_range(veo_exchange *exchange, const veo_fetch *fetch)
{
  char text[320];
  if(fetch->offset <= 0)
    return 1;
  snprintf(text, sizeof text, "%lld-", (long long)fetch->offset);
  if(curl_easy_setopt(exchange->easy, CURLOPT_RANGE, text))
    return 0;
  if(!fetch->if_range)
    return 1;
  snprintf(text, sizeof text, "If-Range: %s", fetch->if_range);
  exchange->extra = curl_slist_append(NULL, text);
  return exchange->extra && !curl_easy_setopt(exchange->easy, CURLOPT_HTTPHEADER, exchange->extra);
}

/* A whole file has no total limit: it ends when it crawls. */
static int set_low_speed(CURL *easy, long seconds)
{
  return !curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, VEO_LOW_SPEED_LIMIT) &&
         !curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, seconds);
}

/* No key and no content encoding. */
static int set_download(veo_exchange *exchange, const veo_fetch *fetch, int stream)
{
  CURL *easy = exchange->easy;
  return !curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, stream ? veo_on_piece : veo_on_file) &&
         !curl_easy_setopt(easy, CURLOPT_WRITEDATA, exchange) &&
         !curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, veo_on_header) &&
         !curl_easy_setopt(easy, CURLOPT_HEADERDATA, exchange) &&
         !curl_easy_setopt(easy, CURLOPT_BUFFERSIZE,
                           stream ? VEO_STREAM_PIECE : fetch->read_size) &&
         set_low_speed(easy, fetch->stall) && !curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L) &&
         !curl_easy_setopt(easy, CURLOPT_MAXREDIRS, VEO_MAX_REDIRECTS);
}

const char *veo_prepare_download(veo_exchange *exchange, const veo_settings *settings,
                                 const veo_fetch *fetch, veo_sink *sink, long timeout_ms,
                                 long connect_timeout_ms)
{
  const char *wrong;
  if(!exchange->headers)
    exchange->headers = malloc(sizeof *exchange->headers);
  if(!exchange->headers || !set_common(exchange, settings) ||
     !set_download(exchange, fetch, sink == NULL) ||
     curl_easy_setopt(exchange->easy, CURLOPT_USERAGENT, settings->user_agent) ||
     !set_timeouts(exchange, timeout_ms, connect_timeout_ms) || !set_range(exchange, fetch))
    return no_memory;
  memset(exchange->headers, 0, sizeof *exchange->headers);
  exchange->headers->range_start = -1;
  exchange->headers->range_total = -1;
  wrong = set_url(exchange, fetch->url, NULL);
  if(wrong)
    return wrong;
  exchange->kind = VEO_KIND_DOWNLOAD;
  exchange->sink = sink ? veo_sink_retain(sink) : NULL;
  exchange->offset = fetch->offset;
  exchange->max_bytes = fetch->max_bytes;
  exchange->stream.on = sink == NULL;
  exchange->stream.cap = fetch->buffer;
  exchange->tell_headers = fetch->tell_headers;
  return NULL;
}

/* The file is opened and read by libcurl while it sends, never as a whole. */
static int add_parts(veo_exchange *exchange, const veo_form *form)
{
  int i;
  curl_mimepart *part;
  exchange->form = curl_mime_init(exchange->easy);
  for(i = 0; exchange->form && i < form->count; i++) {
    part = curl_mime_addpart(exchange->form);
    if(!part || curl_mime_name(part, form->names[i]) ||
       curl_mime_data(part, form->values[i], CURL_ZERO_TERMINATED))
      return 0;
  }
  part = exchange->form ? curl_mime_addpart(exchange->form) : NULL;
  return part && !curl_mime_name(part, form->part) && !curl_mime_filedata(part, form->path) &&
         (!form->file_name || !curl_mime_filename(part, form->file_name)) &&
         !curl_easy_setopt(exchange->easy, CURLOPT_MIMEPOST, exchange->form);
}

const char *veo_prepare_upload(veo_exchange *exchange, const veo_settings *settings,
                               const veo_form *form, long timeout_ms, long connect_timeout_ms)
{
  const char *wrong;
  if(!set_common(exchange, settings) || !set_api(exchange, form->url) ||
     !set_low_speed(exchange->easy, VEO_LOW_SPEED_TIME) ||
     !set_timeouts(exchange, timeout_ms, connect_timeout_ms) ||
     curl_easy_setopt(exchange->easy, CURLOPT_HTTPHEADER, settings->upload_headers))
    return no_memory;
  if(!add_parts(exchange, form))
    return "the file cannot be read";
  wrong = set_url(exchange, form->url, NULL);
  if(!wrong)
    exchange->kind = VEO_KIND_UPLOAD;
  return wrong;
}

/* Connects and shakes hands, and leaves the connection to be reused; carries no key. */
const char *veo_prepare_warm(veo_exchange *exchange, const veo_settings *settings, long timeout_ms,
                             long connect_timeout_ms)
{
  const char *wrong;
  if(!set_common(exchange, settings) || !set_api(exchange, settings->base_url) ||
     !set_timeouts(exchange, timeout_ms, connect_timeout_ms) ||
     curl_easy_setopt(exchange->easy, CURLOPT_USERAGENT, settings->user_agent) ||
     curl_easy_setopt(exchange->easy, CURLOPT_NOBODY, 1L))
    return no_memory;
  wrong = set_url(exchange, settings->base_url, NULL);
  if(!wrong)
    exchange->kind = VEO_KIND_WARM;
  return wrong;
}

const char *veo_prepare_save(veo_exchange *exchange, veo_sink *sink, const char *to, int overwrite)
{
  exchange->save_to = veo_copy(to, strlen(to));
  if(!exchange->save_to)
    return no_memory;
  exchange->kind = VEO_KIND_SAVE;
  exchange->sink = veo_sink_retain(sink);
  exchange->overwrite = overwrite;
  return NULL;
}

const char *veo_prepare_program(veo_exchange *exchange, const char *arguments, size_t length,
                                long timeout_ms)
{
  if(!veo_buffer_append(&exchange->request, arguments, length))
    return no_memory;
  exchange->kind = VEO_KIND_SAVE; /* for the engine: work on a thread */
  exchange->program = 1;
  exchange->timeout_ms = timeout_ms;
  return NULL;
}

/* ----------------------------------------------------------------- outcome */

void veo_exchange_tell(veo_exchange *exchange)
{
  if(exchange->has_news || !exchange->news)
    return;
  exchange->has_news = 1;
  exchange->news_next = *exchange->news;
  *exchange->news = exchange;
}

veo_sent veo_exchange_sent(const veo_exchange *exchange)
{
  long status = 0;
  long bytes = 0;
  curl_off_t handshake = 0;
  curl_off_t ready = 0;
  if(exchange->state < VEO_STATE_ACTIVE)
    return VEO_SENT_NO;
  if(exchange->state >= VEO_STATE_DONE)
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
  return exchange->billable && exchange->tls && handshake == 0 && ready == 0 ? VEO_SENT_NO
                                                                             : VEO_SENT_MAYBE;
}

static int is_unreadable(CURLcode result)
{
  return result == CURLE_BAD_CONTENT_ENCODING || result == CURLE_WEIRD_SERVER_REPLY ||
         result == CURLE_UNSUPPORTED_PROTOCOL; /* "Received HTTP/0.9 when not allowed" */
}

static void finish_download(veo_exchange *exchange)
{
  curl_off_t nothing_left = exchange->offset;
  if(exchange->begun)
    return;
  /* A reply without a body: an empty file, or an error page of no bytes. */
  if(exchange->http_status == 200 && exchange->sink) {
    exchange->offset = 0;
    exchange->total = 0;
    exchange->io_error = veo_sink_truncate(exchange->sink, 0);
    exchange->io_stage = "emptying the file";
  } else if(exchange->http_status == 200 && exchange->offset == 0)
    exchange->outcome = VEO_OUTCOME_REPLY;
  else if(exchange->http_status != 206 || exchange->headers->range_start != nothing_left)
    exchange->outcome = VEO_OUTCOME_REFUSED;
}

void veo_exchange_finish(veo_exchange *exchange, CURLcode result)
{
  exchange->sent = veo_exchange_sent(exchange);
  exchange->result = result;
  curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &exchange->http_status);
  if(exchange->kind == VEO_KIND_DOWNLOAD && result == CURLE_OK)
    finish_download(exchange);
  if(exchange->io_error)
    exchange->outcome = VEO_OUTCOME_IO;
  else if(exchange->overflow)
    exchange->outcome = VEO_OUTCOME_TOO_LARGE;
  else if(exchange->outcome != VEO_OUTCOME_REFUSED && result != CURLE_OK)
    exchange->outcome = is_unreadable(result) ? VEO_OUTCOME_UNREADABLE : VEO_OUTCOME_NETWORK;
  exchange->state = VEO_STATE_DONE;
}

void veo_exchange_abandon(veo_exchange *exchange, veo_outcome outcome)
{
  exchange->sent = veo_exchange_sent(exchange);
  exchange->outcome = outcome;
  exchange->state = VEO_STATE_DONE;
}
