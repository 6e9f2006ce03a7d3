/* A client's numbers as a table; see client_stats.h. */
#include "client_stats.h"

#include "client_state.h"

static void set_number(lua_State *L, const char *field, double value)
{
  veo_pushinteger(L, value);
  lua_setfield(L, -2, field);
}

static double sum(const veo_tally *tally)
{
  double all = 0;
  int i;
  for(i = 0; i < VEO_ENDS; i++)
    all += tally->ends[i];
  return all;
}

/* The core's own kinds and the calls that occurred, each with all ends. */
static void push_exchanges(lua_State *L, const veo_stats *stats)
{
  static const char *const kinds[VEO_TALLIES] = {NULL,       "status", NULL,
                                                 "download", "upload", "warm"};
  static const char *const ends[VEO_ENDS] = {"ok",        "http_error", "malformed", "network",
                                             "timed_out", "cancelled",  "closed",    "other"};
  int at;
  int i;
  lua_newtable(L);
  for(at = 0; at < VEO_TALLIES; at++) {
    const veo_tally *tally = &stats->tallies[at];
    if(!kinds[at] && sum(tally) <= 0)
      continue;
    lua_createtable(L, 0, VEO_ENDS);
    for(i = 0; i < VEO_ENDS; i++)
      set_number(L, ends[i], tally->ends[i]);
    lua_setfield(L, -2, kinds[at] ? kinds[at] : tally->name[0] ? tally->name : "call");
  }
}

int veo_client_stats(lua_State *L)
{
  static const char *const traffic[VEO_TRAFFICS] = {"bytes_received_total", "bytes_sent_total",
                                                    "connections_made_total",
                                                    "connections_reused_total"};
  veo_client *client = veo_checktype(L, 1, &veo_client_type);
  veo_engine *engine = &client->engine;
  const veo_list *const lists[] = {&engine->active, &engine->done, &engine->taken};
  int i;
  lua_createtable(L, 0, 20);
  push_exchanges(L, &engine->stats);
  lua_setfield(L, -2, "exchanges_total");
  veo_stats_tell(&engine->stats, lists, 3);
  for(i = 0; i < VEO_TRAFFICS; i++)
    set_number(L, traffic[i], engine->stats.told[i]);
  set_number(L, "in_flight", engine->active.count);
  set_number(L, "queued", engine->queued.count);
  return 1;
}
