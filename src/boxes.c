/* A walk over the boxes of an MP4 file; see boxes.h. ISO/IEC 14496-12, 4.2. */
#include "boxes.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SHORT_HEAD = 8, LONG_HEAD = 16 };
enum { INDEX = 1, MEDIA = 2, ALL = INDEX | MEDIA };
/* A film of days in fragments of a second has as many; a hostile file of 8 GiB could have a billion. */
static const long MOST = 1L << 18;

static uint64_t number(const unsigned char *bytes, size_t count)
{
  uint64_t value = 0;
  while(count--)
    value = value << 8 | *bytes++;
  return value;
}

static int is_name(const unsigned char *name)
{
  int i;
  for(i = 0; i < 4; i++) {
    if((name[i] <= ' ' && i == 0) || name[i] < ' ' || (name[i] > '~' && name[i] != 0xa9))
      return 0;
  }
  return 1;
}

/* Whether the file has boxes at all. */
static int is_first(const unsigned char *head, size_t length)
{
  return length >= SHORT_HEAD && is_name(head + 4) && number(head, 4) != 0x1a45dfa3; /* WebM */
}

/* What of a film the box is. */
static int part_of(const unsigned char *name)
{
  if(memcmp(name, "moov", 4) == 0 || memcmp(name, "moof", 4) == 0)
    return INDEX;
  return memcmp(name, "mdat", 4) == 0 ? MEDIA : 0;
}

/* The head of the box at a place, as much of it as there is; 0 when it cannot be read. */
static size_t read_head(int fd, unsigned char *head, off_t at, off_t left)
{
  size_t wanted = left < LONG_HEAD ? (size_t)left : LONG_HEAD;
  ssize_t n;
  do
    n = pread(fd, head, wanted, at);
  while(n < 0 && errno == EINTR);
  return n == (ssize_t)wanted ? wanted : 0;
}

/* The size of a box of which `left` bytes are there at most, or 0 with why the walk ends there. */
static uint64_t size_of(const unsigned char *head, size_t length, off_t left, veo_boxes_kind *kind)
{
  uint64_t size = length >= SHORT_HEAD ? number(head, 4) : 0;
  size_t least = SHORT_HEAD;
  *kind = VEO_BOXES_STRANGE;
  if(length >= SHORT_HEAD && !is_name(head + 4))
    return 0;
  *kind = VEO_BOXES_CUT;
  if(length < SHORT_HEAD || (size == 1 && length < LONG_HEAD))
    return 0;
  if(size == 0) {
    *kind = VEO_BOXES_OPEN;
    return (uint64_t)left;
  }
  if(size == 1) {
    size = number(head + SHORT_HEAD, 8);
    least = LONG_HEAD;
  }
  if(size < least)
    *kind = VEO_BOXES_STRANGE;
  return size < least || size > (uint64_t)left ? 0 : size;
}

/* What the walk means that ended here: bytes behind all of a film that are no box are padding. */
static veo_boxes_kind ended(veo_boxes_kind kind, int seen, const unsigned char *head, size_t length)
{
  int is_box = length >= SHORT_HEAD && is_name(head + 4);
  return seen == ALL && !is_box ? VEO_BOXES_WHOLE : kind;
}

static veo_boxes_kind walk(int fd, off_t end, off_t *at)
{
  veo_boxes_kind kind = VEO_BOXES_CUT;
  int seen = 0;
  long i;
  for(i = 0; i < MOST && *at < end; i++) {
    unsigned char head[LONG_HEAD];
    size_t length = read_head(fd, head, *at, end - *at);
    uint64_t size = length ? size_of(head, length, end - *at, &kind) : 0;
    if(!length || (!i && !is_first(head, length)))
      return VEO_BOXES_NONE;
    if(!size)
      return ended(kind, seen, head, length);
    seen |= part_of(head + 4);
    *at += (off_t)size;
  }
  if(*at < end || !end)
    return VEO_BOXES_NONE;
  if(seen != ALL)
    return VEO_BOXES_CUT;
  return kind == VEO_BOXES_OPEN ? kind : VEO_BOXES_WHOLE;
}

void veo_boxes_file(const char *path, veo_boxes *boxes)
{
  struct stat status;
  off_t at = 0;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  boxes->kind = VEO_BOXES_NONE;
  if(fd < 0)
    return;
  if(fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
    boxes->kind = walk(fd, status.st_size, &at);
  boxes->at = (double)at;
  close(fd);
}
