/* What a client keeps of Lua. */
#ifndef VEO_ENV_H
#define VEO_ENV_H

/* Places in the table that is the client's user value. */
enum {
  VEO_ENV_ENCODE = 1,
  VEO_ENV_DECODE = 2,
  VEO_ENV_LIVE = 3, /* transfers under way, by their exchange's slot */
  VEO_ENV_TAGS = 4, /* what scripts tied to them, likewise */
  VEO_ENV_CLIENT = 5,
  VEO_ENV_KIND = 6 /* the metatable of statuses; see record.h */
};

#endif
