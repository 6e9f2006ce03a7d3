/* Sets an exchange up; see prepare.h. */
#include "prepare.h"

#include "curl_callbacks.h"
#include "defaults.h"
#include "process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* False, and the error names the option, when libcurl refuses it. */
#define SET(exchange, option, value)                                                               \
  took(exchange, #option, curl_easy_setopt((exchange)->easy, option, value))

static int took(veo_exchange *exchange, const char *option, CURLcode code)
{
  if(code == CURLE_OK)
    return 1;
  snprintf(exchange->error, sizeof exchange->error, "libcurl refuses %s: %s", option,
           curl_easy_strerror(code));
  return 0;
}

/* The same for what a libcurl that was built without it does not need: proxies, TLS. */
#define SET_IF_KNOWN(exchange, option, value)                                                      \
  took_if_known(exchange, #option, curl_easy_setopt((exchange)->easy, option, value))

static int took_if_known(veo_exchange *exchange, const char *option, CURLcode code)
{
  return code == CURLE_UNKNOWN_OPTION || code == CURLE_NOT_BUILT_IN || took(exchange, option, code);
}

/* Where nothing said why, memory was short. */
static veo_prepared failed(veo_exchange *exchange)
{
  if(!exchange->error[0])
    snprintf(exchange->error, sizeof exchange->error, "out of memory");
  return VEO_PREPARE_FAILED;
}

static veo_prepared invalid(veo_exchange *exchange, const char *why)
{
  snprintf(exchange->error, sizeof exchange->error, "%s", why);
  return VEO_PREPARE_INVALID;
}

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

static int allow_http_and_https(veo_exchange *exchange)
{
#if LIBCURL_VERSION_NUM >= 0x075500
  /* It refuses a list with one that it does not know. */
  const char *known = veo_libcurl_has(CURL_VERSION_SSL) ? "http,https" : "http";
  return SET(exchange, CURLOPT_PROTOCOLS_STR, known) &&
         SET(exchange, CURLOPT_REDIR_PROTOCOLS_STR, known);
#else
  return SET(exchange, CURLOPT_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS) &&
         SET(exchange, CURLOPT_REDIR_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS);
#endif
}

static int is_https(const char *url)
{
  return strncasecmp(url, "https:", 6) == 0;
}

/* A new handle with what every kind needs. The pool keeps live connections and sessions: those belong to the
 * multi handle. */
static int set_common(veo_exchange *exchange, const veo_settings *settings, const char *url)
{
  /* Plain http to this machine shows the key: it goes through no proxy, whoever named one. */
  int direct = settings->direct || (!is_https(url) && veo_is_loopback(url));
  curl_easy_cleanup(exchange->easy);
  exchange->op.kind = VEO_KIND_NONE;
  exchange->deadline.stall = 0;
  exchange->easy = curl_easy_init();
  if(!exchange->easy)
    return 0;
  set_newer(exchange->easy);
  return SET(exchange, CURLOPT_NOSIGNAL, 1L) && SET(exchange, CURLOPT_PRIVATE, exchange) &&
         SET(exchange, CURLOPT_ERRORBUFFER, exchange->error) &&
         SET(exchange, CURLOPT_HEADERFUNCTION, veo_on_header) &&
         SET(exchange, CURLOPT_HEADERDATA, exchange) &&
         SET(exchange, CURLOPT_SOCKOPTFUNCTION, veo_on_socket) &&
         SET(exchange, CURLOPT_SOCKOPTDATA, exchange) &&
         SET(exchange, CURLOPT_CLOSESOCKETFUNCTION, veo_poller_close_socket) &&
         SET(exchange, CURLOPT_CLOSESOCKETDATA, exchange->poller) &&
         SET(exchange, CURLOPT_TCP_KEEPALIVE, 1L) &&
         SET(exchange, CURLOPT_TCP_KEEPIDLE, VEO_KEEP_ALIVE) &&
         SET(exchange, CURLOPT_TCP_KEEPINTVL, VEO_KEEP_ALIVE) &&
         took(exchange, "CURLOPT_CAINFO", veo_ca_apply(&settings->ca, exchange->easy)) &&
         (!settings->proxy || SET(exchange, CURLOPT_PROXY, settings->proxy)) &&
         (!direct || SET_IF_KNOWN(exchange, CURLOPT_NOPROXY, "*")) &&
         SET(exchange, CURLOPT_CURLU, exchange->url) && allow_http_and_https(exchange);
}

/* Waiting for a connection that may carry HTTP/2 pays off where TLS negotiates it; a plain http
 * connection would be waited for until its first reply says that it cannot. */
static int set_api(veo_exchange *exchange, const char *url)
{
  return SET(exchange, CURLOPT_WRITEFUNCTION, veo_on_body) &&
         SET(exchange, CURLOPT_WRITEDATA, exchange) &&
         SET(exchange, CURLOPT_PIPEWAIT, (long)is_https(url));
}

/* The whole time is kept by us (see deadline.h), the time to connect by libcurl. */
static int set_timeouts(veo_exchange *exchange, long timeout_ms, long connect_timeout_ms)
{
  exchange->timeout_ms = timeout_ms;
  exchange->connect_timeout_ms = connect_timeout_ms;
  return SET(exchange, CURLOPT_CONNECTTIMEOUT_MS, connect_timeout_ms);
}

static veo_prepared set_url(veo_exchange *exchange, const char *url, const char *query)
{
  CURLUcode code;
  /* libcurl would take an address without a scheme for one beside the last address of the handle. */
  if(strncasecmp(url, "http://", 7) != 0 && strncasecmp(url, "https://", 8) != 0)
    return invalid(exchange, "not an http or https address");
  code = curl_url_set(exchange->url, CURLUPART_URL, url, 0);
  if(!code && query)
    code = curl_url_set(exchange->url, CURLUPART_QUERY, query, 0);
  if(code == CURLUE_OUT_OF_MEMORY)
    return failed(exchange);
  exchange->tls = is_https(url);
  if(code == CURLUE_UNSUPPORTED_SCHEME) {
    snprintf(exchange->error, sizeof exchange->error, "this libcurl was built without %s",
             exchange->tls ? "TLS, which https needs" : "http");
    return VEO_PREPARE_FAILED;
  }
  return code ? invalid(exchange, "not a URL that can be used") : VEO_PREPARED;
}

/* As text: where a redirect leads elsewhere, libcurl under 7.72 asks for the address of a URL handle again. */
static veo_prepared set_link(veo_exchange *exchange, const char *url)
{
  veo_prepared state = set_url(exchange, url, NULL);
  char *text = NULL;
  int ok;
  if(state != VEO_PREPARED)
    return state;
  ok = !curl_url_get(exchange->url, CURLUPART_URL, &text, 0) &&
       SET(exchange, CURLOPT_CURLU, (CURLU *)NULL) && SET(exchange, CURLOPT_URL, text);
  curl_free(text);
  return ok ? VEO_PREPARED : failed(exchange);
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
static veo_prepared set_task(veo_exchange *exchange, const char *task_id, size_t length)
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
    int ok = !length || (escaped && veo_buffer_append(&exchange->call.request, query, prefix) &&
                         veo_buffer_append(&exchange->call.request, escaped, strlen(escaped)));
    code = !ok ? CURLUE_OUT_OF_MEMORY
               : curl_url_set(exchange->url, CURLUPART_QUERY,
                              length ? exchange->call.request.data : VEO_STATUS_QUERY, 0);
    curl_free(escaped);
  }
  return code ? failed(exchange) : VEO_PREPARED;
}

static veo_prepared set_status(veo_exchange *exchange, const veo_settings *settings)
{
  veo_prepared state = VEO_PREPARE_FAILED;
  veo_buffer url = {NULL, 0, 0};
  exchange->connect_timeout_ms = -1;
  if(set_common(exchange, settings, settings->base_url) && set_api(exchange, settings->base_url) &&
     SET(exchange, CURLOPT_HTTPHEADER, settings->get_headers) &&
     veo_buffer_append(&url, settings->base_url, strlen(settings->base_url)) &&
     veo_buffer_append(&url, settings->status_path, strlen(settings->status_path)))
    state = set_url(exchange, url.data, NULL);
  veo_buffer_free(&url);
  return state;
}

veo_prepared veo_prepare_status(veo_exchange *exchange, const veo_settings *settings,
                                const char *task_id, size_t length, long timeout_ms,
                                long connect_timeout_ms)
{
  veo_prepared state =
      exchange->op.kind == VEO_KIND_STATUS ? VEO_PREPARED : set_status(exchange, settings);
  if(state == VEO_PREPARED)
    state = set_task(exchange, task_id, length);
  exchange->timeout_ms = timeout_ms;
  if(state == VEO_PREPARED && connect_timeout_ms != exchange->connect_timeout_ms &&
     !set_timeouts(exchange, timeout_ms, connect_timeout_ms))
    state = VEO_PREPARE_FAILED;
  if(state != VEO_PREPARED)
    return state == VEO_PREPARE_FAILED ? failed(exchange) : state;
  exchange->op.kind = VEO_KIND_STATUS;
  return VEO_PREPARED;
}

/* The body stays in the exchange: libcurl reads it from there while it sends. */
static int set_post(veo_exchange *exchange, const veo_call *call)
{
  return veo_buffer_append(&exchange->call.request, call->body ? call->body : "",
                           call->body_length) &&
         SET(exchange, CURLOPT_POST, 1L) &&
         SET(exchange, CURLOPT_POSTFIELDS, exchange->call.request.data) &&
         SET(exchange, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body_length);
}

/* libcurl re-sends a POST by itself on a reused connection that was closed unanswered and on a
 * refused HTTP/2 stream (three times, measured); with the first two it cannot. Its connection is for nothing
 * else: looks would leave HTTP/2 for it (9,300 of 10,000 after 200 orders, 81 us each instead of 65). */
static int set_billable(veo_exchange *exchange, const veo_call *call)
{
  /* Beside an HTTP/2 connection to the same host, libcurl 7.88 puts a look on an HTTP/1.1 connection that is in
   * use, and the two read each other's answers. It does not where the TLS options differ. */
  if(!SET_IF_KNOWN(exchange, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2))
    return 0;
  exchange->call.billable = 1;
  exchange->call.without_alpn = call->without_alpn;
#if LIBCURL_VERSION_NUM >= 0x075000
  /* An older libcurl at run time does not have it, and sends in any case. */
  if(!curl_easy_setopt(exchange->easy, CURLOPT_PREREQFUNCTION, veo_on_ready) &&
     !(SET(exchange, CURLOPT_PREREQDATA, exchange) && SET(exchange, CURLOPT_VERBOSE, 1L) &&
       SET(exchange, CURLOPT_DEBUGFUNCTION, veo_on_debug) &&
       SET(exchange, CURLOPT_DEBUGDATA, exchange)))
    return 0;
#endif
  return SET(exchange, CURLOPT_FRESH_CONNECT, 1L) &&
         SET(exchange, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1) &&
         SET(exchange, CURLOPT_FORBID_REUSE, 1L) && SET(exchange, CURLOPT_FOLLOWLOCATION, 0L);
}

static struct curl_slist *headers_of(const veo_settings *settings, const veo_call *call)
{
  if(call->billable)
    return settings->order_headers;
  return strcmp(call->method, "POST") == 0 ? settings->post_headers : settings->get_headers;
}

veo_prepared veo_prepare_call(veo_exchange *exchange, const veo_settings *settings,
                              const veo_call *call, long timeout_ms, long connect_timeout_ms)
{
  veo_prepared state;
  int post = strcmp(call->method, "POST") == 0;
  if(!set_common(exchange, settings, call->url) || !set_api(exchange, call->url) ||
     !set_timeouts(exchange, timeout_ms, connect_timeout_ms) ||
     !SET(exchange, CURLOPT_HTTPHEADER, headers_of(settings, call)) ||
     (post && !set_post(exchange, call)) || (call->billable && !set_billable(exchange, call)))
    return failed(exchange);
  state = set_url(exchange, call->url, call->query);
  if(state == VEO_PREPARED)
    exchange->op.kind = VEO_KIND_CALL;
  return state;
}

static int set_header(veo_exchange *exchange, const char *text)
{
  veo_download *download = exchange->download;
  download->extra = curl_slist_append(NULL, text);
  return download->extra && SET(exchange, CURLOPT_HTTPHEADER, download->extra);
}

/* A range request goes on where the file stops, if the server's file is still the same. */
static int set_range(veo_exchange *exchange, const veo_fetch *fetch)
{
  char text[320];
  if(fetch->offset <= 0)
    return 1;
  snprintf(text, sizeof text, "%lld-", (long long)fetch->offset);
  if(!SET(exchange, CURLOPT_RANGE, text))
    return 0;
  if(!fetch->if_range)
    return 1;
  snprintf(text, sizeof text, "If-Range: %s", fetch->if_range);
  return set_header(exchange, text);
}

/* libcurl decodes only what it asks for. The header that asks is taken out again; some servers encode all the same. */
static int set_decoding(veo_exchange *exchange, const veo_fetch *fetch)
{
  if(!fetch->decode || fetch->offset > 0)
    return 1;
  exchange->download->decodes = 1;
  return set_header(exchange, "Accept-Encoding:") && SET(exchange, CURLOPT_ACCEPT_ENCODING, "gzip");
}

/* No key and no content encoding. Files at once share one HTTP/2 connection, as looks do: with some alone on theirs and
 * the others on one, the slowest of 50 took 3.5 times as long as the fastest at a fair server, instead of 1.3. */
static int set_download(veo_exchange *exchange, const veo_fetch *fetch, int stream)
{
  return SET(exchange, CURLOPT_WRITEFUNCTION, stream ? veo_on_piece : veo_on_file) &&
         SET(exchange, CURLOPT_WRITEDATA, exchange) &&
         SET(exchange, CURLOPT_BUFFERSIZE, stream ? VEO_STREAM_PIECE : fetch->read_size) &&
         SET(exchange, CURLOPT_PIPEWAIT, (long)is_https(fetch->url)) &&
         SET(exchange, CURLOPT_FOLLOWLOCATION, 1L) &&
         SET(exchange, CURLOPT_MAXREDIRS, VEO_MAX_REDIRECTS);
}

static veo_download *new_download(const veo_fetch *fetch, veo_sink *sink)
{
  veo_download *download = veo_download_new();
  if(!download)
    return NULL;
  download->sink = sink ? veo_sink_retain(sink) : NULL;
  download->offset = fetch->offset;
  download->max_bytes = fetch->max_bytes;
  download->stream.cap = fetch->buffer;
  download->tell_headers = fetch->tell_headers;
  download->no_pages = fetch->no_pages;
  download->no_encoded = fetch->decode && fetch->offset > 0;
  return download;
}

veo_prepared veo_prepare_download(veo_exchange *exchange, const veo_settings *settings,
                                  const veo_fetch *fetch, veo_sink *sink, long timeout_ms,
                                  long connect_timeout_ms)
{
  veo_prepared state;
  exchange->download = new_download(fetch, sink);
  if(!exchange->download || !set_common(exchange, settings, fetch->url) ||
     !set_download(exchange, fetch, sink == NULL) ||
     !SET(exchange, CURLOPT_USERAGENT, settings->user_agent) ||
     !set_timeouts(exchange, timeout_ms, connect_timeout_ms) || !set_range(exchange, fetch) ||
     !set_decoding(exchange, fetch))
    return failed(exchange);
  state = set_link(exchange, fetch->url);
  if(state != VEO_PREPARED)
    return state;
  exchange->op.kind = VEO_KIND_DOWNLOAD;
  exchange->deadline.stall = fetch->stall;
  return VEO_PREPARED;
}

static int add_fields(veo_exchange *exchange, const veo_form *form)
{
  int i;
  exchange->form = curl_mime_init(exchange->easy);
  for(i = 0; exchange->form && i < form->count; i++) {
    curl_mimepart *part = curl_mime_addpart(exchange->form);
    if(!part || curl_mime_name(part, form->names[i]) ||
       curl_mime_data(part, form->values[i], CURL_ZERO_TERMINATED))
      return 0;
  }
  return exchange->form != NULL;
}

/* The file is opened and read by libcurl while it sends, never as a whole. */
static veo_prepared add_file(veo_exchange *exchange, const veo_form *form)
{
  curl_mimepart *part = curl_mime_addpart(exchange->form);
  CURLcode code = part ? curl_mime_filedata(part, form->path) : CURLE_OUT_OF_MEMORY;
  if(code == CURLE_READ_ERROR)
    return invalid(exchange, "the file cannot be read");
  if(code || curl_mime_name(part, form->part) ||
     (form->file_name && curl_mime_filename(part, form->file_name)) ||
     !SET(exchange, CURLOPT_MIMEPOST, exchange->form))
    return failed(exchange);
  return VEO_PREPARED;
}

veo_prepared veo_prepare_upload(veo_exchange *exchange, const veo_settings *settings,
                                const veo_form *form, long timeout_ms, long connect_timeout_ms)
{
  veo_prepared state;
  if(!set_common(exchange, settings, form->url) || !set_api(exchange, form->url) ||
     !set_timeouts(exchange, timeout_ms, connect_timeout_ms) ||
     !SET(exchange, CURLOPT_HTTPHEADER, settings->upload_headers) || !add_fields(exchange, form))
    return failed(exchange);
  state = add_file(exchange, form);
  if(state == VEO_PREPARED)
    state = set_url(exchange, form->url, NULL);
  if(state != VEO_PREPARED)
    return state;
  exchange->op.kind = VEO_KIND_UPLOAD;
  exchange->deadline.stall = VEO_LOW_SPEED_TIME;
  return VEO_PREPARED;
}

/* Connects and shakes hands, and leaves the connection to be reused; carries no key. */
veo_prepared veo_prepare_warm(veo_exchange *exchange, const veo_settings *settings, long timeout_ms,
                              long connect_timeout_ms)
{
  veo_prepared state;
  if(!set_common(exchange, settings, settings->base_url) ||
     !set_api(exchange, settings->base_url) ||
     !set_timeouts(exchange, timeout_ms, connect_timeout_ms) ||
     !SET(exchange, CURLOPT_USERAGENT, settings->user_agent) || !SET(exchange, CURLOPT_NOBODY, 1L))
    return failed(exchange);
  state = set_url(exchange, settings->base_url, NULL);
  if(state == VEO_PREPARED)
    exchange->op.kind = VEO_KIND_WARM;
  return state;
}
