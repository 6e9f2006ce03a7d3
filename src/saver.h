/* fsync and rename on a short thread, because they can take longer than a frame (37 ms for 64 MiB,
 * measured). The thread touches neither Lua nor libcurl. */
#ifndef VEO_SAVER_H
#define VEO_SAVER_H

typedef struct veo_saver veo_saver;

typedef struct {
  void *tag;         /* who asked */
  int error;         /* errno, or 0 */
  const char *stage; /* what failed: a constant text */
} veo_saved;

/* NULL when memory or descriptors are short. */
veo_saver *veo_saver_open(void);
/* Saves under way go on to their end and free what they hold. */
void veo_saver_close(veo_saver *saver);
/* Readable when a save has ended. */
int veo_saver_fd(const veo_saver *saver);
/* Starts: syncs fd and moves `from` to `to`; takes over fd. 0, or errno. */
int veo_saver_start(veo_saver *saver, int fd, const char *from, const char *to, int overwrite,
                    void *tag);
/* The next save that has ended; 0 when there is none. */
int veo_saver_collect(veo_saver *saver, veo_saved *saved);

#endif
