/* Small work on bytes; see text.h. No Lua, no libcurl. */
#include "text.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int veo_buffer_append(veo_buffer *buffer, const char *data, size_t length)
{
  size_t needed = buffer->length + length + 1;
  if(needed > buffer->capacity) {
    size_t capacity = buffer->capacity ? buffer->capacity : 1024;
    char *grown;
    while(capacity < needed)
      capacity *= 2;
    grown = realloc(buffer->data, capacity);
    if(!grown)
      return 0;
    buffer->data = grown;
    buffer->capacity = capacity;
  }
  if(length)
    memcpy(buffer->data + buffer->length, data, length);
  buffer->length += length;
  buffer->data[buffer->length] = '\0';
  return 1;
}

void veo_buffer_reset(veo_buffer *buffer, size_t keep)
{
  buffer->length = 0;
  if(buffer->capacity > keep)
    veo_buffer_free(buffer);
}

void veo_buffer_free(veo_buffer *buffer)
{
  free(buffer->data);
  buffer->data = NULL;
  buffer->length = 0;
  buffer->capacity = 0;
}

char *veo_copy(const char *text, size_t length)
{
  char *copy = malloc(length + 1);
  if(copy) {
    memcpy(copy, text, length);
    copy[length] = '\0';
  }
  return copy;
}

void veo_wipe(char *text, size_t length)
{
  volatile char *p = text;
  while(length--)
    *p++ = 0;
}

int veo_header_safe(const char *text, size_t length)
{
  for(; length; text++, length--) {
    if(*text == '\0' || *text == '\r' || *text == '\n')
      return 0;
  }
  return 1;
}

void veo_scrub(char *data, size_t length, const char *secret)
{
  size_t size = strlen(secret);
  char *end = data + length;
  if(size < 8)
    return; /* no real key is as short, and a short one would spoil other words */
  while((size_t)(end - data) >= size) {
    char *hit = memchr(data, secret[0], (size_t)(end - data) - size + 1);
    if(!hit)
      return;
    if(hit[1] == secret[1] && memcmp(hit, secret, size) == 0) {
      memset(hit, '*', size);
      data = hit + size;
    } else {
      data = hit + 1;
    }
  }
}

static int ends_url(char c)
{
  return c == '\0' || isspace((unsigned char)c) || c == '"' || c == '\'' || c == '<' || c == '>';
}

/* The first byte behind "://", which in JSON may be written with backslashes; NULL without one. */
static char *behind_scheme(char *text)
{
  for(text = strchr(text, ':'); text; text = strchr(text + 1, ':')) {
    if(strncmp(text, "://", 3) == 0)
      return text + 3;
    if(strncmp(text, ":\\/\\/", 5) == 0)
      return text + 5;
  }
  return NULL;
}

void veo_redact(char *text)
{
  char *start = text;
  while((start = behind_scheme(start)) != NULL) {
    char *read = start;
    char *write = read;
    char *p;
    char *host = read;
    for(p = read; !ends_url(*p) && !strchr("/\\?#", *p); p++) {
      if(*p == '@')
        host = p + 1; /* what stands before the last @ is user:password */
    }
    read = host;
    while(!ends_url(*read) && *read != '?' && *read != '#')
      *write++ = *read++;
    if(*read == '?' || *read == '#') {
      *write++ = *read++; /* keep the mark so that the cut can be seen */
      while(!ends_url(*read))
        read++;
    }
    start = write;
    memmove(write, read, strlen(read) + 1);
  }
}

void veo_hide_user(char *text)
{
  char *at = strrchr(text, '@');
  char *start = at ? strchr(text, '\'') : NULL;
  if(!at)
    return;
  if(!start || start > at) {
    for(start = at; start > text && !isspace((unsigned char)start[-1]); start--)
      ;
  } else {
    start++; /* in quotes it may have blanks */
  }
  memmove(start, at + 1, strlen(at + 1) + 1);
}

size_t veo_excerpt(const char *data, size_t length, char *out, size_t size)
{
  size_t n = 0;
  size_t i;
  for(i = 0; i < length && n + 1 < size; i++) {
    unsigned char c = (unsigned char)data[i];
    if(c < 0x20 || c == 0x7f)
      c = ' ';
    if(c == ' ' && (n == 0 || out[n - 1] == ' '))
      continue;
    out[n++] = (char)c;
  }
  if(i < length) {
    /* Do not end inside a UTF-8 character. */
    while(n && ((unsigned char)out[n - 1] & 0xc0) == 0x80)
      n--;
    if(n && ((unsigned char)out[n - 1] & 0xc0) == 0xc0)
      n--;
  }
  while(n && out[n - 1] == ' ')
    n--;
  out[n] = '\0';
  return n;
}

static int is_port(const char *text, size_t length)
{
  size_t i;
  for(i = 1; i < length; i++) {
    if(!isdigit((unsigned char)text[i]))
      return 0;
  }
  return length == 0 || *text == ':';
}

/* The host of a URL: its start, and its length through *length. NULL without a scheme, or where something
 * else than a port follows: [::1]x.example and localhost:80.example are not on this machine. */
static const char *host_of(const char *url, size_t *length)
{
  const char *host = strstr(url, "://");
  size_t n;
  if(!host)
    return NULL;
  host += 3;
  n = strcspn(host, "/?#");
  if(memchr(host, '@', n)) {
    const char *at = memchr(host, '@', n);
    n -= (size_t)(at + 1 - host);
    host = at + 1;
  }
  if(n && *host == '[') {
    const char *end = memchr(host, ']', n);
    if(!end)
      return NULL;
    *length = (size_t)(end + 1 - host);
  } else {
    const char *colon = memchr(host, ':', n);
    *length = colon ? (size_t)(colon - host) : n;
  }
  return is_port(host + *length, n - *length) ? host : NULL;
}

int veo_names_host(const char *url)
{
  size_t n;
  return host_of(url, &n) && n;
}

static int equals(const char *text, size_t length, const char *word)
{
  size_t i;
  if(strlen(word) != length)
    return 0;
  for(i = 0; i < length; i++) {
    if(tolower((unsigned char)text[i]) != word[i])
      return 0;
  }
  return 1;
}

static int is_ipv4(const char *host, size_t length)
{
  size_t i;
  int dots = 0;
  int number = -1; /* no digit yet */
  for(i = 0; i < length; i++) {
    if(host[i] == '.' && number >= 0) {
      dots++;
      number = -1;
    } else if(isdigit((unsigned char)host[i]) && number <= 25) {
      number = (number > 0 ? number * 10 : 0) + (host[i] - '0');
    } else {
      return 0;
    }
    if(number > 255)
      return 0;
  }
  return dots == 3 && number >= 0;
}

int veo_has_other_scheme(const char *text)
{
  size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");
  return n && text[n] == ':' && strncasecmp(text, "http:", 5) != 0 &&
         strncasecmp(text, "https:", 6) != 0;
}

int veo_is_loopback(const char *url)
{
  size_t n;
  const char *host = host_of(url, &n);
  return host && (equals(host, n, "localhost") || equals(host, n, "[::1]") ||
                  (is_ipv4(host, n) && strncmp(host, "127.", 4) == 0));
}

int veo_is_address(const char *url)
{
  size_t n;
  const char *host = host_of(url, &n);
  return host && (*host == '[' || is_ipv4(host, n));
}

int veo_origin(const char *url, char *out, size_t size)
{
  const char *scheme = strstr(url, "://");
  size_t n;
  if(!scheme)
    return 0;
  n = (size_t)(scheme - url) + 3 + strcspn(scheme + 3, "/?#");
  if(n >= size)
    return 0;
  memcpy(out, url, n);
  out[n] = '\0';
  return 1;
}
