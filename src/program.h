/* Runs another program to its end, without a shell: its arguments are passed as they are. Blocks, so it
 * is called on a thread of its own; touches neither Lua nor libcurl. */
#ifndef VEO_PROGRAM_H
#define VEO_PROGRAM_H

#include <stddef.h>

/* `arguments` are `length` bytes of strings, each with its NUL; the first is looked for on the PATH.
 * Input and output are /dev/null, `text` gets the start of what it says on its standard error.
 * 0 with *status (its exit status, 128 + signal, or -1 when the host has it taken away by ignoring
 * SIGCHLD), or an errno: ENOENT when there is no such program, ETIMEDOUT when it had to be killed. */
int veo_program_run(const char *arguments, size_t length, long timeout_ms, int *status, char *text,
                    size_t size);

#endif
