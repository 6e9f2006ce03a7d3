/* What a client keeps of Lua. */
#ifndef VEO_USER_VALUE_H
#define VEO_USER_VALUE_H

/* Places in the table that is the client's user value. */
enum {
  VEO_ENV_DECODE = 1,
  VEO_ENV_LIVE = 2, /* transfers under way, by their exchange's slot */
  VEO_ENV_TAGS = 3, /* what scripts tied to them, likewise */
  VEO_ENV_CLIENT = 4,
  VEO_ENV_KIND = 5, /* the metatable of statuses; see status_record.h */
  VEO_ENV_NAMES = 6 /* of their fields */
};

#endif
