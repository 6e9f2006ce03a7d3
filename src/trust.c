/* Certificate authorities; see trust.h.
 *
 * A bundle of some 140 authorities takes 20 ms of CPU to read: a stalled frame. libcurl keeps what it
 * has read when no folder is set beside it, but the first connection pays, and since 8.17 every one
 * does where a folder is built in, because that can no longer be unset. A folder with hashed names is
 * searched only for the one authority that a server's certificate asks for: the first connection
 * then takes 3 ms instead of 22, and each further one 0.5-0.8 (measured on 7.88, 8.14 and 8.22).
 * So the folder takes the bundle's place, but only if it has each of the bundle's certificates and
 * nothing that could make a look-up fail or hang. Making sure takes 2 ms, once for a client. */
#include "trust.h"

#include "process.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *from_environment(const char *name)
{
  const char *value = getenv(name);
  return value && *value ? value : NULL;
}

/* Under 7.77 libcurl takes no certificate from memory, and the bundle stays. */
#if LIBCURL_VERSION_NUM >= 0x074d00

/* ------------------------------------------------------------ certificates */

/* Fingerprints (64-bit FNV-1a of the base64 text) of certificates. */
typedef struct {
  uint64_t *list;
  size_t count;
  size_t room;
} prints;

static int add_print(prints *all, uint64_t print)
{
  if(all->count == all->room) {
    size_t room = all->room ? all->room * 2 : 256;
    uint64_t *list = realloc(all->list, room * sizeof *list);
    if(!list)
      return 0;
    all->list = list;
    all->room = room;
  }
  all->list[all->count++] = print;
  return 1;
}

static uint64_t add_line(uint64_t print, const char *line)
{
  for(; *line; line++) {
    if(*line > ' ')
      print = (print ^ (unsigned char)*line) * 1099511628211U;
  }
  return print;
}

/* Adds the certificates of a file; copies the first one of all to `first`, unless that is NULL. 0 when
 * there is anything else in it, it is cut, or memory is short. */
static int scan(FILE *file, prints *all, veo_buffer *first)
{
  static const char begin[] = "-----BEGIN CERTIFICATE-----";
  char line[256];
  uint64_t print = 0;
  int inside = 0;
  while(fgets(line, sizeof line, file)) {
    int starts = strncmp(line, "-----BEGIN ", 11) == 0;
    int ends = strncmp(line, "-----END ", 9) == 0;
    if(starts && (inside || strncmp(line, begin, sizeof begin - 1) != 0))
      return 0;
    if(starts)
      print = 14695981039346656037U;
    else if(inside && !ends)
      print = add_line(print, line);
    inside |= starts;
    if(inside && first && !all->count && !veo_buffer_append(first, line, strlen(line)))
      return 0;
    if(inside && ends) {
      inside = 0;
      if(!add_print(all, print))
        return 0;
    }
  }
  return !ferror(file) && !inside;
}

/* A regular file in a folder, for reading. Without O_NONBLOCK, opening a FIFO would wait for its writer; the mode "e" of
 * fopen is not known everywhere. */
static FILE *open_regular(int folder, const char *name)
{
  struct stat about;
  FILE *file = NULL;
  int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if(fd < 0)
    return NULL;
  if(fstat(fd, &about) == 0 && S_ISREG(about.st_mode))
    file = fdopen(fd, "r");
  if(!file)
    (void)close(fd);
  return file;
}

static int scan_bundle(const char *path, prints *all, veo_buffer *first)
{
  FILE *file = open_regular(AT_FDCWD, path);
  int ok;
  if(!file)
    return 0;
  ok = scan(file, all, first);
  (void)fclose(file);
  return ok && all->count;
}

/* ------------------------------------------------------------------ folder */

/* As OpenSSL names them: eight digits of the hash, a dot, a number. */
static int is_hashed(const char *name)
{
  return strspn(name, "0123456789abcdef") == 8 && name[8] == '.' && name[9] &&
         strspn(name + 9, "0123456789") == strlen(name + 9);
}

/* OpenSSL counts up from 0 and stops at the first number that is not there. */
static int is_reached(int folder, const char *name)
{
  char before[32];
  long number = strtol(name + 9, NULL, 10);
  if(number == 0)
    return name[10] == '\0';
  if(number > 1000 || name[9] == '0')
    return 0;
  (void)snprintf(before, sizeof before, "%.9s%ld", name, number - 1);
  return faccessat(folder, before, F_OK, 0) == 0;
}

/* One certificate under one name. */
static int scan_name(int folder, const char *name, prints *all)
{
  size_t before = all->count;
  FILE *file = open_regular(folder, name);
  int ok;
  if(!file)
    return 0;
  ok = scan(file, all, NULL);
  (void)fclose(file);
  return ok && all->count == before + 1;
}

static int scan_folder(const char *path, prints *all)
{
  DIR *folder = opendir(path);
  const struct dirent *entry;
  int ok = 1;
  if(!folder)
    return 0;
  while(ok && (entry = readdir(folder)) != NULL) {
    if(is_hashed(entry->d_name))
      ok = is_reached(dirfd(folder), entry->d_name) && scan_name(dirfd(folder), entry->d_name, all);
  }
  (void)closedir(folder);
  return ok;
}

static int compare(const void *a, const void *b)
{
  uint64_t x = *(const uint64_t *)a;
  uint64_t y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

static int includes(prints *all, const prints *some)
{
  size_t i;
  if(all->count < some->count)
    return 0;
  qsort(all->list, all->count, sizeof *all->list, compare);
  for(i = 0; i < some->count; i++) {
    if(!bsearch(&some->list[i], all->list, all->count, sizeof *all->list, compare))
      return 0;
  }
  return 1;
}

/* Only OpenSSL searches a folder by hash; the others read all of it. */
static int searches_folders(const curl_version_info_data *info)
{
  return info->ssl_version && strncmp(info->ssl_version, "OpenSSL", 7) == 0;
}

/* Takes the folder when it lacks nothing that the bundle has. 0 when memory is short. */
static int choose_folder(veo_trust *trust, const char *folder)
{
  prints bundle = {NULL, 0, 0};
  prints found = {NULL, 0, 0};
  int chosen = scan_bundle(trust->file, &bundle, &trust->one) && scan_folder(folder, &found) &&
               includes(&found, &bundle);
  free(bundle.list);
  free(found.list);
  if(!chosen) {
    veo_buffer_free(&trust->one);
    return 1;
  }
  trust->folder = veo_copy(folder, strlen(folder));
  return trust->folder != NULL;
}

/* What libcurl would search beside its own bundle, or what the environment has in its place. */
static const char *find_folder(const veo_trust *trust, const curl_version_info_data *info)
{
  const char *folder = from_environment("CURL_CA_BUNDLE") ? NULL : from_environment("SSL_CERT_DIR");
  if(info->age < CURLVERSION_SEVENTH || !searches_folders(info) || !info->cainfo ||
     strcmp(trust->file, info->cainfo) != 0)
    return NULL;
  if(!folder)
    folder = info->capath;
  /* OpenSSL opens it anew each time, wherever the program is then, and takes a colon for a list. */
  return folder && *folder == '/' && !strchr(folder, ':') ? folder : NULL;
}
#endif

/* -------------------------------------------------------------------- all */

/* Order: the option, CURL_CA_BUNDLE, SSL_CERT_FILE, libcurl's own. No folder of ours is added to what
 * the option names. */
int veo_trust_find(veo_trust *trust)
{
  const char *file = NULL;
  const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
  if(trust->file || !veo_libcurl_has(CURL_VERSION_SSL))
    return 1;
  file = from_environment("CURL_CA_BUNDLE");
  if(!file)
    file = from_environment("SSL_CERT_FILE");
#if LIBCURL_VERSION_NUM >= 0x074600
  if(!file && info->age >= CURLVERSION_SEVENTH)
    file = info->cainfo;
#endif
  if(!file)
    return 1;
  trust->file = veo_copy(file, strlen(file));
  if(!trust->file)
    return 0;
#if LIBCURL_VERSION_NUM >= 0x074d00
  {
    const char *folder = find_folder(trust, info);
    if(folder)
      return choose_folder(trust, folder);
  }
#endif
  (void)info;
  return 1;
}

CURLcode veo_trust_apply(const veo_trust *trust, CURL *easy)
{
  if(!trust->file || !veo_libcurl_has(CURL_VERSION_SSL))
    return CURLE_OK;
#if LIBCURL_VERSION_NUM >= 0x074d00
  if(trust->folder) {
    /* In place of the bundle, which newer libcurls otherwise read as well. The folder first: with the
     * one certificate set and no folder, nothing else would be trusted. */
    struct curl_blob one;
    one.data = trust->one.data;
    one.len = trust->one.length;
    one.flags = CURL_BLOB_NOCOPY;
    if(!curl_easy_setopt(easy, CURLOPT_CAPATH, trust->folder) &&
       !curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &one))
      return CURLE_OK;
  }
#endif
  /* A folder beside the file would keep libcurl from keeping what it has read of it. */
  (void)curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
  return curl_easy_setopt(easy, CURLOPT_CAINFO, trust->file);
}

void veo_trust_free(veo_trust *trust)
{
  free(trust->file);
  free(trust->folder);
  veo_buffer_free(&trust->one);
}
