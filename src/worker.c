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

typedef struct job {
  struct job *next; /* in `ended` */
  veo_worker *worker;
  int fd;
  int overwrite;
  char *from;
  char *to; /* NULL: `from` is only looked at */
  veo_saved result;
} job;

struct veo_worker {
  pthread_mutex_t lock;
  int references; /* the engine and every running thread */
  job *ended;
  int pipe[2];
};

static void free_job(job *work)
{
  if(work->fd >= 0)
    close(work->fd);
  free(work->from);
  free(work->to);
  free(work);
}

/* Gives up one reference; the last one frees. The lock is held on entry and is not on return. */
static void release(veo_worker *worker)
{
  int last = --worker->references == 0;
  pthread_mutex_unlock(&worker->lock);
  if(!last)
    return;
  while(worker->ended) {
    job *work = worker->ended;
    worker->ended = work->next;
    free_job(work);
  }
  close(worker->pipe[0]);
  close(worker->pipe[1]);
  pthread_mutex_destroy(&worker->lock);
  free(worker);
}

static job *new_job(void)
{
  job *work = calloc(1, sizeof *work);
  if(!work)
    return NULL;
  work->fd = -1;
  return work;
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

static void save(job *work)
{
  work->result.unsynced = sync_file(work->fd, &work->result.error);
  if(work->result.error) {
    work->result.stage = "writing the file to the disk";
    return;
  }
  work->result.stage = "looking for it once more";
  if(!veo_still_named(work->fd, work->from)) {
    work->result.error =
        ENOENT; /* somebody put another file there: that one is not what was fetched */
    return;
  }
  if(work->overwrite)
    work->result.error = rename(work->from, work->to) == 0 ? 0 : errno;
  else
    work->result.error = move_new(work->from, work->to);
  work->result.stage = "moving the file to its name";
  if(!work->result.error)
    sync_directory(work->to);
}

static void look(job *work)
{
  work->result.error = veo_digest_file(work->from, &work->result.size, work->result.digest);
  veo_boxes_file(work->from, &work->result.boxes);
  work->result.stage = "reading it";
}

static void *run(void *argument)
{
  job *work = argument;
  veo_worker *worker = work->worker;
  ssize_t ignored;
  if(!work->to)
    look(work);
  else
    save(work);
  if(work->fd >= 0)
    close(work->fd); /* gives the lock back before anyone can see the end */
  work->fd = -1;
  pthread_mutex_lock(&worker->lock);
  work->next = worker->ended;
  worker->ended = work;
  ignored = write(worker->pipe[1], "", 1);
  (void)ignored;
  release(worker);
  return NULL;
}

/* A detached thread on which no signal of the host is delivered. */
static int spawn(job *work)
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

/* Hands it to a thread; takes it over. */
static int start(veo_worker *worker, job *work, void *tag)
{
  int error;
  work->worker = worker;
  work->result.tag = tag;
  pthread_mutex_lock(&worker->lock);
  worker->references++;
  pthread_mutex_unlock(&worker->lock);
  error = spawn(work);
  if(error) {
    pthread_mutex_lock(&worker->lock);
    free_job(work);
    release(worker);
  }
  return error;
}

int veo_worker_start(veo_worker *worker, int fd, const char *from, const char *to, int overwrite,
                     void *tag)
{
  job *work = new_job();
  if(!work) {
    close(fd);
    return ENOMEM;
  }
  work->fd = fd;
  work->overwrite = overwrite;
  work->from = veo_copy(from, strlen(from));
  work->to = veo_copy(to, strlen(to));
  if(!work->from || !work->to) {
    free_job(work);
    return ENOMEM;
  }
  return start(worker, work, tag);
}

int veo_worker_digest(veo_worker *worker, const char *path, void *tag)
{
  job *work = new_job();
  if(!work)
    return ENOMEM;
  work->from = veo_copy(path, strlen(path));
  if(!work->from) {
    free_job(work);
    return ENOMEM;
  }
  return start(worker, work, tag);
}

int veo_worker_collect(veo_worker *worker, veo_saved *saved)
{
  job *work;
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
  if(!work)
    return 0;
  *saved = work->result;
  free_job(work);
  return 1;
}
