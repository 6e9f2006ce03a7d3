/* Results of exchanges as Lua tables; see reply.h. */
#include "reply.h"

#include "defaults.h"
#include "json.h"
#include "status_record.h"
#include "user_value.h"

#include <errno.h>
#include <math.h>
#include <string.h>

static const char *sent_name(veo_sent sent)
{
  static const char *const names[] = {"no", "maybe", "yes"};
  return names[sent];
}

static void set_text(lua_State *L, const char *field, const char *value)
{
  lua_pushstring(L, value);
  lua_setfield(L, -2, field);
}

/* A server may claim any number: it is cut to what an integer holds. */
static void set_number(lua_State *L, const char *field, double value)
{
  static const double most = 9007199254740992.0; /* 2^53 */
  if(value > most)
    value = most;
  veo_pushinteger(L, value);
  lua_setfield(L, -2, field);
}

/* The seconds of Retry-After, a number or a date: libcurl reads both. */
static void set_retry_after(lua_State *L, const veo_exchange *exchange)
{
  curl_off_t seconds = 0;
  curl_easy_getinfo(exchange->easy, CURLINFO_RETRY_AFTER, &seconds);
  if(seconds > 0)
    set_number(L, "retry_after", (double)seconds);
}

static void set_http2(lua_State *L, const veo_exchange *exchange)
{
  long version = 0;
  curl_easy_getinfo(exchange->easy, CURLINFO_HTTP_VERSION, &version);
  lua_pushboolean(L, version >= CURL_HTTP_VERSION_2_0 || exchange->result == CURLE_HTTP2 ||
                         exchange->result == CURLE_HTTP2_STREAM);
  lua_setfield(L, -2, "http2");
}

/* What tells this version of a file from others; for If-Range. */
static void set_version(lua_State *L, const veo_file_headers *headers)
{
  if(headers->etag[0])
    set_text(L, "etag", headers->etag);
  if(headers->last_modified[0])
    set_text(L, "last_modified", headers->last_modified);
}

/* ------------------------------------------------------------------ failures */

int veo_push_failure(lua_State *L, const char *reason, const char *message, veo_sent sent)
{
  lua_pushnil(L);
  lua_createtable(L, 0, 8);
  set_text(L, "reason", reason);
  set_text(L, "message", message);
  set_text(L, "sent", sent_name(sent));
  return 2;
}

static const char *io_reason(int error)
{
  return error == EEXIST ? "exists" : "io";
}

static const char *reason_of(const veo_exchange *exchange)
{
  switch(exchange->outcome) {
  case VEO_OUTCOME_REPLY:
  case VEO_OUTCOME_UNREADABLE:
    return "malformed";
  case VEO_OUTCOME_NETWORK:
    return "network";
  case VEO_OUTCOME_TOO_LARGE:
    return "too_large";
  case VEO_OUTCOME_REFUSED:
    return "http";
  case VEO_OUTCOME_REDIRECT:
    return "redirect";
  case VEO_OUTCOME_PROTOCOL:
    return "protocol";
  case VEO_OUTCOME_IO:
    return io_reason(exchange->download->io_error);
  case VEO_OUTCOME_CANCELLED:
    return "cancelled";
  default:
    return "closed";
  }
}

/* The file, what was done with it and why that failed. */
static void push_io_message(lua_State *L, const char *path, const char *stage, int error)
{
  lua_pushfstring(L, "%s: %s: %s", path, stage, strerror(error));
}

static void push_message(lua_State *L, veo_exchange *exchange)
{
  const veo_download *download = exchange->download;
  const char *text;
  switch(exchange->outcome) {
  case VEO_OUTCOME_REPLY:
    text = "the reply is not a JSON object";
    break;
  case VEO_OUTCOME_TOO_LARGE:
    text = !download ? "the reply is larger than 1 MiB"
           : download->max_bytes
               ? "the file is larger than max_bytes"
               : "the file is larger than 8 GiB, and its server tells no length: see max_bytes";
    break;
  case VEO_OUTCOME_REFUSED:
    if(download->page)
      lua_pushliteral(L, "the server answered with a page instead of the file");
    else if(download->encoded)
      lua_pushliteral(L, "the rest of the file came encoded, which what came before it is not");
    else if(exchange->http_status == 200)
      lua_pushliteral(L, "the file is another one than the one that was begun");
    else if(exchange->http_status == 206)
      lua_pushliteral(L, "the server answered with another range or file than the one asked for");
    else
      lua_pushfstring(L, "the server answered with HTTP %d", (int)exchange->http_status);
    return;
  case VEO_OUTCOME_PROTOCOL:
    text = "the server did not agree on HTTP/1.1 in its handshake, which an order needs";
    break;
  case VEO_OUTCOME_REDIRECT:
    text = exchange->result == CURLE_TOO_MANY_REDIRECTS ? "too many redirects"
                                                        : "a redirect that is not followed";
    break;
  case VEO_OUTCOME_IO:
    push_io_message(L, download->sink->path, download->io_stage, download->io_error);
    return;
  case VEO_OUTCOME_CANCELLED:
    text = "cancelled";
    break;
  case VEO_OUTCOME_CLOSED:
    text = "the client was closed";
    break;
  default:
    veo_hide_user(exchange->error);
    text = exchange->error[0] ? exchange->error : curl_easy_strerror(exchange->result);
    break;
  }
  lua_pushstring(L, text);
}

static void set_excerpt(lua_State *L, const veo_exchange *exchange)
{
  char text[VEO_EXCERPT + 1];
  size_t n;
  if(!exchange->reply.length)
    return;
  n = veo_excerpt(exchange->reply.data, exchange->reply.length, text, sizeof text);
  text[n] = '\0';
  veo_redact(text);
  set_text(L, "excerpt", text);
}

/* A connection in use ended before a byte of the answer: servers close a connection after so many requests, and
 * libcurl gives up after five tries. (GOAWAY after 100 requests: 4 % of looks with a hundred under way, measured.) A
 * connection made for this exchange had served nothing: its server is in trouble. */
static int is_unanswered(const veo_exchange *exchange)
{
  long made = 0;
  if(exchange->call.billable || exchange->http_status)
    return 0;
  switch(exchange->result) {
  case CURLE_SEND_ERROR:
  case CURLE_RECV_ERROR:
  case CURLE_GOT_NOTHING:
  case CURLE_HTTP2:
  case CURLE_HTTP2_STREAM:
  case CURLE_PARTIAL_FILE: /* over HTTP/2 also where nothing came */
    curl_easy_getinfo(exchange->easy, CURLINFO_NUM_CONNECTS, &made);
    return !made;
  default:
    return 0;
  }
}

/* What came of the answer to a call that costs money: it may name a task, however it ended. */
static void set_body(lua_State *L, const veo_buffer *reply)
{
  if(!reply->length)
    return;
  lua_pushlstring(L, reply->data, reply->length < VEO_TEXT_CAP ? reply->length : VEO_TEXT_CAP);
  lua_setfield(L, -2, "text");
}

/* The answer of a proxy that refused a tunnel. */
static void set_proxy_status(lua_State *L, const veo_exchange *exchange)
{
  long status = 0;
  curl_easy_getinfo(exchange->easy, CURLINFO_HTTP_CONNECTCODE, &status);
  if(status >= 300)
    set_number(L, "proxy_status", (double)status);
}

static void set_true(lua_State *L, const char *field)
{
  lua_pushboolean(L, 1);
  lua_setfield(L, -2, field);
}

/* What only the failure of a download has. */
static void set_download_failure(lua_State *L, veo_outcome outcome, veo_download *download)
{
  if(download->page)
    set_true(L, "page");
  if(download->encoded)
    set_true(L, "encoded");
  if(download->io_error)
    set_number(L, "errno", download->io_error);
  if(outcome == VEO_OUTCOME_REDIRECT) {
    char *location = download->headers.location;
    location[strcspn(location, "?#")] = '\0'; /* also of one without a scheme */
    veo_redact(location);
    set_text(L, "location", location);
  }
  set_number(L, "bytes", (double)download->written);
  if(download->headers.range_total >= 0)
    set_number(L, "total", (double)download->headers.range_total);
  if(outcome != VEO_OUTCOME_REFUSED)
    set_version(L, &download->headers); /* of the cut file; an error page has one of its own */
}

/* Everything known: [-0, +2]. */
static int push_failure(lua_State *L, veo_exchange *exchange)
{
  veo_redact(exchange->error);
  lua_pushnil(L);
  lua_createtable(L, 0, 10);
  set_text(L, "reason", reason_of(exchange));
  push_message(L, exchange);
  lua_setfield(L, -2, "message");
  set_text(L, "sent", sent_name(exchange->sent));
  if(exchange->result != CURLE_OK)
    set_number(L, "curl_code", exchange->result);
  if(exchange->http_status)
    set_number(L, "http_status", (double)exchange->http_status);
  set_proxy_status(L, exchange);
  if(exchange->result == CURLE_OPERATION_TIMEDOUT)
    set_true(L, "timed_out");
  if(exchange->op.kind == VEO_KIND_WARM)
    set_http2(L, exchange);
  if(is_unanswered(exchange))
    set_true(L, "unanswered");
  if(exchange->download)
    set_download_failure(L, exchange->outcome, exchange->download);
  if(exchange->outcome != VEO_OUTCOME_CANCELLED)
    set_retry_after(L, exchange);
  set_excerpt(L, exchange);
  if(exchange->call.billable)
    set_body(L, &exchange->reply);
  return 2;
}

int veo_push_closed(lua_State *L, const char *message, veo_sent sent, const veo_buffer *reply)
{
  veo_push_failure(L, "closed", message, sent);
  set_body(L, reply);
  return 2;
}

/* ------------------------------------------------------------------- replies */

/* Whether the value on the top is a number, or text that is one in decimal: Lua would read 0xC8 as well. */
static int is_decimal(lua_State *L)
{
  size_t length;
  const char *text;
  if(lua_type(L, -1) != LUA_TSTRING)
    return lua_type(L, -1) == LUA_TNUMBER;
  text = lua_tolstring(L, -1, &length);
  return length <= 24 && strspn(text, " \t\r\n-.0123456789") == length && lua_isnumber(L, -1);
}

/* Copies the body's code as an integer, from a number, a float or a numeric string; anything else
 * counts as missing. The envelope is below the reply on the top. */
static void copy_code(lua_State *L, veo_exchange *exchange)
{
  lua_getfield(L, -2, "code");
  if(is_decimal(L)) {
    lua_Number number = lua_tonumber(L, -1);
    lua_pop(L, 1);
    if(number == floor(number) && fabs(number) < 1e9) {
      set_number(L, "code", number);
      exchange->call.code = (int)number;
    }
    return;
  }
  lua_pop(L, 1);
}

static void copy_message(lua_State *L)
{
  lua_getfield(L, -2, "msg");
  if(lua_type(L, -1) != LUA_TSTRING) {
    lua_pop(L, 1);
    lua_getfield(L, -2, "message");
  }
  if(lua_type(L, -1) == LUA_TSTRING)
    lua_setfield(L, -2, "msg");
  else
    lua_pop(L, 1);
}

/* The object came whole, but libcurl reports an error: the last chunk is missing, the length was
 * too long, the connection was reset or kept open behind the body, junk follows compressed data. */
static void set_complaint(lua_State *L, veo_exchange *exchange)
{
  if(exchange->result == CURLE_OK)
    return;
  veo_redact(exchange->error);
  set_text(L, "complaint",
           exchange->error[0] ? exchange->error : curl_easy_strerror(exchange->result));
  set_number(L, "curl_code", exchange->result);
}

/* The envelope on the top becomes the reply around it. */
static void wrap_envelope(lua_State *L, veo_exchange *exchange)
{
  lua_createtable(L, 0, 11);
  set_number(L, "http_status", (double)exchange->http_status);
  copy_code(L, exchange);
  copy_message(L);
  lua_getfield(L, -2, "data");
  lua_setfield(L, -2, "data");
  set_retry_after(L, exchange);
  set_text(L, "sent", "yes");
  set_complaint(L, exchange);
  if(exchange->call.billable) {
    set_excerpt(L, exchange);
    /* lua-cjson rounds whole numbers past 2^53: their digits are in the text. */
    set_body(L, &exchange->reply);
  }
  lua_insert(L, -2);
  lua_setfield(L, -2, "body");
}

/* The start of a JSON object in the reply, or NULL when it is something else. */
static const char *find_object(const veo_buffer *reply, size_t *length)
{
  const char *text = reply->data;
  const char *end = text + reply->length;
  if(!reply->length)
    return NULL;
  if(reply->length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
    text += 3; /* a byte order mark, which JSON does not allow */
  *length = (size_t)(end - text);
  while(text < end && strchr(" \t\r\n", *text) && *text)
    text++;
  return text < end && *text == '{' ? end - *length : NULL;
}

/* The usual status of a look; 0 with nothing pushed when it is another one. */
static int push_status(lua_State *L, int env, const veo_exchange *exchange, const char *object,
                       size_t length)
{
  int top = lua_gettop(L);
  if(!exchange->call.look || exchange->http_status != 200 || exchange->result != CURLE_OK)
    return 0;
  lua_rawgeti(L, env, VEO_ENV_KIND);
  lua_rawgeti(L, env, VEO_ENV_NAMES);
  if(veo_status_record_push(L, top + 1, top + 2, object, length))
    return 1;
  lua_settop(L, top);
  return 0;
}

static int push_api_reply(lua_State *L, int env, veo_exchange *exchange)
{
  size_t length = 0;
  const char *object = find_object(&exchange->reply, &length);
  if(object && push_status(L, env, exchange, object, length))
    return 1;
  lua_rawgeti(L, env, VEO_ENV_DECODE);
  if(object && veo_json_decode(L, lua_gettop(L), object, length)) {
    wrap_envelope(L, exchange);
    return 1;
  }
  push_failure(L, exchange);
  if(exchange->outcome == VEO_OUTCOME_REPLY)
    exchange->outcome = VEO_OUTCOME_UNREADABLE; /* counts as one */
  return 2;
}

void veo_push_download_reply(lua_State *L, const veo_exchange *exchange)
{
  const veo_download *download = exchange->download;
  const veo_file_headers *headers = &download->headers;
  curl_off_t length = -1;
  char *type = NULL;
  lua_createtable(L, 0, 10);
  set_number(L, "http_status", (double)exchange->http_status);
  set_number(L, "bytes", (double)download->written);
  set_number(L, "offset", (double)download->offset);
  if(download->total >= 0)
    set_number(L, "total", (double)download->total);
  curl_easy_getinfo(exchange->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
  if(length >= 0)
    set_number(L, "content_length", (double)length);
  curl_easy_getinfo(exchange->easy, CURLINFO_CONTENT_TYPE, &type);
  if(type)
    set_text(L, "content_type", type);
  if(veo_is_encoded(headers))
    set_text(L, "encoding", headers->encoding);
  set_version(L, headers);
}

static int push_warm_reply(lua_State *L, const veo_exchange *exchange)
{
  lua_createtable(L, 0, 2);
  set_number(L, "http_status", (double)exchange->http_status);
  set_http2(L, exchange);
  return 1;
}

/* What the boxes of a file say, if they say anything. */
static void set_boxes(lua_State *L, const veo_boxes *boxes)
{
  static const char *const names[] = {"none", "whole", "open", "cut", "strange"};
  if(boxes->kind == VEO_BOXES_NONE)
    return;
  set_text(L, "boxes", names[boxes->kind]);
  set_number(L, "box_at", boxes->at);
}

int veo_push_work_result(lua_State *L, const veo_work *work)
{
  int is_save = work->op.kind == VEO_KIND_SAVE;
  const char *path = is_save ? work->save.to : work->path;
  if(work->error) {
    lua_pushnil(L);
    lua_createtable(L, 0, 4);
    set_text(L, "reason", io_reason(work->error));
    push_io_message(L, path, work->stage, work->error);
    lua_setfield(L, -2, "message");
    set_text(L, "sent", "no");
    set_number(L, "errno", work->error);
    return 2;
  }
  lua_createtable(L, 0, 5);
  set_text(L, "path", path);
  if(is_save && work->save.unsynced)
    set_true(L, "unsynced");
  if(!is_save) {
    set_number(L, "size", work->digest.size);
    set_text(L, "digest", work->digest.text);
    set_boxes(L, &work->digest.boxes);
  }
  return 1;
}

/* Whether the transport failed, and a reply may have come whole before it did. */
static int may_be_whole(const veo_exchange *exchange)
{
  return (exchange->outcome == VEO_OUTCOME_NETWORK ||
          exchange->outcome == VEO_OUTCOME_UNREADABLE) &&
         !exchange->download && exchange->op.kind != VEO_KIND_WARM && exchange->reply.length;
}

int veo_push_result(lua_State *L, int env, veo_exchange *exchange, const char *secret)
{
  if(exchange->reply.length)
    veo_scrub(exchange->reply.data, exchange->reply.length, secret);
  veo_scrub(exchange->error, strlen(exchange->error), secret);
  if(may_be_whole(exchange))
    return push_api_reply(L, env, exchange);
  if(exchange->outcome != VEO_OUTCOME_REPLY)
    return push_failure(L, exchange);
  switch(exchange->op.kind) {
  case VEO_KIND_DOWNLOAD:
    veo_push_download_reply(L, exchange);
    return 1;
  case VEO_KIND_WARM:
    return push_warm_reply(L, exchange);
  default:
    return push_api_reply(L, env, exchange);
  }
}
