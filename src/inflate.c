/* gzip data, by zlib; see inflate.h. libcurl decides by Content-Encoding, and ends an exchange for good at one that it
 * does not know or that is not true ("utf-8", "gzip, aws-chunked", gzip before plain text): nothing was left of an
 * order's answer then. So libcurl is not asked to decode, and the bytes decide. */
#define ZLIB_CONST
#include "inflate.h"

#include <zlib.h>

enum { GZIP_ALONE = 16, CHUNK = 8192, SHORTEST_HEADER = 10 };

static int is_gzip(const z_stream *s)
{
  return s->avail_in >= SHORTEST_HEADER && s->next_in[0] == 0x1f && s->next_in[1] == 0x8b &&
         s->next_in[2] == Z_DEFLATED;
}

/* Z_STREAM_END, or what ended it before: Z_BUF_ERROR when it is cut, Z_MEM_ERROR when the room is used up. */
static int read_member(z_stream *s, veo_buffer *out, size_t most)
{
  char chunk[CHUNK];
  int how;
  do {
    size_t came;
    s->next_out = (Bytef *)chunk;
    s->avail_out = CHUNK;
    how = inflate(s, Z_NO_FLUSH);
    came = CHUNK - s->avail_out;
    if(came > most - out->length) {
      came = most - out->length;
      how = Z_MEM_ERROR;
    }
    if(!veo_buffer_append(out, chunk, came))
      how = Z_MEM_ERROR;
  } while(how == Z_OK);
  return how;
}

/* Nothing of a damaged member is kept: it might name another task. What came of one that is cut is kept. */
static int read_members(z_stream *s, veo_buffer *out, size_t most)
{
  size_t begun;
  int how;
  do {
    begun = out->length;
    how = read_member(s, out, most);
  } while(how == Z_STREAM_END && is_gzip(s) && inflateReset(s) == Z_OK);
  if(how == Z_DATA_ERROR && out->length > begun) {
    out->length = begun;
    out->data[begun] = '\0';
  }
  return how;
}

veo_inflated veo_inflate(const char *data, size_t length, veo_buffer *out, size_t most)
{
  z_stream s = {0};
  int how;
  s.next_in = (const Bytef *)data;
  s.avail_in = (uInt)length; /* a mebibyte at most, as a reply is */
  if(!is_gzip(&s))
    return VEO_INFLATE_NONE;
  how = inflateInit2(&s, MAX_WBITS + GZIP_ALONE);
  if(how == Z_OK)
    how = read_members(&s, out, most);
  inflateEnd(&s);
  if(how == Z_STREAM_END)
    return s.avail_in ? VEO_INFLATE_DAMAGED : VEO_INFLATE_WHOLE;
  return how == Z_BUF_ERROR || how == Z_DATA_ERROR ? VEO_INFLATE_DAMAGED : VEO_INFLATE_TOO_LARGE;
}
