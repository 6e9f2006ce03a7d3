/* Results of exchanges as Lua tables; see reply.h. */
#include "reply.h"

#include "defaults.h"
#include "env.h"
#include "json.h"
#include "record.h"

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

/* A server may claim any number: what no file and no pause has is cut to what an integer holds. */
static void set_number(lua_State *L, const char *field, double value)
{
  static const double most = 9007199254740992.0; /* 2^53 */
  if(value > most)
    value = most;
  veo_pushinteger(L, value);
  lua_setfield(L, -2, field);
}

/* Seconds to wait by the server's word, from either form of the header. libcurl reads both. */
static void set_retry_after(lua_State *L, const veo_exchange *exchange)
{
  curl_off_t seconds = 0;
  curl_easy_getinfo(exchange->easy, CURLINFO_RETRY_AFTER, &seconds);
  if(seconds > 0)
    set_number(L, "retry_after", (double)seconds);
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
  case VEO_OUTCOME_IO:
    return exchange->io_error == EEXIST ? "exists" : "io";
  case VEO_OUTCOME_CANCELLED:
    return "cancelled";
  default:
    return "closed";
  }
}

/* The file or program that a failure is about. */
static const char *name_of(const veo_exchange *exchange)
{
  if(exchange->program)
    return exchange->request.data;
  return exchange->save_to ? exchange->save_to : exchange->sink->path;
}

static void push_message(lua_State *L, veo_exchange *exchange)
{
  const char *text;
  switch(exchange->outcome) {
  case VEO_OUTCOME_REPLY:
    text = "the reply is not a JSON object";
    break;
  case VEO_OUTCOME_TOO_LARGE:
    text = exchange->kind == VEO_KIND_DOWNLOAD ? "the file is larger than max_bytes"
                                               : "the reply is larger than 1 MiB";
    break;
  case VEO_OUTCOME_REFUSED:
    if(exchange->http_status == 200)
      lua_pushliteral(L, "the file is another one than the one that was begun");
    else if(exchange->http_status == 206)
      lua_pushliteral(L, "the server answered with another range than the one asked for");
    else
      lua_pushfstring(L, "the server answered with HTTP %d", (int)exchange->http_status);
    return;
  case VEO_OUTCOME_IO:
    lua_pushfstring(L, "%s: %s: %s", name_of(exchange), exchange->io_stage,
                    strerror(exchange->io_error));
    return;
  case VEO_OUTCOME_CANCELLED:
    text = "cancelled";
    break;
  case VEO_OUTCOME_CLOSED:
    text = "the client was closed";
    break;
  default:
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
  if(exchange->result == CURLE_OPERATION_TIMEDOUT) {
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, "timed_out");
  }
  if(exchange->io_error)
    set_number(L, "errno", exchange->io_error);
  if(exchange->kind == VEO_KIND_DOWNLOAD) {
    set_number(L, "bytes", (double)exchange->written);
    if(exchange->headers->range_total >= 0)
      set_number(L, "total", (double)exchange->headers->range_total);
    if(exchange->outcome != VEO_OUTCOME_REFUSED)
      set_version(L, exchange->headers); /* of the cut file; an error page has one of its own */
  }
  if(exchange->outcome != VEO_OUTCOME_CANCELLED && exchange->kind != VEO_KIND_SAVE)
    set_retry_after(L, exchange);
  set_excerpt(L, exchange);
  return 2;
}

/* ------------------------------------------------------------------- replies */

/* Copies the body's code as an integer, from a number, a float or a numeric string; anything else is
 * as good as missing. The envelope is below the reply on the top. */
static void copy_code(lua_State *L)
{
  lua_getfield(L, -2, "code");
  if(lua_isnumber(L, -1)) {
    lua_Number number = lua_tonumber(L, -1);
    lua_pop(L, 1);
    if(number == floor(number) && fabs(number) < 1e9)
      set_number(L, "code", number);
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

/* The envelope on the top becomes the reply around it. */
static void wrap_envelope(lua_State *L, const veo_exchange *exchange)
{
  lua_createtable(L, 0, 7);
  set_number(L, "http_status", (double)exchange->http_status);
  copy_code(L);
  copy_message(L);
  lua_getfield(L, -2, "data");
  lua_setfield(L, -2, "data");
  set_retry_after(L, exchange);
  set_text(L, "sent", "yes");
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
  if(!exchange->look || exchange->http_status != 200)
    return 0;
  lua_rawgeti(L, env, VEO_ENV_KIND);
  if(veo_record_push(L, lua_gettop(L), object, length))
    return 1;
  lua_pop(L, 1);
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
  return push_failure(L, exchange);
}

void veo_push_download_reply(lua_State *L, const veo_exchange *exchange)
{
  const veo_file_headers *headers = exchange->headers;
  curl_off_t length = -1;
  char *type = NULL;
  lua_createtable(L, 0, 9);
  set_number(L, "http_status", (double)exchange->http_status);
  set_number(L, "bytes", (double)exchange->written);
  set_number(L, "offset", (double)exchange->offset);
  if(exchange->total >= 0)
    set_number(L, "total", (double)exchange->total);
  curl_easy_getinfo(exchange->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
  if(length >= 0)
    set_number(L, "content_length", (double)length);
  curl_easy_getinfo(exchange->easy, CURLINFO_CONTENT_TYPE, &type);
  if(type)
    set_text(L, "content_type", type);
  set_version(L, headers);
}

static void push_plain_reply(lua_State *L, const veo_exchange *exchange)
{
  lua_createtable(L, 0, 2);
  if(exchange->program) {
    set_number(L, "status", exchange->status);
    set_excerpt(L, exchange);
  } else if(exchange->kind == VEO_KIND_SAVE)
    set_text(L, "path", exchange->save_to);
  else
    set_number(L, "http_status", (double)exchange->http_status);
}

int veo_push_result(lua_State *L, int env, veo_exchange *exchange, const char *secret)
{
  if(exchange->reply.length)
    veo_scrub(exchange->reply.data, exchange->reply.length, secret);
  veo_scrub(exchange->error, strlen(exchange->error), secret);
  if(exchange->outcome != VEO_OUTCOME_REPLY)
    return push_failure(L, exchange);
  switch(exchange->kind) {
  case VEO_KIND_DOWNLOAD:
    veo_push_download_reply(L, exchange);
    return 1;
  case VEO_KIND_SAVE:
  case VEO_KIND_WARM:
    push_plain_reply(L, exchange);
    return 1;
  default:
    return push_api_reply(L, env, exchange);
  }
}
