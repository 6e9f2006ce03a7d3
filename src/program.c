/* A program run to its end; see program.h. */
#include "program.h"

#include "clock.h"
#include "pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __APPLE__
#include <crt_externs.h>
#define environ (*_NSGetEnviron()) /* a bundle has no other */
#else
extern char **environ;
#endif

/* Milliseconds between two looks whether it has ended. */
#define SLICE 20

/* The strings as a NULL-terminated vector that points into them; NULL when memory is short. */
static char **split(const char *arguments, size_t length)
{
  size_t count = 0;
  size_t i;
  char **argv;
  for(i = 0; i < length; i++)
    count += arguments[i] == '\0';
  argv = malloc((count + 1) * sizeof *argv);
  if(!argv)
    return NULL;
  argv[count] = NULL;
  for(i = 0; i < count; i++) {
    argv[i] = (char *)arguments; /* posix_spawn does not write to it */
    arguments += strlen(arguments) + 1;
  }
  return argv;
}

/* What a program may know of our environment: keys and passwords stand in it too. */
static const char *const KEPT[] = {"PATH",   "HOME",     "TMPDIR", "LANG",
                                   "LC_ALL", "LC_CTYPE", "TZ",     "LD_LIBRARY_PATH"};
#define KEPT_COUNT (sizeof KEPT / sizeof *KEPT)

/* Fills `kept`, of KEPT_COUNT + 1 places, with strings of `environ`, each name once. */
static void small_environment(char **kept)
{
  size_t i;
  for(i = 0; i < KEPT_COUNT; i++) {
    size_t length = strlen(KEPT[i]);
    char **entry;
    for(entry = environ; entry && *entry; entry++) {
      if(strncmp(*entry, KEPT[i], length) == 0 && (*entry)[length] == '=') {
        *kept++ = *entry;
        break;
      }
    }
  }
  *kept = NULL;
}

/* The thread blocks every signal, which the program must not inherit. */
static int spawn(char *const *argv, int error_fd, pid_t *pid)
{
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  sigset_t none;
  sigset_t defaults;
  char *environment[KEPT_COUNT + 1];
  int error;
  small_environment(environment);
  sigemptyset(&none);
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);
  posix_spawn_file_actions_init(&files);
  posix_spawnattr_init(&attributes);
  error = posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  if(!error)
    error = posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
  if(!error)
    error = posix_spawn_file_actions_adddup2(&files, error_fd, 2);
  if(!error)
    error = posix_spawnattr_setsigmask(&attributes, &none);
  if(!error)
    error = posix_spawnattr_setsigdefault(&attributes, &defaults);
  if(!error)
    error = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  if(!error)
    error = argv[0] ? posix_spawnp(pid, argv[0], &files, &attributes, argv, environment) : EINVAL;
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  return error;
}

void veo_program_init(veo_program *program)
{
  pthread_mutex_init(&program->lock, NULL);
  program->pid = 0;
  program->stopped = 0;
}

void veo_program_destroy(veo_program *program)
{
  pthread_mutex_destroy(&program->lock);
}

/* With `stop`, also one that has not begun. */
static void end_it(veo_program *program, int stop)
{
  pthread_mutex_lock(&program->lock);
  program->stopped |= stop;
  if(program->pid)
    (void)kill(program->pid, SIGKILL);
  pthread_mutex_unlock(&program->lock);
}

void veo_program_stop(veo_program *program)
{
  end_it(program, 1);
}

static int was_stopped(veo_program *program)
{
  int stopped;
  pthread_mutex_lock(&program->lock);
  stopped = program->stopped;
  pthread_mutex_unlock(&program->lock);
  return stopped;
}

/* Under the lock, so that whoever stops it sees either no program, and none will be, or its number: a
 * host that stopped one and exited at once left it running, up to 9 of 10 times. */
static int start(veo_program *program, char *const *argv, int error_fd)
{
  int error;
  pthread_mutex_lock(&program->lock);
  error = program->stopped ? ECANCELED : spawn(argv, error_fd, &program->pid);
  if(error)
    program->pid = 0;
  pthread_mutex_unlock(&program->lock);
  return error;
}

/* Whether it has ended. If so, nobody kills its number from here on: it is reaped only now, and free for
 * another process then. (Where the host reaps it, or ignores SIGCHLD, that was up to a SLICE before.) */
static int has_ended(veo_program *program)
{
  siginfo_t seen;
  int ended;
  seen.si_pid = 0;
  ended = waitid(P_PID, (id_t)program->pid, &seen, WEXITED | WNOHANG | WNOWAIT) == 0
              ? seen.si_pid != 0
              : errno != EINTR;
  if(ended) {
    pthread_mutex_lock(&program->lock);
    program->pid = 0;
    pthread_mutex_unlock(&program->lock);
  }
  return ended;
}

/* Waits so many milliseconds for something to read, and keeps what fits. 1 when there was something, 0
 * when not, -1 when there will be no more. */
static int listen_to(int fd, int ms, char *text, size_t size)
{
  struct pollfd watched = {fd, POLLIN, 0};
  size_t length = strlen(text);
  char more[512];
  ssize_t n;
  if(poll(&watched, 1, ms) <= 0)
    return 0;
  n = read(fd, more, sizeof more);
  if(n <= 0)
    return n < 0 && errno == EINTR ? 0 : -1;
  if((size_t)n > size - 1 - length)
    n = (ssize_t)(size - 1 - length);
  memcpy(text + length, more, (size_t)n);
  text[length + (size_t)n] = '\0';
  return 1;
}

/* Until it has ended, which is asked of the system: its standard error may be closed long before, or kept
 * open long after by what it has started. 0 when the time is up first and it was killed. */
static int watch(veo_program *program, int fd, double deadline, char *text, size_t size)
{
  int in_time = 1;
  int heard = 0;
  text[0] = '\0';
  while(!has_ended(program)) {
    if(in_time && veo_now() >= deadline) {
      in_time = 0;
      end_it(program, 0);
    }
    if(heard >= 0)
      heard = listen_to(fd, SLICE, text, size);
    else
      (void)poll(NULL, 0, 1); /* most have closed it by ending */
  }
  while(heard >= 0 && strlen(text) + 1 < size && (heard = listen_to(fd, 0, text, size)) > 0)
    ;
  return in_time;
}

static int reap(pid_t pid)
{
  int status = 0;
  while(waitpid(pid, &status, 0) < 0) {
    if(errno != EINTR)
      return -1;
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int veo_program_run(veo_program *program, const char *arguments, size_t length, long timeout_ms,
                    int *status, char *text, size_t size)
{
  int ends[2];
  int error;
  char **argv = split(arguments, length);
  if(!argv)
    return ENOMEM;
  error = veo_pipe(ends);
  if(error) {
    free(argv);
    return error;
  }
  error = start(program, argv, ends[1]);
  close(ends[1]);
  free(argv);
  if(!error) {
    pid_t pid = program->pid;
    int in_time = watch(program, ends[0], veo_now() + (double)timeout_ms / 1000.0, text, size);
    *status = reap(pid);
    error = was_stopped(program) ? ECANCELED : in_time ? 0 : ETIMEDOUT;
  }
  close(ends[0]);
  return error;
}
