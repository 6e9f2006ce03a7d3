/* Runs another program to its end, without a shell: its arguments are passed as they are. Blocks, so it
 * is called on a thread of its own; touches neither Lua nor libcurl. */
#ifndef VEO_PROGRAM_H
#define VEO_PROGRAM_H

#include <pthread.h>
#include <stddef.h>
#include <sys/types.h>

/* A program that another thread may end. */
typedef struct {
  pthread_mutex_t lock; /* guards the rest, and is held while the program is started */
  pid_t pid;            /* while it runs, else 0 */
  int stopped;
} veo_program;

void veo_program_init(veo_program *program);
void veo_program_destroy(veo_program *program);
/* `arguments` are `length` bytes of strings, each with its NUL; the first is looked for on the PATH.
 * Of the environment it gets the path, home, folder, language and libraries, so no key.
 * Input and output are /dev/null, `text` gets the start of what it says on its standard error.
 * 0 with *status (its exit status, 128 + signal, or -1 when the host has it taken away by ignoring
 * SIGCHLD), or an errno: ENOENT when there is no such program, ETIMEDOUT when it had to be killed,
 * ECANCELED when it was stopped. */
int veo_program_run(veo_program *program, const char *arguments, size_t length, long timeout_ms,
                    int *status, char *text, size_t size);
/* Kills it; one that has not begun never does. What it started itself is not killed. */
void veo_program_stop(veo_program *program);

#endif
