/* fsync and rename on short threads; see worker.h. */
#include "worker.h"

#include "pipe.h"
#include "sink.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct veo_worker {
  pthread_mutex_t lock;
  int references; /* the engine and every running thread */
  veo_work *ended;
  int pipe[2];
};

/* -------------------------------------------------------------------- works */

veo_work *veo_work_new(void)
{
  veo_work *work = calloc(1, sizeof *work);
  if(work)
    work->save.fd = -1;
  return work;
}

void veo_work_recycle(veo_work *work)
{
  veo_operation op = work->op;
  free(work->path);
  free(work->save.to);
  veo_sink_release(work->save.sink);
  memset(work, 0, sizeof *work);
  work->op = op;
  work->op.owner = NULL;
  work->save.fd = -1;
}

void veo_work_free(veo_work *work)
{
  veo_work_recycle(work);
  free(work);
}

int veo_work_save(veo_work *work, veo_sink *sink, const char *to, int overwrite)
{
  work->stage = "starting to save";
  work->path = veo_copy(sink->path, strlen(sink->path));
  work->save.to = veo_copy(to, strlen(to));
  work->save.sink = veo_sink_retain(sink);
  work->save.overwrite = overwrite;
  return work->path && work->save.to;
}

int veo_work_digest(veo_work *work, const char *path)
{
  work->stage = "starting to read it";
  work->path = veo_copy(path, strlen(path));
  return work->path != NULL;
}

/* ------------------------------------------------------------------- worker */

/* Gives up one reference; the last one frees. The lock is held on entry and is not on return. */
static void release(veo_worker *worker)
{
  int last = --worker->references == 0;
  pthread_mutex_unlock(&worker->lock);
  if(!last)
    return;
  while(worker->ended) {
    veo_work *work = worker->ended;
    worker->ended = work->next;
    veo_work_free(work);
  }
  close(worker->pipe[0]);
  close(worker->pipe[1]);
  pthread_mutex_destroy(&worker->lock);
  free(worker);
}

int veo_worker_open(veo_worker **out)
{
  veo_worker *worker = calloc(1, sizeof *worker);
  int error;
  if(!worker)
    return ENOMEM; /* not every allocator says so in errno */
  worker->references = 1;
  error = veo_pipe(worker->pipe);
  if(error) {
    free(worker);
    return error;
  }
  (void)fcntl(worker->pipe[0], F_SETFL, O_NONBLOCK);
  (void)fcntl(worker->pipe[1], F_SETFL, O_NONBLOCK);
  pthread_mutex_init(&worker->lock, NULL);
  *out = worker;
  return 0;
}

void veo_worker_close(veo_worker *worker)
{
  if(!worker)
    return;
  pthread_mutex_lock(&worker->lock);
  release(worker);
}

int veo_worker_fd(const veo_worker *worker)
{
  return worker->pipe[0];
}

/* The rename itself is durable only once its directory is synced. */
static void sync_directory(const char *path)
{
  const char *slash = strrchr(path, '/');
  char *directory =
      slash ? veo_copy(path, (size_t)(slash - path) + (slash == path)) : veo_copy(".", 1);
  int fd;
  if(!directory)
    return;
  fd = open(directory, O_RDONLY | O_CLOEXEC);
  if(fd >= 0) {
    (void)fsync(fd); /* some file systems cannot; the file itself is safe by now */
    close(fd);
  }
  free(directory);
}

/* Moves without replacing. link fails when the target exists; file systems without links (FAT, some
 * network mounts) are left with a look before the rename. */
static int move_new(const char *from, const char *to)
{
  struct stat status;
  if(link(from, to) == 0) {
    (void)unlink(from);
    return 0;
  }
  if(errno == EEXIST)
    return EEXIST;
  if(lstat(to, &status) == 0)
    return EEXIST;
  return rename(from, to) == 0 ? 0 : errno;
}

/* On macOS fsync leaves the bytes in the disk's own cache. */
static int flush(int fd)
{
#ifdef F_FULLFSYNC
  if(fcntl(fd, F_FULLFSYNC) == 0)
    return 0;
#endif
  return fsync(fd);
}

/* Some file systems cannot. 1 where it is not done. */
static int sync_file(int fd, int *error)
{
  *error = 0;
  while(flush(fd) != 0) {
    if(errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP)
      return 1;
    if(errno != EINTR) {
      *error = errno;
      return 1;
    }
  }
  return 0;
}

/* The last stage it reached is what failed, if anything did. */
static int save(veo_work *work)
{
  int error;
  work->stage = "writing the file to the disk";
  work->save.unsynced = sync_file(work->save.fd, &error);
  if(error)
    return error;
  work->stage = "looking for it once more";
  if(!veo_still_named(work->save.fd, work->path))
    return ENOENT; /* somebody put another file there: that one is not what was fetched */
  work->stage = "moving the file to its name";
  if(work->save.overwrite)
    error = rename(work->path, work->save.to) == 0 ? 0 : errno;
  else
    error = move_new(work->path, work->save.to);
  if(!error)
    sync_directory(work->save.to);
  return error;
}

static int look(veo_work *work)
{
  work->stage = "reading it";
  veo_boxes_file(work->path, &work->digest.boxes);
  return veo_digest_file(work->path, &work->digest.size, work->digest.text);
}

static void *run(void *argument)
{
  veo_work *work = argument;
  veo_worker *worker = work->worker;
  ssize_t ignored;
  work->error = work->op.kind == VEO_KIND_SAVE ? save(work) : look(work);
  if(work->save.fd >= 0)
    close(work->save.fd);
  work->save.fd = -1;
  pthread_mutex_lock(&worker->lock);
  work->next = worker->ended;
  worker->ended = work;
  ignored = write(worker->pipe[1], "", 1);
  (void)ignored;
  release(worker);
  return NULL;
}

/* A detached thread on which no signal of the host is delivered. */
static int spawn(veo_work *work)
{
  pthread_attr_t attributes;
  pthread_t thread;
  sigset_t all;
  sigset_t before;
  int error;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  error = pthread_create(&thread, &attributes, run, work);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attributes);
  return error;
}

int veo_worker_start(veo_worker *worker, veo_work *work)
{
  int error;
  if(work->op.kind == VEO_KIND_SAVE) {
    work->save.fd = fcntl(work->save.sink->fd, F_DUPFD_CLOEXEC, 0);
    if(work->save.fd < 0)
      return errno;
  }
  work->worker = worker;
  pthread_mutex_lock(&worker->lock);
  worker->references++;
  pthread_mutex_unlock(&worker->lock);
  error = spawn(work);
  if(error) {
    if(work->save.fd >= 0)
      close(work->save.fd);
    work->save.fd = -1;
    pthread_mutex_lock(&worker->lock);
    release(worker);
  }
  return error;
}

veo_work *veo_worker_collect(veo_worker *worker)
{
  veo_work *work;
  pthread_mutex_lock(&worker->lock);
  work = worker->ended;
  if(work) {
    /* A byte for each, or the descriptor stays readable with nothing to collect. */
    char byte;
    ssize_t ignored = read(worker->pipe[0], &byte, 1);
    (void)ignored;
    worker->ended = work->next;
  }
  pthread_mutex_unlock(&worker->lock);
  return work;
}

void veo_worker_abandon(veo_work *work)
{
  veo_sink_release(work->save.sink); /* counted without a lock */
  work->save.sink = NULL;
}
