/* libcurl's callbacks for one exchange; see callbacks.h. */
#include "callbacks.h"

#include "clock.h"
#include "defaults.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

size_t veo_on_body(char *data, size_t size, size_t count, void *user)
{
  veo_exchange *exchange = user;
  size_t length = size * count;
  if(length > VEO_REPLY_CAP - exchange->reply.length) {
    exchange->overflow = 1;
    return 0;
  }
  return veo_buffer_append(&exchange->reply, data, length) ? length : 0;
}

/* Whether the file is the one that If-Range asked for. */
static int is_same_file(const veo_exchange *exchange)
{
  const char *wanted = exchange->extra ? strchr(exchange->extra->data, ' ') : NULL;
  return wanted && (strcmp(wanted + 1, exchange->headers->etag) == 0 ||
                    strcmp(wanted + 1, exchange->headers->last_modified) == 0);
}

/* The whole file although a part was asked for: it changed, or the server knows no ranges. A sink
 * starts over; what a script has read cannot be taken back, so the same bytes are passed over. */
static int begin_again(veo_exchange *exchange)
{
  if(!exchange->stream.on) {
    exchange->offset = 0;
    exchange->io_error = veo_sink_truncate(exchange->sink, 0);
    return 1;
  }
  if(exchange->offset > 0 && !is_same_file(exchange))
    return 0;
  exchange->stream.skip = exchange->offset;
  return 1;
}

/* 0 when the body is no part of the file: it is then kept as an excerpt. */
static int judge_file(veo_exchange *exchange)
{
  veo_file_headers *headers = exchange->headers;
  curl_off_t length = -1;
  curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &exchange->http_status);
  curl_easy_getinfo(exchange->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
  if(exchange->http_status == 206) {
    if(headers->range_start != exchange->offset)
      return 0;
    exchange->total = headers->range_total;
    if(exchange->total < 0 && length >= 0)
      exchange->total = exchange->offset + length;
    return 1;
  }
  if(exchange->http_status != 200 || !begin_again(exchange))
    return 0;
  exchange->total = length;
  return 1;
}

/* Looks at the headers once the first byte of a body is there. */
static void begin_file(veo_exchange *exchange)
{
  exchange->begun = 1;
  if(!judge_file(exchange))
    exchange->outcome = VEO_OUTCOME_REFUSED;
  else if(exchange->tell_headers)
    veo_exchange_tell(exchange);
}

static size_t keep_error_page(veo_exchange *exchange, const char *data, size_t length)
{
  if(exchange->reply.length + length > VEO_ERROR_PAGE_CAP)
    return 0;
  return veo_buffer_append(&exchange->reply, data, length) ? length : 0;
}

static int over_cap(const veo_exchange *exchange, size_t length)
{
  curl_off_t cap = exchange->max_bytes;
  return cap > 0 &&
         (exchange->total > cap || exchange->offset + exchange->written + (curl_off_t)length > cap);
}

/* True when the frame's share of time is used up: the bytes then come again in the next step. */
static int out_of_time(veo_exchange *exchange)
{
  veo_pace *pace = exchange->pace;
  if(pace->stop >= VEO_NEVER || veo_now() < pace->stop)
    return 0;
  exchange->stalled = 1;
  pace->stalled++;
  return 1;
}

size_t veo_on_file(char *data, size_t size, size_t count, void *user)
{
  veo_exchange *exchange = user;
  size_t length = size * count;
  if(out_of_time(exchange))
    return CURL_WRITEFUNC_PAUSE;
  if(!exchange->begun)
    begin_file(exchange);
  if(exchange->outcome == VEO_OUTCOME_REFUSED)
    return keep_error_page(exchange, data, length);
  if(over_cap(exchange, length)) {
    exchange->overflow = 1;
    return 0;
  }
  if(!exchange->io_error)
    exchange->io_error =
        veo_sink_write(exchange->sink, data, length, exchange->offset + exchange->written);
  if(exchange->io_error) {
    exchange->io_stage = "writing the file";
    return 0;
  }
  exchange->written += (curl_off_t)length;
  return length;
}

size_t veo_on_piece(char *data, size_t size, size_t count, void *user)
{
  veo_exchange *exchange = user;
  veo_stream *stream = &exchange->stream;
  size_t length = size * count;
  size_t skip;
  if(!exchange->begun)
    begin_file(exchange);
  if(exchange->outcome == VEO_OUTCOME_REFUSED)
    return keep_error_page(exchange, data, length);
  /* Nothing is buffered while bytes are passed over, so no piece is skipped in part and then paused. */
  skip = stream->skip < (curl_off_t)length ? (size_t)stream->skip : length;
  if(over_cap(exchange, length - skip)) {
    exchange->overflow = 1;
    return 0;
  }
  if(stream->bytes.length && stream->bytes.length + length > stream->cap) {
    stream->paused = 1;
    return CURL_WRITEFUNC_PAUSE;
  }
  if(skip < length && !veo_buffer_append(&stream->bytes, data + skip, length - skip))
    return 0;
  stream->skip -= (curl_off_t)skip;
  exchange->written += (curl_off_t)(length - skip);
  if(skip < length)
    veo_exchange_tell(exchange);
  return length;
}

/* The value when the line is this header, without surrounding blanks; NULL otherwise. */
static const char *header_value(const char *line, size_t length, const char *name, size_t *size)
{
  size_t n = strlen(name);
  if(length <= n || line[n] != ':' || strncasecmp(line, name, n) != 0)
    return NULL;
  line += n + 1;
  length -= n + 1;
  while(length && isspace((unsigned char)*line)) {
    line++;
    length--;
  }
  while(length && isspace((unsigned char)line[length - 1]))
    length--;
  *size = length;
  return line;
}

/* Keeps a value that fits; one that does not is as good as none. */
static void keep(char *out, size_t size, const char *value, size_t length)
{
  if(length >= size)
    length = 0;
  memcpy(out, value, length);
  out[length] = '\0';
}

/* Content-Range: bytes 100-199/1000, where the total may be "*". */
static void parse_range(veo_file_headers *headers, const char *value, size_t length)
{
  char text[96] = "";
  char *end;
  keep(text, sizeof text, value, length);
  if(strncasecmp(text, "bytes ", 6) != 0 || !isdigit((unsigned char)text[6]))
    return;
  headers->range_start = (curl_off_t)strtoll(text + 6, &end, 10);
  end = strchr(end, '/');
  if(end && isdigit((unsigned char)end[1]))
    headers->range_total = (curl_off_t)strtoll(end + 1, NULL, 10);
}

static void forget(veo_file_headers *headers)
{
  headers->etag[0] = '\0';
  headers->last_modified[0] = '\0';
  headers->range_start = -1;
  headers->range_total = -1;
}

size_t veo_on_header(char *data, size_t size, size_t count, void *user)
{
  veo_exchange *exchange = user;
  veo_file_headers *headers = exchange->headers;
  size_t length = size * count;
  size_t n;
  const char *value;
  if(length > 5 && strncmp(data, "HTTP/", 5) == 0)
    forget(headers); /* a redirect's headers are not the file's */
  else if((value = header_value(data, length, "ETag", &n)) != NULL)
    keep(headers->etag, sizeof headers->etag, value, n);
  else if((value = header_value(data, length, "Last-Modified", &n)) != NULL)
    keep(headers->last_modified, sizeof headers->last_modified, value, n);
  else if((value = header_value(data, length, "Content-Range", &n)) != NULL)
    parse_range(headers, value, n);
  return length;
}

int veo_on_socket(void *user, curl_socket_t fd, curlsocktype purpose)
{
  veo_exchange *exchange = user;
  (void)purpose;
  exchange->resolved = 1;
  (void)fcntl(fd, F_SETFD, FD_CLOEXEC); /* no child of the host's keeps the connection open */
  return veo_poller_keep(exchange->poller, fd) ? CURL_SOCKOPT_OK : CURL_SOCKOPT_ERROR;
}
