/* A pipe that no child process inherits. */
#ifndef VEO_PIPE_H
#define VEO_PIPE_H

/* ends[0] to read from, ends[1] to write to. 0, or errno. */
int veo_pipe(int ends[2]);

#endif
