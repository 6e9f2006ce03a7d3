/* Small work on files by their names; see files.h. */
#define _GNU_SOURCE /* realpath */
#include "files.h"

#include "compat.h"
#include "failure.h"
#include "sink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* core.kind(path) -> "file" | "directory" | "other" | "link", or nothing when there is none. A link is what it
 * leads to, and "link" when that is nothing. */
int veo_file_kind(lua_State *L)
{
  const char *path = luaL_checkstring(L, 1);
  struct stat status;
  if(stat(path, &status) != 0) {
    if(lstat(path, &status) != 0 || !S_ISLNK(status.st_mode))
      return 0;
    lua_pushliteral(L, "link");
    return 1;
  }
  lua_pushstring(L, S_ISREG(status.st_mode)   ? "file"
                    : S_ISDIR(status.st_mode) ? "directory"
                                              : "other");
  return 1;
}

/* core.absolute(path) -> the path from the root, its folder without links, or nothing when there is no such
 * folder. Two spellings of one name become one; the file itself need not be there. */
int veo_file_absolute(lua_State *L)
{
  const char *path = luaL_checkstring(L, 1);
  const char *slash = strrchr(path, '/');
  const char *name = slash ? slash + 1 : path;
  char folder[PATH_MAX];
  if(slash)
    lua_pushlstring(L, path, (size_t)(name - path));
  else
    lua_pushliteral(L, ".");
  if(!realpath(lua_tostring(L, -1), folder))
    return 0;
  lua_pushfstring(L, "%s/%s", folder[1] ? folder : "", name);
  return 1;
}

/* Pushes true, or nil and why not. */
static int outcome(lua_State *L, int error, const char *path)
{
  if(error) {
    lua_pushnil(L);
    lua_pushfstring(L, "%s: %s", path, strerror(error));
    return 2;
  }
  lua_pushboolean(L, 1);
  return 1;
}

/* core.remove(path) and core.rename(from, to) -> true | nil, why. Saving works without the library os. */
int veo_file_remove(lua_State *L)
{
  const char *path = luaL_checkstring(L, 1);
  return outcome(L, unlink(path) == 0 ? 0 : errno, path);
}

int veo_file_rename(lua_State *L)
{
  const char *from = luaL_checkstring(L, 1);
  const char *to = luaL_checkstring(L, 2);
  return outcome(L, rename(from, to) == 0 ? 0 : errno, from);
}

/* A new file that nobody else reads, whatever the umask. The descriptor, or -1 and errno. */
static int make_private(const char *path)
{
  return open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
}

/* core.write(path, text) -> true | nil, why. A small file, in place of what was there: that may be a link, a pipe or
 * another name of something else, so it goes and is not written to. */
int veo_file_write(lua_State *L)
{
  const char *path = luaL_checkstring(L, 1);
  size_t length;
  const char *text = luaL_checklstring(L, 2, &length);
  veo_sink file = {-1, 0, 0, 0, NULL};
  int error;
  (void)unlink(path);
  file.fd = make_private(path);
  if(file.fd < 0)
    return outcome(L, errno, path);
  error = veo_sink_write(&file, text, length, 0);
  if(close(file.fd) != 0 && !error)
    error = errno;
  return outcome(L, error, path);
}

/* core.create(path) -> true | nil, why. An empty file, where there was none. */
int veo_file_create(lua_State *L)
{
  const char *path = luaL_checkstring(L, 1);
  int fd = make_private(path);
  int error = fd < 0 ? errno : 0;
  if(fd >= 0)
    close(fd);
  return outcome(L, error, path);
}

/* core.read(path) -> its first bytes, or nothing when it is no regular file of ours, or nil and a
 * failure when it cannot be opened. Neither a link is followed nor a pipe waited for. */
int veo_file_read(lua_State *L)
{
  const char *path = luaL_checkstring(L, 1);
  char bytes[4096];
  ssize_t n;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
  if(fd < 0) {
    int error = errno;
    return veo_fail_io(L, "io", strerror(error), path, error);
  }
  n = veo_check_ours(fd, path) ? -1 : read(fd, bytes, sizeof bytes);
  close(fd);
  if(n < 0)
    return 0;
  lua_pushlstring(L, bytes, (size_t)n);
  return 1;
}

/* The folder, and those around it, from the root down; `path` is changed while it works. 0, or errno. */
static int make_folders(char *path)
{
  char *slash = path;
  for(;;) {
    struct stat status;
    int error = 0;
    slash = strchr(slash + 1, '/');
    if(slash)
      *slash = '\0';
    if(mkdir(path, 0777) != 0)
      error = errno;
    /* Said of what is there too, on file systems that cannot be written. */
    if(error && stat(path, &status) == 0)
      error = S_ISDIR(status.st_mode) ? 0 : ENOTDIR;
    if(error || !slash)
      return error;
    *slash = '/';
  }
}

/* core.mkdir(path) -> true | nil, why. One that is there already is fine. */
int veo_file_mkdir(lua_State *L)
{
  size_t length;
  const char *path = luaL_checklstring(L, 1, &length);
  char folder[PATH_MAX];
  if(!length || length >= sizeof folder)
    return outcome(L, length ? ENAMETOOLONG : ENOENT, path);
  memcpy(folder, path, length + 1);
  return outcome(L, make_folders(folder), path);
}
