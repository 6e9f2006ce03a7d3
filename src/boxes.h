/* Whether the outermost boxes of an MP4 file fill it. No Lua. */
#ifndef VEO_BOXES_H
#define VEO_BOXES_H

typedef enum {
  VEO_BOXES_NONE,   /* no MP4 file, or nobody can say */
  VEO_BOXES_WHOLE,  /* also with padding behind them */
  VEO_BOXES_OPEN,   /* the last one goes on to the end, wherever that is */
  VEO_BOXES_CUT,    /* one is cut, or the file ends before its index or its media */
  VEO_BOXES_STRANGE /* something else stands where a box should begin */
} veo_boxes_kind;

typedef struct {
  veo_boxes_kind kind;
  double at; /* the place that tells */
} veo_boxes;

/* Reads 16 bytes of each box. A file that cannot be read is none. */
void veo_boxes_file(const char *path, veo_boxes *boxes);

#endif
