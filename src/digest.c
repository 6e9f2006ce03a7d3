/* The identity of a file; see digest.h. SHA-256 as in FIPS 180-4. */
#include "digest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK = 64 };
static const off_t END = 65536;

typedef struct {
  uint32_t state[8];
  uint64_t length;
  unsigned char block[BLOCK];
} sha256;

static const uint32_t K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t turn(uint32_t x, int n)
{
  return (x >> n) | (x << (32 - n));
}

static void expand(const unsigned char *block, uint32_t *w)
{
  size_t i;
  for(i = 0; i < 16; i++)
    w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
           (uint32_t)block[4 * i + 2] << 8 | (uint32_t)block[4 * i + 3];
  for(; i < 64; i++) {
    uint32_t a = turn(w[i - 15], 7) ^ turn(w[i - 15], 18) ^ (w[i - 15] >> 3);
    uint32_t b = turn(w[i - 2], 17) ^ turn(w[i - 2], 19) ^ (w[i - 2] >> 10);
    w[i] = w[i - 16] + a + w[i - 7] + b;
  }
}

static void mix(sha256 *sha)
{
  uint32_t w[64];
  uint32_t s[8];
  int i;
  expand(sha->block, w);
  memcpy(s, sha->state, sizeof s);
  for(i = 0; i < 64; i++) {
    uint32_t a = s[7] + (turn(s[4], 6) ^ turn(s[4], 11) ^ turn(s[4], 25)) +
                 ((s[4] & s[5]) ^ (~s[4] & s[6])) + K[i] + w[i];
    uint32_t b = (turn(s[0], 2) ^ turn(s[0], 13) ^ turn(s[0], 22)) +
                 ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
    memmove(s + 1, s, 7 * sizeof *s);
    s[4] += a;
    s[0] = a + b;
  }
  for(i = 0; i < 8; i++)
    sha->state[i] += s[i];
}

static void begin(sha256 *sha)
{
  static const uint32_t first[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  memcpy(sha->state, first, sizeof first);
  sha->length = 0;
}

static void add(sha256 *sha, const unsigned char *data, size_t length)
{
  while(length) {
    size_t at = (size_t)(sha->length % BLOCK);
    size_t room = BLOCK - at < length ? BLOCK - at : length;
    memcpy(sha->block + at, data, room);
    sha->length += room;
    data += room;
    length -= room;
    if(at + room == BLOCK)
      mix(sha);
  }
}

static void finish(sha256 *sha, char *text)
{
  static const unsigned char padding[BLOCK] = {0x80};
  uint64_t bits = sha->length * 8;
  unsigned char tail[8];
  size_t i;
  for(i = 0; i < 8; i++)
    tail[i] = (unsigned char)(bits >> (56 - 8 * i));
  add(sha, padding, (size_t)(BLOCK - (sha->length + 8) % BLOCK));
  add(sha, tail, sizeof tail);
  for(i = 0; i < 8; i++)
    snprintf(text + 8 * i, 9, "%08lx", (unsigned long)sha->state[i]);
}

static int add_range(sha256 *sha, int fd, off_t from, off_t to)
{
  unsigned char bytes[4096];
  while(from < to) {
    size_t wanted = to - from < (off_t)sizeof bytes ? (size_t)(to - from) : sizeof bytes;
    ssize_t n = pread(fd, bytes, wanted, from);
    if(n < 0 && errno == EINTR)
      continue;
    if(n <= 0)
      return n < 0 ? errno : EIO; /* it became shorter meanwhile */
    add(sha, bytes, (size_t)n);
    from += n;
  }
  return 0;
}

static int digest(int fd, double *size, char *text)
{
  struct stat status;
  sha256 sha;
  off_t end;
  int error;
  if(fstat(fd, &status) != 0)
    return errno;
  if(!S_ISREG(status.st_mode))
    return EINVAL;
  end = status.st_size;
  *size = (double)end;
  begin(&sha);
  error = add_range(&sha, fd, 0, end < END ? end : END);
  if(!error && end > END)
    error = add_range(&sha, fd, end < 2 * END ? END : end - END, end);
  if(!error)
    finish(&sha, text);
  return error;
}

int veo_digest_file(const char *path, double *size, char *text)
{
  int error;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if(fd < 0)
    return errno;
  error = digest(fd, size, text);
  close(fd);
  return error;
}

void veo_digest_bytes(const char *bytes, size_t length, char *text)
{
  sha256 sha;
  begin(&sha);
  add(&sha, (const unsigned char *)bytes, length);
  finish(&sha, text);
}
