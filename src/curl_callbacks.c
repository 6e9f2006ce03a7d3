/* libcurl's callbacks for one exchange; see curl_callbacks.h. */
#include "curl_callbacks.h"

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

/* Whether the file is the one that If-Range named. A proxy may have made its tag a weak one. */
static int is_same_file(const veo_download *download)
{
  const char *wanted = download->extra ? strchr(download->extra->data, ' ') : NULL;
  const char *etag = download->headers.etag;
  return wanted && (strcmp(wanted + 1, etag + (strncmp(etag, "W/", 2) == 0 ? 2 : 0)) == 0 ||
                    strcmp(wanted + 1, download->headers.last_modified) == 0);
}

/* The whole file although a part was asked for: it changed, or the server knows no ranges. A sink
 * starts over; what a script has read cannot be taken back, so the same bytes are passed over. */
static int begin_again(veo_download *download)
{
  if(download->sink) {
    download->offset = 0;
    download->io_error = veo_sink_truncate(download->sink, 0);
    download->io_stage = "emptying the file";
    return 1;
  }
  if(download->offset > 0 && !is_same_file(download))
    return 0;
  download->stream.skip = download->offset;
  return 1;
}

/* No byte that only binary files have; nothing at all is text too. */
static int is_text(const char *data, size_t length)
{
  size_t i;
  for(i = 0; i < length; i++) {
    unsigned char byte = (unsigned char)data[i];
    if(byte < ' ' && !isspace(byte) && byte != 27)
      return 0;
  }
  return 1;
}

/* Whether the body begins as XML, HTML or JSON do. A video may begin with such a byte as well: with a first
 * box of 512 MiB or 1 or 2 GiB, whose name follows its length. Once a part of the file is there, any text counts as a
 * page, also an empty one: the part is kept. */
static int is_page(const char *data, size_t length, int has_part)
{
  const char *end = data + length;
  if(length >= 8 && (memcmp(data + 4, "mdat", 4) == 0 || memcmp(data + 4, "free", 4) == 0))
    return 0;
  if(!is_text(data, length))
    return 0;
  if(has_part)
    return 1;
  if(length >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0)
    data += 3;
  while(data < end && isspace((unsigned char)*data))
    data++;
  return data < end && (*data == '<' || *data == '{');
}

/* A part of the file, which may begin before the byte asked for: bytes that are here already must come again
 * unchanged, or it is another file. Some servers ignore If-Range and only send the tag of what they have. */
static int go_on(veo_download *download)
{
  const veo_file_headers *headers = &download->headers;
  if(headers->range_start < 0 || headers->range_start > download->offset)
    return 0;
  if(download->extra && (headers->etag[0] || headers->last_modified[0]) && !is_same_file(download))
    return 0;
  download->total = headers->range_total;
  if(!download->sink) {
    download->stream.skip = download->offset - headers->range_start;
    return 1;
  }
  download->offset = headers->range_start;
  download->overlap = veo_sink_size(download->sink) - headers->range_start;
  return download->overlap >= 0;
}

/* 0 when the body is no part of the file: it is then kept as an excerpt. A page is recognized before the part
 * that is here is emptied for it. */
static int judge_file(veo_exchange *exchange, const char *data, size_t size)
{
  veo_download *download = exchange->download;
  curl_off_t length = -1;
  int is_success;
  curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &exchange->http_status);
  curl_easy_getinfo(exchange->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
  is_success = exchange->http_status == 200 || exchange->http_status == 206;
  download->encoded = download->no_encoded && is_success && veo_is_encoded(&download->headers);
  if(download->encoded)
    return 0;
  if(exchange->http_status == 206 && (download->offset || download->headers.range_start))
    return go_on(download);
  if(exchange->http_status == 200 && download->no_pages)
    download->page = is_page(data, size, download->offset > 0);
  if(!is_success || download->page || !begin_again(download))
    return 0;
  download->total = exchange->http_status == 206 ? download->headers.range_total : length;
  if(download->decodes && veo_is_encoded(&download->headers))
    download->total = -1; /* of the encoded file */
  return 1;
}

/* Found before the first byte is written, not when the disk is full. */
static int lacks_room(veo_download *download)
{
  if(download->total <= 0 || !download->sink || download->io_error)
    return 0;
  download->io_error =
      veo_sink_room(download->sink, download->offset + download->overlap, download->total);
  download->io_stage = "the file does not fit";
  return download->io_error;
}

/* Looks at the headers once the first byte of a body is there. */
static void begin_file(veo_exchange *exchange, const char *data, size_t size)
{
  veo_download *download = exchange->download;
  download->begun = 1;
  if(!judge_file(exchange, data, size))
    exchange->outcome = VEO_OUTCOME_REFUSED;
  else if(lacks_room(download))
    return;
  else if(download->tell_headers)
    veo_exchange_tell(exchange);
}

static size_t keep_error_page(veo_exchange *exchange, const char *data, size_t length)
{
  if(exchange->reply.length + length > VEO_ERROR_PAGE_CAP)
    return 0;
  return veo_buffer_append(&exchange->reply, data, length) ? length : 0;
}

static int over_cap(const veo_download *download, size_t length)
{
  curl_off_t cap = download->max_bytes;
  if(!cap && download->total < 0)
    cap = VEO_UNTOLD_MOST;
  return cap > 0 &&
         (download->total > cap || download->offset + download->written + (curl_off_t)length > cap);
}

/* 0, or errno: bytes that are here already are compared, all others written. */
static int put(veo_download *download, const char *data, size_t length)
{
  curl_off_t at = download->offset + download->written;
  size_t known = download->overlap < (curl_off_t)length ? (size_t)download->overlap : length;
  int error = 0;
  if(known) {
    error = veo_sink_compare(download->sink, data, known, at);
    download->overlap -= (curl_off_t)known;
  }
  if(!error && known < length)
    error = veo_sink_write(download->sink, data + known, length - known, at + (curl_off_t)known);
  return error;
}

/* True when the frame's share of time is used up: the bytes then come again in the next step. */
static int out_of_time(veo_download *download)
{
  veo_pace *pace = download->pace;
  if(pace->stop >= VEO_NEVER || veo_now() < pace->stop)
    return 0;
  download->stalled = 1;
  pace->stalled++;
  return 1;
}

size_t veo_on_file(char *data, size_t size, size_t count, void *user)
{
  veo_exchange *exchange = user;
  veo_download *download = exchange->download;
  size_t length = size * count;
  if(download->discarded)
    return length;
  if(out_of_time(download))
    return CURL_WRITEFUNC_PAUSE;
  if(!download->begun)
    begin_file(exchange, data, length);
  if(exchange->outcome == VEO_OUTCOME_REFUSED)
    return keep_error_page(exchange, data, length);
  if(over_cap(download, length)) {
    exchange->overflow = 1;
    return 0;
  }
  if(download->io_error)
    return 0;
  download->io_stage = "writing the file";
  download->io_error = put(download, data, length);
  if(download->io_error == VEO_SINK_DIFFERS) {
    download->io_error = 0;
    exchange->outcome = VEO_OUTCOME_REFUSED;
  }
  if(download->io_error || exchange->outcome == VEO_OUTCOME_REFUSED)
    return 0;
  download->written += (curl_off_t)length;
  return length;
}

size_t veo_on_piece(char *data, size_t size, size_t count, void *user)
{
  veo_exchange *exchange = user;
  veo_download *download = exchange->download;
  veo_stream *stream = &download->stream;
  size_t length = size * count;
  size_t skip;
  if(download->discarded)
    return length;
  if(!download->begun)
    begin_file(exchange, data, length);
  if(exchange->outcome == VEO_OUTCOME_REFUSED)
    return keep_error_page(exchange, data, length);
  /* Nothing is buffered while bytes are passed over, so no piece is skipped in part and then paused. */
  skip = stream->skip < (curl_off_t)length ? (size_t)stream->skip : length;
  if(over_cap(download, length - skip)) {
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
  download->written += (curl_off_t)(length - skip);
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

/* Keeps a value that fits; one that does not becomes empty. */
static void keep(char *out, size_t size, const char *value, size_t length)
{
  if(length >= size)
    length = 0;
  memcpy(out, value, length);
  out[length] = '\0';
}

/* Content-Range: bytes 100-199/1000, where the range (of a 416) and the total may be "*". */
static void parse_range(veo_file_headers *headers, const char *value, size_t length)
{
  char text[96] = "";
  const char *end;
  keep(text, sizeof text, value, length);
  if(strncasecmp(text, "bytes ", 6) != 0)
    return;
  if(isdigit((unsigned char)text[6]))
    headers->range_start = (curl_off_t)strtoll(text + 6, NULL, 10);
  end = strchr(text, '/');
  if(end && isdigit((unsigned char)end[1]))
    headers->range_total = (curl_off_t)strtoll(end + 1, NULL, 10);
}

static void forget(veo_file_headers *headers)
{
  headers->etag[0] = '\0';
  headers->last_modified[0] = '\0';
  headers->encoding[0] = '\0';
  headers->range_start = -1;
  headers->range_total = -1;
}

static int begins_headers(const char *line, size_t length)
{
  return length > 5 && strncmp(line, "HTTP/", 5) == 0;
}

static int ends_headers(const char *line, size_t length)
{
  return length && (line[0] == '\r' || line[0] == '\n');
}

static void read_file_header(veo_file_headers *headers, const char *line, size_t length)
{
  size_t n;
  const char *value;
  if(begins_headers(line, length))
    forget(headers); /* a redirect's headers are not the file's */
  else if((value = header_value(line, length, "ETag", &n)) != NULL)
    keep(headers->etag, sizeof headers->etag, value, n);
  else if((value = header_value(line, length, "Last-Modified", &n)) != NULL)
    keep(headers->last_modified, sizeof headers->last_modified, value, n);
  else if((value = header_value(line, length, "Content-Encoding", &n)) != NULL)
    keep(headers->encoding, sizeof headers->encoding, value, n);
  else if((value = header_value(line, length, "Content-Range", &n)) != NULL)
    parse_range(headers, value, n);
  else if((value = header_value(line, length, "Location", &n)) != NULL)
    keep(headers->location, sizeof headers->location, value,
         n < sizeof headers->location ? n : sizeof headers->location - 1);
}

size_t veo_on_header(char *data, size_t size, size_t count, void *user)
{
  veo_exchange *exchange = user;
  size_t length = size * count;
  exchange->header_bytes += length;
  if(exchange->header_bytes > VEO_HEADER_CAP)
    return 0;
  if(begins_headers(data, length))
    exchange->in_headers = 1; /* trailers need no empty line at their end */
  else if(ends_headers(data, length))
    exchange->in_headers = 0;
  if(exchange->download)
    read_file_header(&exchange->download->headers, data, length);
  return length;
}

/* Whether the text stands in the bytes, which have no NUL at their end. */
static int has(const char *data, size_t size, const char *text)
{
  size_t n = strlen(text);
  for(; size >= n; data++, size--) {
    if(memcmp(data, text, n) == 0)
      return 1;
  }
  return 0;
}

int veo_on_debug(CURL *easy, curl_infotype type, char *data, size_t size, void *user)
{
  veo_exchange *exchange = user;
  (void)easy;
  if(type == CURLINFO_TEXT && size > 4 && memcmp(data, "ALPN", 4) == 0) {
    if(has(data, size, "did not agree"))
      exchange->call.no_alpn = 1;
    else if(has(data, size, "accepted"))
      exchange->call.no_alpn = 0; /* of the server behind a proxy that agreed on none */
  }
  return 0;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): libcurl's type */
int veo_on_ready(void *user, char *peer_ip, char *local_ip, int peer_port, int local_port)
{
  const veo_exchange *exchange = user;
  (void)peer_ip;
  (void)local_ip;
  (void)peer_port;
  (void)local_port;
  return exchange->call.no_alpn && !exchange->call.without_alpn; /* CURL_PREREQFUNC_ABORT is 1 */
}

int veo_on_socket(void *user, curl_socket_t fd, curlsocktype purpose)
{
  veo_exchange *exchange = user;
  (void)purpose;
  exchange->resolved = 1;
  (void)fcntl(fd, F_SETFD, FD_CLOEXEC); /* no child of the host's keeps the connection open */
  return veo_poller_keep(exchange->poller, fd) ? CURL_SOCKOPT_OK : CURL_SOCKOPT_ERROR;
}
