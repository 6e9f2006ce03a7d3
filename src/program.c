/* A program run to its end; see program.h. */
#include "program.h"

#include "clock.h"

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

extern char **environ;

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

/* The thread blocks every signal, which the program must not inherit. */
static int spawn(char *const *argv, int error_fd, pid_t *pid)
{
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  sigset_t none;
  sigset_t defaults;
  int error;
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
    error = argv[0] ? posix_spawnp(pid, argv[0], &files, &attributes, argv, environ) : EINVAL;
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  return error;
}

/* Reads until the other end is closed, which is the program's end; keeps what fits. 0 when the time is
 * up first. */
static int listen_to(int fd, double deadline, char *text, size_t size)
{
  size_t length = 0;
  char more[512];
  text[0] = '\0';
  for(;;) {
    struct pollfd watched = {fd, POLLIN, 0};
    double left = deadline - veo_now();
    ssize_t n;
    if(left <= 0)
      return 0;
    if(poll(&watched, 1, (int)(left * 1000) + 1) <= 0)
      continue;
    n = read(fd, more, sizeof more);
    if(n == 0 || (n < 0 && errno != EINTR))
      return 1;
    if(n > 0) {
      size_t fits = size - 1 - length < (size_t)n ? size - 1 - length : (size_t)n;
      memcpy(text + length, more, fits);
      length += fits;
      text[length] = '\0';
    }
  }
}

/* From here on it can be stopped; at once, when it was before it began. */
static void begin(veo_program *program, pid_t pid)
{
  pthread_mutex_lock(program->lock);
  program->pid = pid;
  if(program->stopped)
    veo_program_stop(program);
  pthread_mutex_unlock(program->lock);
}

/* Nobody's signal may reach the number once it is free for another process: first it is only seen to
 * have ended. */
static int finish(veo_program *program, int *stopped)
{
  pid_t pid = program->pid;
  siginfo_t seen;
  int status = 0;
  while(waitid(P_PID, (id_t)pid, &seen, WEXITED | WNOWAIT) != 0 && errno == EINTR)
    ;
  pthread_mutex_lock(program->lock);
  program->pid = 0;
  *stopped = program->stopped;
  pthread_mutex_unlock(program->lock);
  while(waitpid(pid, &status, 0) < 0) {
    if(errno != EINTR)
      return -1;
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void veo_program_stop(veo_program *program)
{
  program->stopped = 1;
  if(program->pid)
    (void)kill(program->pid, SIGKILL);
}

int veo_program_run(veo_program *program, const char *arguments, size_t length, long timeout_ms,
                    int *status, char *text, size_t size)
{
  int ends[2];
  pid_t pid = 0;
  int error;
  int in_time;
  int stopped;
  char **argv = split(arguments, length);
  if(!argv)
    return ENOMEM;
  if(pipe(ends) != 0) {
    error = errno;
    free(argv);
    return error;
  }
  (void)fcntl(ends[0], F_SETFD, FD_CLOEXEC);
  (void)fcntl(ends[1], F_SETFD, FD_CLOEXEC);
  error = spawn(argv, ends[1], &pid);
  close(ends[1]);
  free(argv);
  if(!error) {
    begin(program, pid);
    in_time = listen_to(ends[0], veo_now() + (double)timeout_ms / 1000.0, text, size);
    if(!in_time)
      (void)kill(pid, SIGKILL);
    *status = finish(program, &stopped);
    error = stopped ? ECANCELED : in_time ? 0 : ETIMEDOUT;
  }
  close(ends[0]);
  return error;
}
