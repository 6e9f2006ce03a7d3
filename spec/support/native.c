/* What the specs need of C: a state whose allocator fails, states in threads, a fork.
 *
 *   local native = require "native"           built by the Makefile beside veo.core, never installed
 *   native.sweep(code, n)  -> text | nil, message, allocations      code runs in a state of its own; its `attempt(fn)`
 *                                                                   calls fn while the nth allocation and all later fail
 *   native.threads(code, count) -> list of what code returned, each in a state and a thread of its own
 *   native.fork(fn) -> what fn returned in a child process, exit status (128 + signal when it was killed)
 *   native.detached(fn) -> pcall(fn) in a coroutine that nobody resumes, as a host may call it
 *   native.headless() -> the id of a process whose main thread has ended, and another one has not
 *   native.cpu() -> seconds of CPU that this thread alone has used; os.clock counts the threads that save as well
 */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int luaopen_native(lua_State *L);

enum { MAX_THREADS = 16, MAX_TEXT = 512 };

/* ------------------------------------------------------------------ allocator */

typedef struct {
  long nth;   /* the allocation that fails, and all after it; 0: none */
  long count; /* allocations while armed */
  int armed;
} budget;

static void *allocate(void *user, void *block, size_t old, size_t size)
{
  budget *left = user;
  if(size == 0) {
    free(block);
    return NULL;
  }
  /* Shrinking may not fail. `old` is a kind of object when there is no block. */
  if(left->armed && (!block || size > old)) {
    left->count++;
    if(left->nth && left->count >= left->nth)
      return NULL;
  }
  return realloc(block, size);
}

/* attempt(fn) -> true | false, message: with the allocator armed. */
static int attempt(lua_State *L)
{
  void *user;
  budget *left;
  int failed;
  (void)lua_getallocf(L, &user);
  left = user;
  lua_settop(L, 1);
  left->armed = 1;
  failed = lua_pcall(L, 0, 0, 0);
  left->armed = 0;
  lua_pushboolean(L, !failed);
  lua_insert(L, 1);
  return lua_gettop(L);
}

/* --------------------------------------------------------------------- states */

typedef struct {
  char *code;
  char *path;
  char *cpath;
  int number;
  char text[MAX_TEXT];
} work;

static void set_text(lua_State *L, const char *table, const char *field, const char *value)
{
  lua_getglobal(L, table);
  lua_pushstring(L, value);
  lua_setfield(L, -2, field);
  lua_pop(L, 1);
}

/* Runs the code in the state and keeps what it returns, or the message. 1 when it ended well. */
static int run(lua_State *L, work *job)
{
  const char *text;
  int failed;
  luaL_openlibs(L);
  set_text(L, "package", "path", job->path);
  set_text(L, "package", "cpath", job->cpath);
  lua_pushcfunction(L, attempt);
  lua_setglobal(L, "attempt");
  failed = luaL_loadstring(L, job->code);
  if(!failed) {
    lua_pushinteger(L, job->number);
    failed = lua_pcall(L, 1, 1, 0);
  }
  text = lua_tostring(L, -1);
  snprintf(job->text, sizeof job->text, "%s", text ? text : luaL_typename(L, -1));
  return !failed;
}

static char *copy_field(lua_State *L, const char *field)
{
  char *copy;
  lua_getglobal(L, "package");
  lua_getfield(L, -1, field);
  copy = strdup(lua_tostring(L, -1));
  lua_pop(L, 2);
  return copy;
}

static void open_work(lua_State *L, work *job, int number)
{
  memset(job, 0, sizeof *job);
  job->code = strdup(luaL_checkstring(L, 1));
  job->path = copy_field(L, "path");
  job->cpath = copy_field(L, "cpath");
  job->number = number;
}

static void close_work(work *job)
{
  free(job->code);
  free(job->path);
  free(job->cpath);
}

static int native_sweep(lua_State *L)
{
  budget left = {0, 0, 0};
  work job;
  lua_State *state;
  int ok;
  left.nth = (long)luaL_checkinteger(L, 2);
#if LUA_VERSION_NUM >= 505
  state = lua_newstate(allocate, &left, 0);
#else
  state = lua_newstate(allocate, &left);
#endif
  if(!state) {
    lua_pushnil(L);
    lua_pushliteral(L, "no state with an allocator of its own here");
    return 2;
  }
  open_work(L, &job, (int)left.nth);
  ok = run(state, &job);
  lua_close(state);
  close_work(&job);
  if(!ok)
    lua_pushnil(L);
  lua_pushstring(L, job.text);
  if(ok)
    lua_pushnil(L);
  lua_pushinteger(L, (lua_Integer)left.count);
  return 3;
}

static void *thread(void *argument)
{
  work *job = argument;
  lua_State *state = luaL_newstate();
  if(!state) {
    snprintf(job->text, sizeof job->text, "no state");
    return NULL;
  }
  (void)run(state, job);
  lua_close(state);
  return NULL;
}

static int native_threads(lua_State *L)
{
  static work jobs[MAX_THREADS];
  pthread_t threads[MAX_THREADS];
  int count = (int)luaL_checkinteger(L, 2);
  int i;
  luaL_argcheck(L, count >= 1 && count <= MAX_THREADS, 2, "1 to 16 expected");
  for(i = 0; i < count; i++)
    open_work(L, &jobs[i], i + 1);
  for(i = 0; i < count; i++)
    if(pthread_create(&threads[i], NULL, thread, &jobs[i]) != 0)
      return luaL_error(L, "no thread");
  for(i = 0; i < count; i++)
    pthread_join(threads[i], NULL);
  lua_createtable(L, count, 0);
  for(i = 0; i < count; i++) {
    close_work(&jobs[i]);
    lua_pushstring(L, jobs[i].text);
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

/* ----------------------------------------------------------------------- fork */

static int native_fork(lua_State *L)
{
  luaL_Buffer buffer;
  char bytes[256];
  int ends[2];
  int status = 0;
  ssize_t n;
  pid_t pid;
  if(pipe(ends) != 0)
    return luaL_error(L, "no pipe");
  fflush(NULL);
  pid = fork();
  if(pid == 0) {
    const char *text;
    ssize_t ignored;
    close(ends[0]);
    lua_settop(L, 1);
    (void)lua_pcall(L, 0, 1, 0);
    text = lua_tostring(L, -1);
    ignored = write(ends[1], text ? text : "nil", text ? strlen(text) : 3);
    (void)ignored;
    _exit(0);
  }
  close(ends[1]);
  luaL_buffinit(L, &buffer);
  while((n = read(ends[0], bytes, sizeof bytes)) > 0)
    luaL_addlstring(&buffer, bytes, (size_t)n);
  close(ends[0]);
  luaL_pushresult(&buffer);
  waitpid(pid, &status, 0);
  lua_pushinteger(L, WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
  return 2;
}

static int native_detached(lua_State *L)
{
  lua_State *alone;
  int status;
  luaL_checktype(L, 1, LUA_TFUNCTION);
  alone = lua_newthread(L);
  lua_pushvalue(L, 1);
  lua_xmove(L, alone, 1);
  status = lua_pcall(alone, 0, 1, 0);
  lua_pushboolean(L, status == 0);
  lua_xmove(alone, L, 1);
  return 2;
}

static int native_cpu(lua_State *L)
{
  struct timespec used;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  lua_pushnumber(L, (lua_Number)used.tv_sec + (lua_Number)used.tv_nsec / 1e9);
  return 1;
}

static void *live_on(void *nothing)
{
  sleep(20); /* or until it is killed */
  _exit(0);
  return nothing;
}

static int native_headless(lua_State *L)
{
  pid_t pid = fork();
  if(pid == 0) {
    pthread_t heir;
    pthread_create(&heir, NULL, live_on, NULL);
    pthread_exit(NULL);
  }
  lua_pushinteger(L, pid);
  return 1;
}

int luaopen_native(lua_State *L)
{
  lua_newtable(L);
  lua_pushcfunction(L, native_cpu);
  lua_setfield(L, -2, "cpu");
  lua_pushcfunction(L, native_sweep);
  lua_setfield(L, -2, "sweep");
  lua_pushcfunction(L, native_threads);
  lua_setfield(L, -2, "threads");
  lua_pushcfunction(L, native_fork);
  lua_setfield(L, -2, "fork");
  lua_pushcfunction(L, native_detached);
  lua_setfield(L, -2, "detached");
  lua_pushcfunction(L, native_headless);
  lua_setfield(L, -2, "headless");
  return 1;
}
