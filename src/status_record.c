/* The usual record; see status_record.h. Every look of every wait comes by here, and nearly all end here. Decoding
 * it with lua-cjson, cleaning the tables and reading them took 70,000 of the 166,000 instructions of a
 * status call, and two thirds of the memory of a wait's last status. No rule is relaxed: what is not exactly
 * as documented goes the long way. */
#include "status_record.h"

#include "json.h"
#include "json_scan.h"

#include <string.h>

enum { MAX_DEPTH = 20, MAX_PARAM = 4096, MAX_URL = 1024, NO_FLAG = -1 };

/* What a list of one holds. */
typedef struct {
  enum { NOTHING, BOOLEAN, WHOLE, TEXT } type;
  double value;
  veo_text text;
} item;

typedef struct {
  veo_text text;           /* without escapes; NULL when there was none */
  char plain[MAX_URL + 1]; /* what it is without its escapes, when it had any */
} link;

typedef struct {
  double code;
  double flag;
  int has_response;
  int has_created;
  int has_completed;
  double created;
  double completed;
  veo_text id;
  veo_text param;
  link new_url;
  link whole_url;
  veo_text resolution;
  item seeds;
  item audio;
  item media;
} record;

typedef int reader(veo_json_scan *scan, record *r);

typedef struct {
  const char *name;
  size_t length;
  reader *read; /* NULL where the usual record has nothing, or null */
} field;

#define FIELD(name, read)                                                                          \
  {                                                                                                \
    (name), sizeof(name) - 1, (read)                                                               \
  }

/* ------------------------------------------------------------------- reading */

static int is_named(const field *known, const veo_text *key)
{
  return known->length == key->length && memcmp(known->name, key->data, key->length) == 0;
}

/* `next` is looked at first: most records have their fields in this order. */
static const field *find(const field *fields, const field *next, const veo_text *key)
{
  if(next->name && is_named(next, key))
    return next;
  for(; fields->name; fields++) {
    if(is_named(fields, key))
      return fields;
  }
  return NULL;
}

/* Unknown fields may hold anything. The same field twice is unusual, and so is a key with escapes, which may
 * spell a known one. */
static int read_object(veo_json_scan *scan, const field *fields, record *r)
{
  const field *next = fields;
  veo_text key;
  unsigned seen = 0;
  int first = 1;
  int more;
  if(!veo_json_scan_char(scan, '{'))
    return 0;
  while((more = veo_json_scan_key(scan, first, &key)) > 0) {
    const field *known = find(fields, next, &key);
    unsigned bit = known ? 1u << (known - fields) : 0;
    if(key.escaped || (seen & bit))
      return 0;
    seen |= bit;
    first = 0;
    if(known)
      next = known + 1;
    if(!known) {
      if(!veo_json_scan_skip(scan, MAX_DEPTH))
        return 0;
    } else if(!veo_json_scan_null(scan) && !(known->read && known->read(scan, r)))
      return 0;
  }
  return more == 0;
}

static int read_code(veo_json_scan *scan, record *r)
{
  return veo_json_scan_whole(scan, &r->code);
}

static int read_flag(veo_json_scan *scan, record *r)
{
  return veo_json_scan_whole(scan, &r->flag);
}

static int read_created(veo_json_scan *scan, record *r)
{
  r->has_created = 1;
  return veo_json_scan_whole(scan, &r->created);
}

static int read_completed(veo_json_scan *scan, record *r)
{
  r->has_completed = 1;
  return veo_json_scan_whole(scan, &r->completed);
}

static int is_plain(unsigned char byte)
{
  unsigned char letter = byte | 0x20;
  return (letter >= 'a' && letter <= 'z') || (byte >= '0' && byte <= '9') || byte == '-' ||
         byte == '_';
}

static int read_id(veo_json_scan *scan, record *r)
{
  size_t i;
  if(!veo_json_scan_string(scan, &r->id) || r->id.length == 0)
    return 0;
  for(i = 0; i < r->id.length; i++) {
    if(!is_plain((unsigned char)r->id.data[i]))
      return 0;
  }
  return 1;
}

static int read_param(veo_json_scan *scan, record *r)
{
  return veo_json_scan_string(scan, &r->param) &&
         (!r->param.escaped || r->param.length <= MAX_PARAM);
}

static int read_resolution(veo_json_scan *scan, record *r)
{
  return veo_json_scan_string(scan, &r->resolution) && !r->resolution.escaped &&
         r->resolution.length > 0;
}

static int read_no_message(veo_json_scan *scan, record *r)
{
  veo_text text;
  (void)r;
  return veo_json_scan_string(scan, &text) && text.length == 0;
}

/* A URL without anything around it: no quotes, no blanks, and a host. */
static int is_url(const char *url, size_t length)
{
  static const char https[] = "https://";
  size_t start = 8;
  size_t i;
  if(strncmp(url, https, start) != 0) {
    start = 7;
    if(strncmp(url, "http://", start) != 0)
      return 0;
  }
  if(length <= start || strchr("/?#", url[start]))
    return 0;
  for(i = start; i < length; i++) {
    unsigned char byte = (unsigned char)url[i];
    if(byte <= ' ' || byte == 127 || byte == '"' || byte == '\'')
      return 0;
  }
  return 1;
}

/* A list of one that was encoded once more: "[\"https://...\"]". */
static int read_encoded_url(veo_json_scan *scan, link *url)
{
  veo_text text;
  if(!veo_json_scan_string(scan, &text) || !text.escaped || text.length > MAX_URL)
    return 0;
  text.length = veo_unescape(&text, url->plain);
  if(text.length < 4 || memcmp(url->plain, "[\"", 2) != 0 ||
     memcmp(url->plain + text.length - 2, "\"]", 2) != 0 || memchr(url->plain, '\\', text.length))
    return 0;
  url->text.data = url->plain + 2;
  url->text.length = text.length - 4;
  url->plain[text.length - 2] = '\0';
  return is_url(url->text.data, url->text.length);
}

static int read_url(veo_json_scan *scan, link *url)
{
  veo_text text;
  if(*scan->at == '"')
    return read_encoded_url(scan, url);
  if(!veo_json_scan_char(scan, '[') || !veo_json_scan_string(scan, &text))
    return 0;
  if(text.escaped) {
    if(text.length > MAX_URL)
      return 0;
    text.length = veo_unescape(&text, url->plain);
    url->plain[text.length] = '\0';
    text.data = url->plain;
  }
  url->text = text;
  return is_url(text.data, text.length) && veo_json_scan_char(scan, ']');
}

static int read_new(veo_json_scan *scan, record *r)
{
  return read_url(scan, &r->new_url);
}

static int read_whole(veo_json_scan *scan, record *r)
{
  return read_url(scan, &r->whole_url);
}

static int read_item(veo_json_scan *scan, item *only)
{
  int boolean = 0;
  if(!veo_json_scan_char(scan, '['))
    return 0;
  if(veo_json_scan_bool(scan, &boolean)) {
    only->type = BOOLEAN;
    only->value = boolean;
  } else if(*scan->at == '"') {
    if(!veo_json_scan_string(scan, &only->text) || only->text.escaped)
      return 0;
    only->type = TEXT;
  } else if(veo_json_scan_whole(scan, &only->value)) {
    only->type = WHOLE;
  } else
    return 0;
  return veo_json_scan_char(scan, ']');
}

static int read_seeds(veo_json_scan *scan, record *r)
{
  return read_item(scan, &r->seeds);
}

static int read_audio(veo_json_scan *scan, record *r)
{
  return read_item(scan, &r->audio);
}

static int read_media(veo_json_scan *scan, record *r)
{
  return read_item(scan, &r->media);
}

static int read_response(veo_json_scan *scan, record *r)
{
  static const field fields[] = {
      FIELD("resultUrls", read_new),     FIELD("fullResultUrls", read_whole),
      FIELD("originUrls", NULL),         FIELD("resolution", read_resolution),
      FIELD("hasAudioList", read_audio), FIELD("seeds", read_seeds),
      FIELD("mediaIds", read_media),     {NULL, 0, NULL}};
  r->has_response = 1;
  return read_object(scan, fields, r);
}

static int read_data(veo_json_scan *scan, record *r)
{
  static const field fields[] = {FIELD("taskId", read_id),
                                 FIELD("paramJson", read_param),
                                 FIELD("completeTime", read_completed),
                                 FIELD("response", read_response),
                                 FIELD("info", NULL),
                                 FIELD("successFlag", read_flag),
                                 FIELD("errorCode", NULL),
                                 FIELD("errorMessage", read_no_message),
                                 FIELD("createTime", read_created),
                                 FIELD("creditsConsumed", NULL),
                                 /* results that stand outside of the response */
                                 FIELD("resultUrls", NULL),
                                 FIELD("fullResultUrls", NULL),
                                 FIELD("originUrls", NULL),
                                 FIELD("resolution", NULL),
                                 FIELD("hasAudioList", NULL),
                                 FIELD("seeds", NULL),
                                 FIELD("mediaIds", NULL),
                                 {NULL, 0, NULL}};
  return read_object(scan, fields, r);
}

/* 1 when it is the usual record of a task that goes on or has succeeded. */
static int read_record(const char *text, size_t length, record *r)
{
  static const field fields[] = {
      FIELD("code", read_code), FIELD("data", read_data), {NULL, 0, NULL}};
  veo_json_scan scan = {text};
  if(!read_object(&scan, fields, r) || !veo_json_scan_ended(&scan, text + length))
    return 0;
  if(r->code != 200 || !r->id.data)
    return 0;
  if(r->flag == 0)
    return !r->has_response;
  return r->flag == 1 && r->new_url.text.data && r->resolution.data;
}

/* ------------------------------------------------------------------- writing */

/* Places in the table of names: one that Lua has at hand costs 140 instructions less than its C string, of 270. */
enum { ID = 1, STATE, DONE, FLAG, CREATED, COMPLETED, PARAM, NEW_URLS, WHOLE_URLS };
enum { VIDEO = WHOLE_URLS + 1, RESOLUTION, SEEDS, AUDIO, MEDIA, JSON };

/* A status that is being written, and the names, as places on the stack. */
typedef struct {
  lua_State *L;
  int status;
  int names;
} writer;

static void name_next(const writer *w, int name)
{
  lua_rawgeti(w->L, w->names, name);
}

static void set(const writer *w)
{
  lua_rawset(w->L, w->status);
}

static void set_text(const writer *w, int name, const veo_text *text)
{
  name_next(w, name);
  lua_pushlstring(w->L, text->data, text->length);
  set(w);
}

static void set_whole(const writer *w, int name, double value)
{
  name_next(w, name);
  veo_pushinteger(w->L, value);
  set(w);
}

static void set_param(const writer *w, const veo_text *param)
{
  char plain[MAX_PARAM];
  if(!param->data)
    return;
  name_next(w, PARAM);
  if(param->escaped)
    lua_pushlstring(w->L, plain, veo_unescape(param, plain));
  else
    lua_pushlstring(w->L, param->data, param->length);
  set(w);
}

static void set_item(const writer *w, int name, const item *only)
{
  if(only->type == NOTHING)
    return;
  name_next(w, name);
  lua_createtable(w->L, 1, 0);
  if(only->type == BOOLEAN)
    lua_pushboolean(w->L, only->value != 0);
  else if(only->type == TEXT)
    lua_pushlstring(w->L, only->text.data, only->text.length);
  else
    veo_pushinteger(w->L, only->value);
  lua_rawseti(w->L, -2, 1);
  set(w);
}

/* Also as the video's, when it is. */
static void set_url(const writer *w, int name, const veo_text *url, int is_video)
{
  name_next(w, name);
  lua_createtable(w->L, 1, 0);
  lua_pushlstring(w->L, url->data, url->length);
  if(is_video) {
    name_next(w, VIDEO);
    lua_pushvalue(w->L, -2);
    set(w);
  }
  lua_rawseti(w->L, -2, 1);
  set(w);
}

static void set_results(const writer *w, const record *r)
{
  int has_whole = r->whole_url.text.data != NULL;
  set_url(w, NEW_URLS, &r->new_url.text, !has_whole);
  if(has_whole)
    set_url(w, WHOLE_URLS, &r->whole_url.text, 1);
  set_text(w, RESOLUTION, &r->resolution);
  set_item(w, SEEDS, &r->seeds);
  set_item(w, AUDIO, &r->audio);
  set_item(w, MEDIA, &r->media);
}

static void set_state(const writer *w, int done)
{
  name_next(w, STATE);
  lua_pushstring(w->L, done ? "succeeded" : "generating");
  set(w);
  name_next(w, DONE);
  lua_pushboolean(w->L, done);
  set(w);
}

int veo_status_record_push(lua_State *L, int kind, int names, const char *text, size_t length)
{
  record r = {0};
  writer w = {L, 0, names};
  int done;
  r.flag = NO_FLAG;
  if(!read_record(text, length, &r))
    return 0;
  done = r.flag == 1;
  lua_createtable(L, 0, done ? 15 : 8);
  w.status = lua_gettop(L);
  set_text(&w, ID, &r.id);
  set_state(&w, done);
  set_whole(&w, FLAG, r.flag);
  if(r.has_created)
    set_whole(&w, CREATED, r.created);
  if(r.has_completed)
    set_whole(&w, COMPLETED, r.completed);
  set_param(&w, &r.param);
  if(done)
    set_results(&w, &r);
  name_next(&w, JSON);
  lua_pushlstring(L, text, length);
  set(&w);
  lua_pushvalue(L, kind);
  lua_setmetatable(L, -2);
  return 1;
}

void veo_status_record_names(lua_State *L)
{
  static const char *const names[] = {"taskId",         "state",        "done",       "successFlag",
                                      "createTime",     "completeTime", "paramJson",  "resultUrls",
                                      "fullResultUrls", "video_url",    "resolution", "seeds",
                                      "hasAudioList",   "mediaIds",     "json"};
  int i;
  lua_createtable(L, JSON, 0);
  for(i = 0; i < JSON; i++) {
    lua_pushstring(L, names[i]);
    lua_rawseti(L, -2, i + 1);
  }
}

/* ----------------------------------------------------------------------- raw */

enum { DECODE = 1, DECODED = 2 };

/* status.raw, decoded once. It is not put into the status: that may just be traversed. Scripts can reach this
 * function and its metatable, and may call it with anything. */
static int read_raw(lua_State *L)
{
  size_t length;
  const char *text;
  lua_settop(L, 2);
  if(!lua_istable(L, 1) || lua_type(L, 2) != LUA_TSTRING || strcmp(lua_tostring(L, 2), "raw") != 0)
    return 0;
  lua_pushvalue(L, 1);
  lua_rawget(L, lua_upvalueindex(DECODED));
  if(!lua_isnil(L, -1))
    return 1;
  lua_pushliteral(L, "json");
  lua_rawget(L, 1);
  text = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &length) : NULL;
  if(!text || !veo_json_decode(L, lua_upvalueindex(DECODE), text, length))
    return 0;
  lua_pushvalue(L, 1);
  lua_pushvalue(L, -2);
  lua_rawset(L, lua_upvalueindex(DECODED));
  return 1;
}

void veo_status_record_kind(lua_State *L, int decode)
{
  decode = veo_absindex(L, decode);
  lua_createtable(L, 0, 1);
  lua_pushvalue(L, decode);
  lua_newtable(L); /* status -> decoded, as long as the status lives */
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "k");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_pushcclosure(L, read_raw, 2);
  lua_setfield(L, -2, "__index");
}
