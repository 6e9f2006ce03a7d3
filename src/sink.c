/* The file sink; see sink.h. */
#define _GNU_SOURCE /* realpath; _XOPEN_SOURCE would hide flock on BSD and macOS */
#include "sink.h"

#include "arguments.h"
#include "defaults.h"
#include "failure.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* ------------------------------------------------------------------ C side */

/* Some network file systems know no locks: *locked says whether this one does. */
static int set_lock(int fd, int *locked)
{
  *locked = 1;
  while(flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if(errno == ENOLCK || errno == ENOSYS || errno == EOPNOTSUPP) {
      *locked = 0;
      return 0;
    }
    if(errno != EINTR)
      return errno;
  }
  return 0;
}

/* Another process may have renamed it to its final name between our open and our lock, and writing then would spoil that
 * file. */
int veo_still_named(int fd, const char *path)
{
  struct stat ours;
  struct stat named;
  return fstat(fd, &ours) == 0 && lstat(path, &named) == 0 && ours.st_dev == named.st_dev &&
         ours.st_ino == named.st_ino;
}

/* No link is followed: in a folder that others write to it would let them choose which of our files is
 * overwritten. Whether it was there decides whose it is. */
static int open_file(const char *path, int *created, int *error)
{
  int flags = O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW;
  int fd = open(path, flags | O_CREAT | O_EXCL, 0666);
  *created = fd >= 0;
  *error = 0;
  if(fd < 0 && errno == EEXIST) {
    fd = open(path, flags);
    if(fd < 0 && errno == ENOENT)
      return -1; /* removed between the two: without an error, to be tried again */
  }
  if(fd < 0)
    *error = errno;
  return fd;
}

/* Whether whoever owns the folder owns this too: he can replace any file in it, and on a file system that gives all files
 * one owner it is that one. */
static int is_folders(const struct stat *status, const char *path)
{
  const char *slash = strrchr(path, '/');
  char folder[PATH_MAX] = ".";
  struct stat around;
  if(slash) {
    size_t length = (size_t)(slash - path) + 1;
    if(length >= sizeof folder)
      return 0;
    memcpy(folder, path, length);
    folder[length] = '\0';
  }
  return stat(folder, &around) == 0 && around.st_uid == status->st_uid;
}

int veo_check_ours(int fd, const char *path)
{
  struct stat status;
  if(fstat(fd, &status) != 0)
    return errno;
  if(!S_ISREG(status.st_mode))
    return EINVAL;
  return status.st_uid == geteuid() || is_folders(&status, path) ? 0 : EPERM;
}

/* Opens a regular file and locks it. 0, or errno. */
static int open_locked(veo_sink *sink)
{
  int tries;
  for(tries = 0; tries < 1000; tries++) {
    int error;
    int fd = open_file(sink->path, &sink->created, &error);
    if(error)
      return error;
    if(fd < 0)
      continue;
    error = sink->created ? 0 : veo_check_ours(fd, sink->path);
    if(!error)
      error = set_lock(fd, &sink->locked);
    if(!error && veo_still_named(fd, sink->path)) {
      sink->fd = fd;
      return 0;
    }
    close(fd);
    if(error)
      return error;
  }
  return EWOULDBLOCK; /* somebody replaces it again and again */
}

veo_sink *veo_sink_open(const char *path, int resume, int *error)
{
  veo_sink *sink = calloc(1, sizeof *sink);
  if(!sink) {
    *error = ENOMEM;
    return NULL;
  }
  sink->references = 1;
  sink->path = veo_copy(path, strlen(path));
  sink->fd = -1;
  if(!sink->path)
    *error = ENOMEM;
  else
    *error = open_locked(sink);
  if(sink->fd >= 0 && !resume)
    *error = veo_sink_truncate(sink, 0);
  if(*error) {
    veo_sink_release(sink);
    return NULL;
  }
  return sink;
}

veo_sink *veo_sink_retain(veo_sink *sink)
{
  sink->references++;
  return sink;
}

static void close_file(veo_sink *sink)
{
  if(sink->fd >= 0)
    close(sink->fd);
  sink->fd = -1;
}

void veo_sink_release(veo_sink *sink)
{
  if(!sink || --sink->references > 0)
    return;
  close_file(sink);
  free(sink->path);
  free(sink);
}

/* Whether a file so long is over the process's limit. To write one all the same raises SIGXFSZ, which kills. */
static int over_limit(off_t length)
{
  struct rlimit limit;
  return getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
         (rlim_t)length > limit.rlim_cur;
}

int veo_sink_write(veo_sink *sink, const char *data, size_t length, off_t offset)
{
  if(sink->fd < 0)
    return EBADF;
  if(over_limit(offset + (off_t)length))
    return EFBIG;
  while(length) {
    ssize_t n = pwrite(sink->fd, data, length, offset);
    if(n < 0 && errno == EINTR)
      continue;
    if(n <= 0)
      return n < 0 ? errno : EIO;
    data += n;
    length -= (size_t)n;
    offset += n;
  }
  return 0;
}

int veo_sink_compare(const veo_sink *sink, const char *data, size_t length, off_t offset)
{
  char bytes[4096];
  while(length) {
    ssize_t n = pread(sink->fd, bytes, length < sizeof bytes ? length : sizeof bytes, offset);
    if(n < 0 && errno == EINTR)
      continue;
    if(n < 0)
      return errno;
    if(n == 0 || memcmp(bytes, data, (size_t)n) != 0)
      return VEO_SINK_DIFFERS;
    data += n;
    length -= (size_t)n;
    offset += n;
  }
  return 0;
}

off_t veo_sink_size(const veo_sink *sink)
{
  struct stat status;
  return fstat(sink->fd, &status) == 0 ? status.st_size : -1;
}

int veo_sink_truncate(veo_sink *sink, off_t length)
{
  if(sink->fd < 0)
    return EBADF;
  return ftruncate(sink->fd, length) == 0 ? 0 : errno;
}

int veo_sink_room(const veo_sink *sink, off_t offset, off_t total)
{
  struct statvfs disk;
  if(over_limit(total))
    return EFBIG;
  /* Some network file systems tell nothing; those that compress still do so by the bytes. */
  if(fstatvfs(sink->fd, &disk) != 0 || disk.f_blocks == 0 || disk.f_frsize == 0)
    return 0;
  return (double)(total - offset) >
                 (double)(geteuid() == 0 ? disk.f_bfree : disk.f_bavail) * (double)disk.f_frsize
             ? ENOSPC
             : 0;
}

/* ---------------------------------------------------------------- Lua side */

typedef struct {
  veo_sink *sink; /* NULL once closed */
} sink_box;

static const veo_type sink_type = {"veo.core.sink " VEO_VERSION};

static sink_box *check_box(lua_State *L, int index)
{
  return veo_checktype(L, index, &sink_type);
}

veo_sink *veo_check_sink(lua_State *L, int index)
{
  sink_box *box = check_box(L, index);
  luaL_argcheck(L, box->sink != NULL, index, "the sink is closed");
  return box->sink;
}

/* core.sink(path, { resume = bool }) -> sink | nil, failure */
int veo_sink_new(lua_State *L)
{
  size_t length;
  const char *path = luaL_checklstring(L, 1, &length);
  int resume = 0;
  int error = 0;
  sink_box *box;
  luaL_argcheck(L, strlen(path) == length, 1, "a path may not hold a NUL");
  if(!lua_isnoneornil(L, 2)) {
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_getfield(L, 2, "resume");
    resume = lua_toboolean(L, -1);
    lua_pop(L, 1);
  }
  box = veo_newuserdata(L, sizeof *box);
  box->sink = NULL;
  veo_settype(L, &sink_type);
  box->sink = veo_sink_open(path, resume, &error);
  if(box->sink)
    return 1;
  if(error == EWOULDBLOCK)
    return veo_fail_io(L, "busy", "another download writes to this file", path, error);
  return veo_fail_io(L, "io",
                     error == EINVAL || error == ELOOP ? "not a regular file"
                     : error == EPERM                  ? "somebody else's file"
                                                       : strerror(error),
                     path, error);
}

static int sink_size(lua_State *L)
{
  veo_sink *sink = veo_check_sink(L, 1);
  struct stat status;
  if(fstat(sink->fd, &status) != 0)
    return veo_fail_io(L, "io", strerror(errno), sink->path, errno);
  veo_pushinteger(L, status.st_size);
  return 1;
}

/* sink:read(offset, count) -> bytes, fewer at the end; for looking at the first bytes of a file. */
static int sink_read(lua_State *L)
{
  veo_sink *sink = veo_check_sink(L, 1);
  char bytes[1024];
  double offset = veo_number_argument(L, 2, 0, VEO_LARGEST, "0 to 2^53 expected");
  double count = veo_number_argument(L, 3, 0, sizeof bytes, "0 to 1024 expected");
  ssize_t n;
  n = pread(sink->fd, bytes, (size_t)count, (off_t)offset);
  if(n < 0)
    return veo_fail_io(L, "io", strerror(errno), sink->path, errno);
  lua_pushlstring(L, bytes, (size_t)n);
  return 1;
}

static int sink_truncate(lua_State *L)
{
  veo_sink *sink = veo_check_sink(L, 1);
  double length = veo_number_argument(L, 2, 0, VEO_LARGEST, "0 to 2^53 expected");
  int error;
  error = veo_sink_truncate(sink, (off_t)length);
  if(error)
    return veo_fail_io(L, "io", strerror(error), sink->path, error);
  lua_pushboolean(L, 1);
  return 1;
}

/* sink:created() -> whether there was no such file */
static int sink_created(lua_State *L)
{
  lua_pushboolean(L, veo_check_sink(L, 1)->created);
  return 1;
}

/* sink:locked() -> false where the file system knows no locks */
static int sink_locked(lua_State *L)
{
  lua_pushboolean(L, veo_check_sink(L, 1)->locked);
  return 1;
}

static int sink_path(lua_State *L)
{
  lua_pushstring(L, veo_check_sink(L, 1)->path);
  return 1;
}

/* Serves close, __gc and __close. A transfer that still writes keeps the file open until it ends. */
static int sink_close(lua_State *L)
{
  sink_box *box = check_box(L, 1);
  veo_sink *sink = box->sink;
  box->sink = NULL;
  veo_sink_release(sink);
  return 0;
}

static int sink_tostring(lua_State *L)
{
  sink_box *box = check_box(L, 1);
  lua_pushfstring(L, "veo.core.sink (%s)", box->sink ? box->sink->path : "closed");
  return 1;
}

void veo_sink_register(lua_State *L)
{
  static const luaL_Reg methods[] = {{"size", sink_size},         {"read", sink_read},
                                     {"truncate", sink_truncate}, {"path", sink_path},
                                     {"close", sink_close},       {"created", sink_created},
                                     {"locked", sink_locked},     {NULL, NULL}};
  static const luaL_Reg events[] = {
      {"__gc", sink_close}, {"__close", sink_close}, {"__tostring", sink_tostring}, {NULL, NULL}};
  veo_newtype(L, &sink_type, methods, events);
}
