/* measure OUTPUT REPEATS COMMAND...: runs the command and appends "user sys wall peak-KiB" to OUTPUT, the times in seconds
 * for one run. The soft limit of open files is raised first, for thousands of connections. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double seconds(struct timeval t)
{
  return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static double now(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int run(char **command)
{
  int status = 1;
  pid_t pid = fork();
  if(pid == 0) {
    execvp(command[0], command);
    perror(command[0]);
    _exit(127);
  }
  if(pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
    fprintf(stderr, "%s failed\n", command[0]);
    return 0;
  }
  return 1;
}

int main(int argc, char **argv)
{
  struct rlimit files;
  struct rusage used;
  FILE *out;
  double begun;
  double wall;
  int repeats;
  if(argc < 4)
    return 2;
  repeats = atoi(argv[2]);
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  begun = now();
  for(int i = 0; i < repeats; i++)
    if(!run(argv + 3))
      return 1;
  wall = now() - begun;
  getrusage(RUSAGE_CHILDREN, &used);
  out = fopen(argv[1], "w");
  if(!out)
    return 1;
  fprintf(out, "%.6f %.6f %.6f %ld\n", seconds(used.ru_utime) / repeats,
          seconds(used.ru_stime) / repeats, wall / repeats, used.ru_maxrss);
  return fclose(out) != 0;
}
