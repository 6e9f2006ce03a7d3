/* Names that begin to resolve: preloaded into a child process of the specs. A host under .test is this machine once the
 * file that VEO_NAMES names is there; before that, and without it, there is no such name. */
#define _GNU_SOURCE /* RTLD_NEXT */
#include <dlfcn.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int (*lookup)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

static int is_ours(const char *name)
{
  static const char domain[] = ".test";
  size_t length = name ? strlen(name) : 0;
  return length > sizeof domain && strcmp(name + length - (sizeof domain - 1), domain) == 0;
}

/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): the header's names are reserved ones */
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **found)
{
  static lookup real;
  if(!real)
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
  if(is_ours(name)) {
    const char *file = getenv("VEO_NAMES");
    if(!file || access(file, F_OK) != 0)
      return EAI_NONAME;
    name = "127.0.0.1";
  }
  return real(name, service, hints, found);
}
