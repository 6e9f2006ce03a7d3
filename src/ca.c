/* Certificate authorities; see ca.h.
 *
 * A bundle of some 140 authorities takes 20 ms of CPU to read: a stalled frame. libcurl keeps what it
 * has read when no folder is set beside it, but the first connection pays, and since 8.17 every one
 * does where a folder is built in, because that can no longer be unset. A folder with hashed names is
 * searched only for the one authority that a server's certificate asks for: the first connection
 * then takes 3 ms instead of 22, and each further one 0.5-0.8 (measured on 7.88, 8.14 and 8.22).
 * So the folder takes the bundle's place, but only if it has each of the bundle's certificates and
 * nothing that could make a look-up fail or hang. Making sure takes 2 ms, once for a client.
 *
 * SSL_CERT_DIR means what it means to curl and to OpenSSL's own programs: its folder takes the place of the folder
 * that libcurl was built with, and libcurl's bundle, if it was built with one, stays beside it (curl 7.88.1 on both
 * libraries and 8.22, openssl s_client 3.0; Debian's libcurl on GnuTLS has a folder and no bundle). */
#include "ca.h"

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

/* OpenSSL opens it anew each time, wherever the program is then, and takes a colon for a list. */
static int is_one_folder(const char *folder)
{
  return folder && *folder == '/' && !strchr(folder, ':');
}

/* Whether the folder lacks nothing that the bundle has. Then `one` is filled in. */
static int replaces_bundle(veo_ca *ca, const char *folder)
{
  prints bundle = {NULL, 0, 0};
  prints found = {NULL, 0, 0};
  int replaces = is_one_folder(folder) && scan_bundle(ca->file, &bundle, &ca->one) &&
                 scan_folder(folder, &found) && includes(&found, &bundle);
  free(bundle.list);
  free(found.list);
  if(!replaces)
    veo_buffer_free(&ca->one);
  return replaces;
}

/* The folder of the environment in place of the bundle, or libcurl's own, behind the former. 0 when memory is short. */
static int choose_folders(veo_ca *ca, const curl_version_info_data *info)
{
  veo_buffer list = {NULL, 0, 0};
  const char *beside = ca->beside;
  int ok = 1;
  if(!searches_folders(info))
    return 1;
  if(beside && replaces_bundle(ca, beside))
    ok = veo_buffer_append(&list, beside, strlen(beside));
  else if(replaces_bundle(ca, info->capath))
    ok = (!beside ||
          (veo_buffer_append(&list, beside, strlen(beside)) && veo_buffer_append(&list, ":", 1))) &&
         veo_buffer_append(&list, info->capath, strlen(info->capath));
  if(!ok)
    veo_buffer_free(&list);
  ca->folders = list.data;
  return ok;
}
#endif

/* -------------------------------------------------------------------- all */

/* As the program stands now: it may be elsewhere when a connection asks. NULL when memory is short. */
static char *copy_folder(const char *folder)
{
  char here[4096];
  veo_buffer whole = {NULL, 0, 0};
  if(*folder == '/' || strchr(folder, ':') || !getcwd(here, sizeof here))
    return veo_copy(folder, strlen(folder));
  if(veo_buffer_append(&whole, here, strlen(here)) && veo_buffer_append(&whole, "/", 1) &&
     veo_buffer_append(&whole, folder, strlen(folder)))
    return whole.data;
  veo_buffer_free(&whole);
  return NULL;
}

/* Order: the option, CURL_CA_BUNDLE, SSL_CERT_FILE, libcurl's own. No folder is added to what one of the first three
 * names, unless that is libcurl's own. */
static int choose(veo_ca *ca)
{
  const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
  const char *own = NULL;
  const char *bundle = from_environment("CURL_CA_BUNDLE");
  const char *file = bundle ? bundle : from_environment("SSL_CERT_FILE");
  const char *folder = from_environment("SSL_CERT_DIR");
  if(ca->file || !veo_libcurl_has(CURL_VERSION_SSL))
    return 1;
#if LIBCURL_VERSION_NUM >= 0x074600
  if(info->age >= CURLVERSION_SEVENTH)
    own = info->cainfo;
#endif
  if(!file)
    file = own;
  if(file && !(ca->file = veo_copy(file, strlen(file))))
    return 0;
  if(bundle || (file && (!own || strcmp(file, own) != 0)))
    folder = NULL;
  if(folder && !(ca->beside = copy_folder(folder)))
    return 0;
#if LIBCURL_VERSION_NUM >= 0x074d00
  if(own && strcmp(file, own) == 0)
    return choose_folders(ca, info);
#endif
  (void)info;
  return 1;
}

/* The TLS library would wait for a FIFO's writer, or read a device for ever, and the host with it. A name that cannot be is
 * an error at once, which shows it. 0 when memory is short. */
static int refuse_pipe(veo_ca *ca)
{
  static const char why[] = "/(not a regular file)";
  struct stat about;
  veo_buffer name = {NULL, 0, 0};
  if(!ca->file || stat(ca->file, &about) != 0 || S_ISREG(about.st_mode) || S_ISDIR(about.st_mode))
    return 1;
  if(!veo_buffer_append(&name, ca->file, strlen(ca->file)) ||
     !veo_buffer_append(&name, why, sizeof why - 1)) {
    veo_buffer_free(&name);
    return 0;
  }
  free(ca->file);
  ca->file = name.data;
  return 1;
}

int veo_ca_find(veo_ca *ca)
{
  return choose(ca) && refuse_pipe(ca);
}

/* What is not known to the TLS library is left out, as curl leaves it out. */
static CURLcode search_beside(const veo_ca *ca, CURL *easy)
{
  CURLcode code = curl_easy_setopt(easy, CURLOPT_CAPATH, ca->beside);
  return code == CURLE_OUT_OF_MEMORY ? code : CURLE_OK;
}

CURLcode veo_ca_apply(const veo_ca *ca, CURL *easy)
{
  CURLcode code = CURLE_OK;
  if((!ca->file && !ca->beside) || !veo_libcurl_has(CURL_VERSION_SSL))
    return CURLE_OK;
#if LIBCURL_VERSION_NUM >= 0x074d00
  if(ca->folders) {
    /* In place of the bundle, which newer libcurls otherwise read as well. The folders first: with the
     * one certificate set and no folder, nothing else would be trusted. */
    struct curl_blob one;
    one.data = ca->one.data;
    one.len = ca->one.length;
    one.flags = CURL_BLOB_NOCOPY;
    if(!curl_easy_setopt(easy, CURLOPT_CAPATH, ca->folders) &&
       !curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &one))
      return CURLE_OK;
  }
#endif
  /* A folder beside the file keeps libcurl from keeping what it has read of it: none, unless one was named. */
  code = search_beside(ca, easy);
  return code || !ca->file ? code : curl_easy_setopt(easy, CURLOPT_CAINFO, ca->file);
}

void veo_ca_free(veo_ca *ca)
{
  free(ca->file);
  free(ca->beside);
  free(ca->folders);
  veo_buffer_free(&ca->one);
}
