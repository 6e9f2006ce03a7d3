/* JSON token by token; see json_scan.h. */
#include "json_scan.h"

#include <string.h>

enum { MAX_DIGITS = 15 };

static void skip_blanks(veo_json_scan *scan)
{
  const char *at = scan->at;
  while(*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')
    at++;
  scan->at = at;
}

int veo_json_scan_char(veo_json_scan *scan, char wanted)
{
  skip_blanks(scan);
  if(*scan->at != wanted)
    return 0;
  scan->at++;
  return 1;
}

static int scan_word(veo_json_scan *scan, const char *word, size_t length)
{
  skip_blanks(scan);
  if(*scan->at != *word || strncmp(scan->at, word, length) != 0)
    return 0;
  scan->at += length;
  return 1;
}

int veo_json_scan_null(veo_json_scan *scan)
{
  return scan_word(scan, "null", 4);
}

int veo_json_scan_bool(veo_json_scan *scan, int *value)
{
  *value = scan_word(scan, "true", 4);
  return *value || scan_word(scan, "false", 5);
}

static int is_digit(char c)
{
  return c >= '0' && c <= '9';
}

/* At least one digit. */
static int skip_digits(veo_json_scan *scan)
{
  const char *begun = scan->at;
  while(is_digit(*scan->at))
    scan->at++;
  return scan->at > begun;
}

/* The digits before a point; a zero stands alone. */
static int skip_integer(veo_json_scan *scan)
{
  const char *begun = scan->at;
  return skip_digits(scan) && (*begun != '0' || scan->at == begun + 1);
}

/* Nothing that would make the number another one follows: a point, an exponent, a letter of its own. */
static int number_ends(const veo_json_scan *scan)
{
  return *scan->at && strchr(",]} \t\r\n", *scan->at);
}

int veo_json_scan_whole(veo_json_scan *scan, double *value)
{
  const char *at;
  skip_blanks(scan);
  at = scan->at;
  if(!skip_integer(scan) || scan->at - at > MAX_DIGITS || !number_ends(scan))
    return 0;
  *value = 0;
  for(; at < scan->at; at++)
    *value = *value * 10 + (*at - '0');
  return 1;
}

static int skip_number(veo_json_scan *scan)
{
  if(*scan->at == '-')
    scan->at++;
  if(!skip_integer(scan))
    return 0;
  if(*scan->at == '.') {
    scan->at++;
    if(!skip_digits(scan))
      return 0;
  }
  return number_ends(scan);
}

int veo_json_scan_string(veo_json_scan *scan, veo_text *text)
{
  const char *at;
  if(!veo_json_scan_char(scan, '"'))
    return 0;
  text->data = at = scan->at;
  text->escaped = 0;
  for(;; at++) {
    unsigned char byte = (unsigned char)*at;
    if(byte > '\\') /* first, because most are */
      continue;
    if(byte == '"')
      break;
    if(byte < ' ')
      return 0; /* the end, too */
    if(byte == '\\') {
      text->escaped = 1;
      at++;
      if(!*at || !strchr("\"\\/bfnrt", *at))
        return 0;
    }
  }
  text->length = (size_t)(at - text->data);
  scan->at = at + 1;
  return 1;
}

int veo_json_scan_key(veo_json_scan *scan, int first, veo_text *key)
{
  if(veo_json_scan_char(scan, '}'))
    return 0;
  if(!first && !veo_json_scan_char(scan, ','))
    return -1;
  return veo_json_scan_string(scan, key) && veo_json_scan_char(scan, ':') ? 1 : -1;
}

static int skip_object(veo_json_scan *scan, int depth)
{
  veo_text key;
  int first = 1;
  int more;
  scan->at++;
  while((more = veo_json_scan_key(scan, first, &key)) > 0) {
    if(!veo_json_scan_skip(scan, depth - 1))
      return 0;
    first = 0;
  }
  return more == 0;
}

static int skip_array(veo_json_scan *scan, int depth)
{
  scan->at++;
  if(veo_json_scan_char(scan, ']'))
    return 1;
  do {
    if(!veo_json_scan_skip(scan, depth - 1))
      return 0;
  } while(veo_json_scan_char(scan, ','));
  return veo_json_scan_char(scan, ']');
}

int veo_json_scan_skip(veo_json_scan *scan, int depth)
{
  veo_text text;
  int value;
  if(depth <= 0)
    return 0;
  skip_blanks(scan);
  switch(*scan->at) {
  case '"':
    return veo_json_scan_string(scan, &text);
  case '{':
    return skip_object(scan, depth);
  case '[':
    return skip_array(scan, depth);
  case 'n':
    return veo_json_scan_null(scan);
  case 't':
  case 'f':
    return veo_json_scan_bool(scan, &value);
  default:
    return skip_number(scan);
  }
}

int veo_json_scan_ended(veo_json_scan *scan, const char *end)
{
  skip_blanks(scan);
  return scan->at == end;
}

size_t veo_unescape(const veo_text *text, char *out)
{
  static const char letters[] = "bfnrt";
  static const char bytes[] = "\b\f\n\r\t";
  const char *end = text->data + text->length;
  const char *at;
  char *begun = out;
  for(at = text->data; at < end; at++) {
    const char *letter = NULL;
    if(*at == '\\')
      letter = strchr(letters, *++at);
    *out = *at;
    if(letter)
      *out = bytes[letter - letters];
    out++;
  }
  return (size_t)(out - begun);
}
