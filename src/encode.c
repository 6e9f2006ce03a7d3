/* A Lua value as JSON; see encode.h. Not lua-cjson's: it writes numbers with 14 digits (16 in openresty's line), so
 * that a whole number past 1e14 and a fraction like 1/3 went out as another one. */
#include "encode.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 100, SLOTS = 3, NUMBER = 40, FEWEST_DIGITS = 15, MOST_DIGITS = 17 };

/* The value is walked twice: first for its length, then into memory of that size, which Lua owns. */
typedef struct {
  lua_State *L;
  char *out; /* NULL while the length is measured */
  size_t size;
  size_t length;
  const char *wrong;
} writer;

static int fail(writer *w, const char *wrong)
{
  w->wrong = wrong;
  return 0;
}

static int put(writer *w, const char *data, size_t length)
{
  if(w->out) {
    /* the memory was asked for in between, which may have run a finalizer */
    if(length > w->size - w->length)
      return fail(w, "it changed while it was written");
    memcpy(w->out + w->length, data, length);
  }
  w->length += length;
  return 1;
}

static int put_text(writer *w, const char *text)
{
  return put(w, text, strlen(text));
}

static int put_char(writer *w, char c)
{
  return put(w, &c, 1);
}

/* ------------------------------------------------------------------- numbers */

/* The host's locale may have another sign between whole and fraction, of several bytes. */
static void set_point(char *text)
{
  char *to = text;
  for(; *text; text++) {
    if(strchr("0123456789+-e", *text))
      *to++ = *text;
    else if(to[-1] != '.')
      *to++ = '.';
  }
  *to = '\0';
}

/* In as few digits as tell it from every other number. */
static int put_fraction(writer *w, double number)
{
  char text[NUMBER];
  int digits = FEWEST_DIGITS;
  do
    snprintf(text, sizeof text, "%.*g", digits, number);
  while(strtod(text, NULL) != number && digits++ < MOST_DIGITS);
  set_point(text);
  return put_text(w, text);
}

static int put_double(writer *w, double number)
{
  char text[NUMBER];
  if(!isfinite(number))
    return fail(w, "a number that is not finite");
  if(number != floor(number))
    return put_fraction(w, number);
  if(fabs(number) >=
     9007199254740992.0) /* 2^53: from here on the number that was meant may be another */
    return fail(w, "a whole number of 2^53 or more that is no integer");
  snprintf(text, sizeof text, "%.0f", number + 0.0);
  return put_text(w, text);
}

static int put_number(writer *w)
{
#if LUA_VERSION_NUM >= 503
  if(lua_isinteger(w->L, -1)) {
    char text[NUMBER];
    snprintf(text, sizeof text, "%lld", (long long)lua_tointeger(w->L, -1));
    return put_text(w, text);
  }
#endif
  return put_double(w, lua_tonumber(w->L, -1));
}

/* ------------------------------------------------------------------- strings */

static int put_escaped(writer *w, unsigned char c)
{
  static const char letters[] = "btn?fr"; /* from 8 on */
  char text[8];
  if(c == '"' || c == '\\')
    snprintf(text, sizeof text, "\\%c", c);
  else if(c >= '\b' && c <= '\r' && c != '\v')
    snprintf(text, sizeof text, "\\%c", letters[c - '\b']);
  else
    snprintf(text, sizeof text, "\\u%04x", c);
  return put_text(w, text);
}

/* The string at `index`, whatever its bytes: a task's id may be no UTF-8. */
static int put_string(writer *w, int index)
{
  size_t left;
  const char *text = lua_tolstring(w->L, index, &left);
  if(!put_char(w, '"'))
    return 0;
  while(left) {
    size_t plain = 0;
    while(plain < left && (unsigned char)text[plain] >= ' ' && text[plain] != '"' &&
          text[plain] != '\\')
      plain++;
    if(!put(w, text, plain) || (plain < left && !put_escaped(w, (unsigned char)text[plain++])))
      return 0;
    text += plain;
    left -= plain;
  }
  return put_char(w, '"');
}

/* -------------------------------------------------------------------- tables */

static int put_value(writer *w, int depth);

/* How many fields the table on the top has. */
static size_t count(lua_State *L)
{
  size_t fields = 0;
  lua_pushnil(L);
  while(lua_next(L, -2)) {
    lua_pop(L, 1);
    fields++;
  }
  return fields;
}

static int put_list(writer *w, size_t items, int depth)
{
  size_t i;
  for(i = 1; i <= items; i++) {
    lua_rawgeti(w->L, -1, (int)i);
    if(!put_char(w, i == 1 ? '[' : ',') || !put_value(w, depth + 1))
      return 0;
    lua_pop(w->L, 1);
  }
  return put_char(w, ']');
}

static int put_object(writer *w, int depth)
{
  char before = '{';
  lua_pushnil(w->L);
  while(lua_next(w->L, -2)) {
    if(lua_type(w->L, -2) != LUA_TSTRING)
      return fail(w, "a table that is neither a list nor named fields");
    if(!put_char(w, before) || !put_string(w, -2) || !put_char(w, ':') || !put_value(w, depth + 1))
      return 0;
    lua_pop(w->L, 1);
    before = ',';
  }
  return (before == ',' || put_char(w, '{')) && put_char(w, '}');
}

static int put_table(writer *w, int depth)
{
  size_t items = veo_rawlen(w->L, -1);
  if(depth > MAX_DEPTH)
    return fail(w, "a table nested too deeply, or in itself");
  if(!items)
    return put_object(w, depth);
  if(items != count(w->L))
    return fail(w, "a table that is neither a list nor named fields");
  return put_list(w, items, depth);
}

/* The value on the top. It stays there, and more may lie on it when this fails. */
static int put_value(writer *w, int depth)
{
  switch(lua_type(w->L, -1)) {
  case LUA_TSTRING:
    return put_string(w, -1);
  case LUA_TNUMBER:
    return put_number(w);
  case LUA_TBOOLEAN:
    return put_text(w, lua_toboolean(w->L, -1) ? "true" : "false");
  case LUA_TTABLE:
    return put_table(w, depth);
  default:
    return fail(w, luaL_typename(w->L, -1));
  }
}

int veo_encode(lua_State *L, int index)
{
  writer w = {L, NULL, 0, 0, NULL};
  int top = lua_gettop(L);
  int ok;
  luaL_checkstack(L, SLOTS * MAX_DEPTH + 10, "tables nested too deeply");
  lua_pushvalue(L, index);
  ok = put_value(&w, 1);
  if(ok) {
    w.size = w.length;
    w.length = 0;
    w.out = veo_newuserdata(L, w.size);
    lua_pushvalue(L, -2);
    ok = put_value(&w, 1);
  }
  if(ok)
    lua_pushlstring(L, w.out, w.length);
  else
    lua_pushfstring(L, "the request cannot be written as JSON: %s", w.wrong);
  lua_insert(L, top + 1);
  lua_settop(L, top + 1);
  return ok;
}
