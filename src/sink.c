/* The file sink; see sink.h. */
#include "sink.h"

#include "failure.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* ------------------------------------------------------------------ C side */

static int set_lock(int fd)
{
  while(flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if(errno != EINTR)
      return errno;
  }
  return 0;
}

/* True when the path still names the file behind the descriptor: another process may have renamed
 * it to its final name between our open and our lock, and writing then would spoil that file. */
static int still_named(int fd, const char *path)
{
  struct stat ours;
  struct stat named;
  return fstat(fd, &ours) == 0 && lstat(path, &named) == 0 && ours.st_dev == named.st_dev &&
         ours.st_ino == named.st_ino;
}

/* A locked descriptor of a regular file, or -1 with *error. No link is followed: in a folder that others
 * write to it would let them choose which of our files is overwritten. */
static int open_locked(const char *path, int *error)
{
  int tries;
  for(tries = 0; tries < 1000; tries++) {
    struct stat status;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW, 0666);
    if(fd < 0) {
      *error = errno;
      return -1;
    }
    *error = fstat(fd, &status) != 0 ? errno : S_ISREG(status.st_mode) ? 0 : EINVAL;
    if(!*error)
      *error = set_lock(fd);
    if(!*error && still_named(fd, path))
      return fd;
    close(fd);
    if(*error)
      return -1;
  }
  *error = EWOULDBLOCK; /* somebody replaces it again and again */
  return -1;
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
    sink->fd = open_locked(path, error);
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

int veo_sink_write(veo_sink *sink, const char *data, size_t length, off_t offset)
{
  if(sink->fd < 0)
    return EBADF;
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

int veo_sink_truncate(veo_sink *sink, off_t length)
{
  if(sink->fd < 0)
    return EBADF;
  return ftruncate(sink->fd, length) == 0 ? 0 : errno;
}

/* ---------------------------------------------------------------- Lua side */

typedef struct {
  veo_sink *sink; /* NULL once closed */
} sink_box;

static sink_box *check_box(lua_State *L, int index)
{
  return luaL_checkudata(L, index, VEO_SINK_TYPE);
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
  veo_settype(L, VEO_SINK_TYPE);
  box->sink = veo_sink_open(path, resume, &error);
  if(box->sink)
    return 1;
  if(error == EWOULDBLOCK)
    return veo_fail_io(L, "busy", "another download writes to this file", path, error);
  return veo_fail_io(L, "io",
                     error == EINVAL || error == ELOOP ? "not a regular file" : strerror(error),
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
  lua_Number offset = luaL_checknumber(L, 2);
  lua_Number count = luaL_checknumber(L, 3);
  char bytes[1024];
  ssize_t n;
  luaL_argcheck(L, offset >= 0, 2, "not negative expected");
  luaL_argcheck(L, count >= 0 && count <= (lua_Number)sizeof bytes, 3, "0 to 1024 expected");
  n = pread(sink->fd, bytes, (size_t)count, (off_t)offset);
  if(n < 0)
    return veo_fail_io(L, "io", strerror(errno), sink->path, errno);
  lua_pushlstring(L, bytes, (size_t)n);
  return 1;
}

static int sink_truncate(lua_State *L)
{
  veo_sink *sink = veo_check_sink(L, 1);
  lua_Number length = luaL_checknumber(L, 2);
  int error;
  luaL_argcheck(L, length >= 0, 2, "not negative expected");
  error = veo_sink_truncate(sink, (off_t)length);
  if(error)
    return veo_fail_io(L, "io", strerror(error), sink->path, error);
  lua_pushboolean(L, 1);
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

/* core.kind(path) -> "file" | "directory" | "other", or nothing when there is none. */
int veo_file_kind(lua_State *L)
{
  struct stat status;
  if(stat(luaL_checkstring(L, 1), &status) != 0)
    return 0;
  lua_pushstring(L, S_ISREG(status.st_mode)   ? "file"
                    : S_ISDIR(status.st_mode) ? "directory"
                                              : "other");
  return 1;
}

void veo_sink_register(lua_State *L)
{
  static const luaL_Reg methods[] = {{"size", sink_size},         {"read", sink_read},
                                     {"truncate", sink_truncate}, {"path", sink_path},
                                     {"close", sink_close},       {NULL, NULL}};
  static const luaL_Reg events[] = {
      {"__gc", sink_close}, {"__close", sink_close}, {"__tostring", sink_tostring}, {NULL, NULL}};
  veo_newtype(L, VEO_SINK_TYPE, methods, events);
}
