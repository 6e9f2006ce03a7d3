/* The client userdata; see client.h. */
#include "client.h"

#include "arguments.h"
#include "client_state.h"
#include "client_stats.h"
#include "clock.h"
#include "defaults.h"
#include "descriptors.h"
#include "json.h"
#include "request.h"
#include "status_record.h"
#include "transfer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static veo_client *check_any(lua_State *L, int index)
{
  return veo_checktype(L, index, &veo_client_type);
}

/* ---------------------------------------------------------------------- life */

/* The address without its trailing slash, or an error. */
static char *copy_base_url(lua_State *L, const char *url, int allow_http)
{
  size_t length = strlen(url);
  char *copy;
  int https = strncasecmp(url, "https://", 8) == 0;
  if(!https && strncasecmp(url, "http://", 7) != 0)
    luaL_error(L, "base_url: an http or https address expected");
  if(strpbrk(url, "?#@ "))
    luaL_error(L, "base_url: an address without user, query or fragment expected");
  if(!veo_names_host(url))
    luaL_error(L, "base_url: an address with a host, and behind it a port or nothing, expected");
  if(!https && !allow_http && !veo_is_loopback(url))
    luaL_error(L, "base_url: plain http to another machine would show the key; https expected "
                  "(or allow_http = true)");
  while(length && url[length - 1] == '/')
    length--;
  copy = veo_copy(url, length);
  if(!copy)
    luaL_error(L, "out of memory");
  return copy;
}

/* Without its slash a path would be part of the host's name, and the key would go there. */
static void check_path(lua_State *L, const char *name, const char *path)
{
  if(path[0] != '/')
    luaL_error(L, "%s: a path that begins with a slash expected", name);
}

/* A copy of the option or of its default; NULL when there is neither. */
static char *copy_option(lua_State *L, const char *name, const char *fallback)
{
  const char *text = veo_text_field(L, 1, name);
  char *copy = NULL;
  if(!text || !*text)
    text = fallback;
  if(text) {
    copy = veo_copy(text, strlen(text));
    if(!copy)
      luaL_error(L, "out of memory");
  }
  lua_pop(L, 1);
  return copy;
}

static void read_settings(lua_State *L, veo_settings *settings)
{
  static const char *const known[] = {
      "base_url", "api_key",         "user_agent",    "ca_file",     "proxy",       "allow_http",
      "timeout",  "connect_timeout", "max_in_flight", "extend_path", "status_path", "frame_budget",
      NULL};
  const char *base_url;
  double max_in_flight;
  veo_only_fields(L, 1, known);
  settings->allow_http = veo_boolean_field(L, 1, "allow_http");
  settings->timeout = veo_number_field(L, 1, "timeout", VEO_TIMEOUT, 0.001);
  settings->connect_timeout = veo_number_field(L, 1, "connect_timeout", VEO_CONNECT_TIMEOUT, 0.001);
  max_in_flight = veo_number_field(L, 1, "max_in_flight", VEO_MAX_IN_FLIGHT, 1);
  if(max_in_flight > 100000)
    luaL_error(L, "max_in_flight: at most 100000 expected");
  settings->max_in_flight = veo_descriptors_share((int)max_in_flight);
  base_url = veo_text_field(L, 1, "base_url");
  settings->base_url = copy_base_url(L, base_url ? base_url : VEO_BASE_URL, settings->allow_http);
  lua_pop(L, 1);
  settings->api_key = copy_option(L, "api_key", NULL);
  if(!settings->api_key)
    luaL_error(L, "api_key: string expected, got nothing");
  settings->user_agent = copy_option(L, "user_agent", "lua-veo/" VEO_VERSION);
  settings->extend_path = copy_option(L, "extend_path", VEO_EXTEND_PATH);
  settings->status_path = copy_option(L, "status_path", VEO_STATUS_PATH);
  check_path(L, "extend_path", settings->extend_path);
  check_path(L, "status_path", settings->status_path);
  settings->ca.file = copy_option(L, "ca_file", NULL);
  lua_getfield(L, 1, "proxy");
  settings->direct = lua_isboolean(L, -1) && !lua_toboolean(L, -1);
  lua_pop(L, 1);
  if(!settings->direct)
    settings->proxy = copy_option(L, "proxy", NULL);
}

int veo_client_new(lua_State *L)
{
  veo_client *client;
  const char *wrong;
  luaL_checktype(L, 1, LUA_TTABLE);
  client = veo_newuserdata(L, sizeof *client);
  memset(client, 0, sizeof *client);
  veo_settype(L, &veo_client_type); /* from here on the collector frees what is there */
  client->open = 1;
  wrong = veo_engine_open(&client->engine);
  if(wrong)
    luaL_error(L, "the client cannot be made: %s", wrong);
  read_settings(L, &client->settings);
  if(!veo_settings_finish(&client->settings))
    luaL_error(L, "out of memory");
  veo_engine_limit(&client->engine, client->settings.max_in_flight);
  client->engine.frame_budget = veo_number_field(L, 1, "frame_budget", VEO_FRAME_BUDGET, 0);
  lua_createtable(L, 6, 0);
  veo_status_record_names(L);
  lua_rawseti(L, -2, VEO_ENV_NAMES);
  veo_json_open(L);
  veo_status_record_kind(L, -1);
  lua_rawseti(L, -3, VEO_ENV_KIND);
  lua_rawseti(L, -2, VEO_ENV_DECODE);
  lua_newtable(L);
  lua_rawseti(L, -2, VEO_ENV_LIVE);
  lua_newtable(L);
  lua_rawseti(L, -2, VEO_ENV_TAGS);
  lua_pushvalue(L, -2);
  lua_rawseti(L, -2, VEO_ENV_CLIENT);
  veo_setuservalue(L, -2);
  return 1;
}

/* Serves close, __gc and __close. In a forked child everything is abandoned: closing would say
 * goodbye on the parent's connections and empty its epoll set. */
static int client_close(lua_State *L)
{
  veo_client *client = check_any(L, 1);
  if(!client->open)
    return 0;
  client->open = 0;
  if(!veo_engine_may_close(&client->engine))
    return 0;
  veo_engine_close(&client->engine, veo_transfer_orphan);
  veo_settings_free(&client->settings);
  return 0;
}

static int client_closed(lua_State *L)
{
  lua_pushboolean(L, !check_any(L, 1)->open);
  return 1;
}

static int client_tostring(lua_State *L)
{
  const veo_client *client = check_any(L, 1);
  if(client->open)
    lua_pushfstring(L, "veo.core.client (%s, %d under way)", client->settings.base_url,
                    veo_engine_active(&client->engine) + client->engine.queued.count);
  else
    lua_pushliteral(L, "veo.core.client (closed)");
  return 1;
}

/* ------------------------------------------------------------------- driving */

/* client:step(ms) -> completions waiting to be taken. Sleeps at most that long, and not at all once
 * something is done, the wake time has come or a signal came. */
static int client_step(lua_State *L)
{
  veo_client *client = veo_check_client(L, 1);
  double ms = lua_isnoneornil(L, 2)
                  ? 0
                  : veo_number_argument(L, 2, 0, HUGE_VAL, "milliseconds from 0 up expected");
  veo_engine_step(&client->engine, ms > 0 ? veo_now() + ms / 1000.0 : 0, NULL);
  veo_pushinteger(L, veo_engine_waiting(&client->engine));
  return 1;
}

/* The one of a script's that was begun last, or NULL. */
static const veo_operation *newest(const veo_engine *engine)
{
  const veo_operation *operation = engine->active.last;
  if(!operation)
    operation = engine->works.running.last ? engine->works.running.last : engine->queued.last;
  return operation && operation->owner ? operation : NULL;
}

/* client:under_way() -> operations that have not ended, and those that wait to be taken; and what was tied
 * to the one that was begun last, mostly */
static int client_under_way(lua_State *L)
{
  const veo_engine *engine = &veo_check_client(L, 1)->engine;
  const veo_operation *operation = newest(engine);
  int count = veo_engine_active(engine) + engine->queued.count + engine->works.queued.count +
              engine->done.count;
  if(operation)
    veo_transfer_push(L, 1, operation);
  else
    lua_pushnil(L);
  veo_pushinteger(L, count);
  lua_insert(L, -2);
  return 2;
}

/* client:room() -> calls that could be started without waiting for one another: downloads and uploads,
 * which may be many and long, wait in the queue with them and keep none of them out of it */
static int client_room(lua_State *L)
{
  veo_pushinteger(L, veo_engine_room(&veo_check_client(L, 1)->engine));
  return 1;
}

/* client:take() -> the next transfer that has ended, or that has news (a stream's bytes, headers that
 * were asked for) and goes on, and what was tied to it; or nil */
static int client_take(lua_State *L)
{
  veo_client *client = veo_check_client(L, 1);
  veo_operation *operation = veo_engine_take(&client->engine);
  if(!operation)
    operation = veo_engine_take_news(&client->engine);
  if(!operation)
    return 0;
  veo_transfer_push(L, 1, operation);
  return 2;
}

/* client:wake_at(seconds | nil): when step is wanted next, on the clock of core.now */
static int client_wake_at(lua_State *L)
{
  veo_client *client = veo_check_client(L, 1);
  double at = VEO_NEVER;
  if(!lua_isnoneornil(L, 2))
    at = veo_number_argument(L, 2, 0, HUGE_VAL, "a time from 0 up expected");
  veo_engine_wake_at(&client->engine, at < VEO_NEVER ? at : VEO_NEVER);
  return 0;
}

/* client:pollfd() -> the one descriptor to watch for reading, or nil where there is none */
static int client_pollfd(lua_State *L)
{
  veo_client *client = veo_check_client(L, 1);
  int fd = veo_engine_pollfd(&client->engine);
  if(fd < 0)
    return 0;
  lua_pushinteger(L, fd);
  return 1;
}

static int client_events(lua_State *L)
{
  (void)check_any(L, 1);
  lua_pushliteral(L, "r");
  return 1;
}

/* client:timeout(waiting) -> seconds until step is wanted, or nil for no such time */
static int client_timeout(lua_State *L)
{
  const veo_client *client = veo_check_client(L, 1);
  double deadline = veo_engine_deadline(&client->engine, lua_toboolean(L, 2));
  double left = deadline - veo_now();
  if(deadline >= VEO_NEVER)
    return 0;
  lua_pushnumber(L, left > 0 ? left : 0);
  return 1;
}

void veo_client_register(lua_State *L)
{
  static const luaL_Reg methods[] = {{"extend", veo_request_extend},
                                     {"status", veo_request_status},
                                     {"look", veo_request_look},
                                     {"start", veo_request_start},
                                     {"warm", veo_request_warm},
                                     {"step", client_step},
                                     {"take", client_take},
                                     {"under_way", client_under_way},
                                     {"room", client_room},
                                     {"wake_at", client_wake_at},
                                     {"pollfd", client_pollfd},
                                     {"events", client_events},
                                     {"timeout", client_timeout},
                                     {"close", client_close},
                                     {"closed", client_closed},
                                     {"stats", veo_client_stats},
                                     {NULL, NULL}};
  static const luaL_Reg events[] = {{"__gc", client_close},
                                    {"__close", client_close},
                                    {"__tostring", client_tostring},
                                    {NULL, NULL}};
  veo_newtype(L, &veo_client_type, methods, events);
}
