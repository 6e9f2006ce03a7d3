/* Certificate authorities; see trust.h.
 *
 * A bundle of some 140 authorities takes 20 ms of CPU to read: a stalled frame. libcurl keeps what it
 * has read when no folder is set beside it, but the first connection pays, and since 8.17 every one
 * does where a folder is built in, because that can no longer be unset. A folder with hashed names is
 * searched only for the one authority that a server's certificate asks for: the first connection
 * then takes 3 ms instead of 22, and each further one 0.5-0.8 (measured on 7.88, 8.14 and 8.22). */
#include "trust.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_CERTIFICATE = 65536 };

static const char *from_environment(const char *name)
{
  const char *value = getenv(name);
  return value && *value ? value : NULL;
}

/* ------------------------------------------------------------------ folder */

/* As OpenSSL names them: eight digits of the hash, a dot, a number. */
static int is_hashed(const char *name)
{
  return strspn(name, "0123456789abcdef") == 8 && name[8] == '.' && name[9] &&
         strspn(name + 9, "0123456789") == strlen(name + 9);
}

/* NULL for what is no file: opening a FIFO would wait for its writer. */
static FILE *open_file(const char *path)
{
  struct stat about;
  return stat(path, &about) == 0 && S_ISREG(about.st_mode) ? fopen(path, "re") : NULL;
}

/* Reads one certificate; 0 when there is none in the file or memory is short. */
static int read_certificate(const char *folder, const char *name, veo_buffer *into)
{
  static const char begin[] = "-----BEGIN CERTIFICATE-----";
  char chunk[4096];
  size_t n = strlen(folder) + strlen(name) + 2;
  char *path = malloc(n);
  FILE *file;
  if(!path)
    return 0;
  (void)snprintf(path, n, "%s/%s", folder, name);
  file = open_file(path);
  free(path);
  if(!file)
    return 0;
  while((n = fread(chunk, 1, sizeof chunk, file)) > 0 && into->length < MAX_CERTIFICATE) {
    if(!veo_buffer_append(into, chunk, n))
      break;
  }
  (void)fclose(file);
  if(n == 0 && into->length && strstr(into->data, begin))
    return 1;
  veo_buffer_reset(into, 0);
  return 0;
}

/* How many certificates the folder has under hashed names; reads one of them. */
static int count_folder(const char *folder, veo_buffer *one)
{
  DIR *dir = opendir(folder);
  const struct dirent *entry;
  int count = 0;
  if(!dir)
    return 0;
  while((entry = readdir(dir)) != NULL) {
    if(!is_hashed(entry->d_name))
      continue;
    count++;
    if(!one->length)
      (void)read_certificate(folder, entry->d_name, one);
  }
  (void)closedir(dir);
  return one->length ? count : 0;
}

static int count_bundle(const char *path)
{
  char line[256];
  int count = 0;
  FILE *file = path ? open_file(path) : NULL;
  if(!file)
    return 0;
  while(fgets(line, sizeof line, file))
    count += strncmp(line, "-----BEGIN ", 11) == 0;
  (void)fclose(file);
  return count;
}

/* Only OpenSSL searches a folder by hash; the others read all of it. */
static int searches_folders(const curl_version_info_data *info)
{
  return info->ssl_version && strncmp(info->ssl_version, "OpenSSL", 7) == 0;
}

/* Takes the folder when it lacks nothing that the bundle has. 0 when memory is short. */
static int choose_folder(veo_trust *trust, const char *folder)
{
  int count = count_folder(folder, &trust->one);
  if(!count || count < count_bundle(trust->file)) {
    veo_buffer_free(&trust->one);
    return 1;
  }
  trust->folder = veo_copy(folder, strlen(folder));
  return trust->folder != NULL;
}

/* -------------------------------------------------------------------- all */

#if LIBCURL_VERSION_NUM >= 0x074600
/* Another bundle than the system's is the user's own word: then nothing else is trusted. */
static const char *find_folder(const char *file, const curl_version_info_data *info)
{
  const char *folder = from_environment("SSL_CERT_DIR");
  if(!searches_folders(info) || !file || !info->cainfo || strcmp(file, info->cainfo) != 0)
    return NULL;
  return folder ? folder : info->capath;
}
#endif

/* Order: the option, CURL_CA_BUNDLE, SSL_CERT_FILE, libcurl's own. */
int veo_trust_find(veo_trust *trust)
{
  const char *folder = NULL;
  const char *file = trust->file;
  if(!file)
    file = from_environment("CURL_CA_BUNDLE");
  if(!file)
    file = from_environment("SSL_CERT_FILE");
#if LIBCURL_VERSION_NUM >= 0x074600
  {
    const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
    if(info->age >= CURLVERSION_SEVENTH) {
      if(!file)
        file = info->cainfo;
      folder = find_folder(file, info);
    }
  }
#endif
  if(file && !trust->file) {
    trust->file = veo_copy(file, strlen(file));
    if(!trust->file)
      return 0;
  }
  return !folder || choose_folder(trust, folder);
}

int veo_trust_apply(const veo_trust *trust, CURL *easy)
{
#if LIBCURL_VERSION_NUM >= 0x074d00
  if(trust->folder) {
    /* In place of the bundle, which newer libcurls otherwise read as well. */
    struct curl_blob one;
    one.data = trust->one.data;
    one.len = trust->one.length;
    one.flags = CURL_BLOB_NOCOPY;
    if(!curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &one) &&
       !curl_easy_setopt(easy, CURLOPT_CAPATH, trust->folder))
      return 1;
  }
#endif
  /* A folder beside the file would keep libcurl from keeping what it has read of it. */
  (void)curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
  return !trust->file || !curl_easy_setopt(easy, CURLOPT_CAINFO, trust->file);
}

void veo_trust_free(veo_trust *trust)
{
  free(trust->file);
  free(trust->folder);
  veo_buffer_free(&trust->one);
}
