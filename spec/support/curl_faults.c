/* A libcurl that fails on command, for a child process of the specs: preloaded there, so that its functions come before
 * libcurl's and its allocator is in place before anybody else initializes libcurl.
 *
 *   local faults = require "curl_faults"
 *   faults.memory(n)   the nth allocation inside libcurl from now on fails, that one alone
 *   faults.option(n)   the nth curl_easy_setopt from now on is refused
 *   faults.off() -> whether it came to that, calls counted, the refused option's name
 *   faults.bare()      from now on it is one that was built without TLS and proxies
 *   faults.authorities(bundle, folder)   from now on it says that it was built with these; "": with no folder
 *   faults.read_size() -> the most that was asked of a connection at a time since the last call
 */
#define _GNU_SOURCE /* RTLD_NEXT */
#include <curl/curl.h>
#include <dlfcn.h>
#include <lauxlib.h>
#include <lua.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

int luaopen_curl_faults(lua_State *L);

typedef CURLcode setter(CURL *easy, CURLoption option, ...);

static struct {
  long nth; /* the call that fails; 0: none */
  long count;
} allocations, options;
static const char *refused;
static size_t largest;
static int bare;
static char bundle[512];
static char own_folder[512];

/* ------------------------------------------------------------------- memory */

static int fails(void)
{
  return allocations.nth && ++allocations.count == allocations.nth;
}

static void *on_malloc(size_t size)
{
  return fails() ? NULL : malloc(size);
}

static void *on_realloc(void *block, size_t size)
{
  return fails() ? NULL : realloc(block, size);
}

static void *on_calloc(size_t count, size_t size)
{
  return fails() ? NULL : calloc(count, size);
}

static char *on_strdup(const char *text)
{
  return fails() ? NULL : strdup(text);
}

__attribute__((constructor)) static void begin(void)
{
  curl_global_init_mem(CURL_GLOBAL_DEFAULT, on_malloc, free, on_realloc, on_strdup, on_calloc);
}

/* ------------------------------------------------------------------ options */

static const char *name_of(CURLoption option)
{
  const struct curl_easyoption *known = curl_easy_option_by_id(option);
  return known ? known->name : "?";
}

#undef curl_easy_setopt /* the header checks its types with a macro */
CURLcode curl_easy_setopt(CURL *curl, CURLoption option, ...)
{
  static setter *real;
  CURLcode result;
  va_list values;
  if(!real) {
    void *found = dlsym(RTLD_NEXT, "curl_easy_setopt");
    memcpy(&real, &found, sizeof real); /* ISO C has no cast between the two */
  }
  if(options.nth && ++options.count == options.nth) {
    refused = name_of(option);
    return CURLE_BAD_FUNCTION_ARGUMENT;
  }
  if(bare && (option == CURLOPT_NOPROXY || option == CURLOPT_SSLVERSION ||
              option == CURLOPT_CAINFO || option == CURLOPT_CAPATH))
    return option == CURLOPT_NOPROXY ? CURLE_NOT_BUILT_IN : CURLE_UNKNOWN_OPTION;
  va_start(values, option);
  if(option < CURLOPTTYPE_OBJECTPOINT)
    result = real(curl, option, va_arg(values, long)); /* NOLINT: not the other branches' type */
  else if(option >= CURLOPTTYPE_OFF_T && option < CURLOPTTYPE_BLOB)
    result = real(curl, option, va_arg(values, curl_off_t));
  else
    result = real(curl, option, va_arg(values, void *));
  va_end(values);
  return result;
}

/* ----------------------------------------------------------------- features */

curl_version_info_data *curl_version_info(CURLversion age)
{
  static curl_version_info_data *(*real)(CURLversion);
  static curl_version_info_data about;
  if(!real) {
    void *found = dlsym(RTLD_NEXT, "curl_version_info");
    memcpy(&real, &found, sizeof real);
  }
  about = *real(age);
  if(bare)
    about.features &= ~CURL_VERSION_SSL;
#if LIBCURL_VERSION_NUM >= 0x074600
  if(*bundle && about.age >= CURLVERSION_SEVENTH) {
    about.cainfo = bundle;
    about.capath = *own_folder ? own_folder : NULL;
  }
#endif
  return &about;
}

CURLUcode curl_url_set(CURLU *handle, CURLUPart what, const char *part, unsigned flags)
{
  static CURLUcode (*real)(CURLU *, CURLUPart, const char *, unsigned);
  if(!real) {
    void *found = dlsym(RTLD_NEXT, "curl_url_set");
    memcpy(&real, &found, sizeof real);
  }
  if(bare && what == CURLUPART_URL && strncmp(part, "https:", 6) == 0)
    return CURLUE_UNSUPPORTED_SCHEME;
  return real(handle, what, part, flags);
}

/* -------------------------------------------------------------------- reads */

/* What libcurl calls where there is no TLS. */
ssize_t recv(int fd, void *buf, size_t n, int flags)
{
  if(n > largest)
    largest = n;
  return recvfrom(fd, buf, n, flags, NULL, NULL);
}

/* ---------------------------------------------------------------------- Lua */

static int faults_memory(lua_State *L)
{
  allocations.count = 0;
  allocations.nth = (long)luaL_checkinteger(L, 1);
  return 0;
}

static int faults_option(lua_State *L)
{
  refused = NULL;
  options.count = 0;
  options.nth = (long)luaL_checkinteger(L, 1);
  return 0;
}

static int faults_off(lua_State *L)
{
  long nth = allocations.nth ? allocations.nth : options.nth;
  long count = allocations.nth ? allocations.count : options.count;
  lua_pushboolean(L, nth && count >= nth);
  lua_pushinteger(L, (lua_Integer)count);
  lua_pushstring(L, refused);
  allocations.nth = 0;
  options.nth = 0;
  refused = NULL;
  return 3;
}

static int faults_authorities(lua_State *L)
{
  (void)snprintf(bundle, sizeof bundle, "%s", luaL_checkstring(L, 1));
  (void)snprintf(own_folder, sizeof own_folder, "%s", luaL_checkstring(L, 2));
  return 0;
}

static int faults_bare(lua_State *L)
{
  (void)L;
  bare = 1;
  return 0;
}

static int faults_read_size(lua_State *L)
{
  lua_pushinteger(L, (lua_Integer)largest);
  largest = 0;
  return 1;
}

int luaopen_curl_faults(lua_State *L)
{
  lua_newtable(L);
  lua_pushcfunction(L, faults_memory);
  lua_setfield(L, -2, "memory");
  lua_pushcfunction(L, faults_option);
  lua_setfield(L, -2, "option");
  lua_pushcfunction(L, faults_off);
  lua_setfield(L, -2, "off");
  lua_pushcfunction(L, faults_bare);
  lua_setfield(L, -2, "bare");
  lua_pushcfunction(L, faults_authorities);
  lua_setfield(L, -2, "authorities");
  lua_pushcfunction(L, faults_read_size);
  lua_setfield(L, -2, "read_size");
  return 1;
}
