/* Headers of macOS and FreeBSD, as far as they can be had here: the system's own, less what those two do not have or hide
 * from who names a standard. Put in front of the system's by spec/core/systems_spec.lua, with __APPLE__ or __FreeBSD__. */
#ifndef SYSTEMS_FEATURES_H
#define SYSTEMS_FEATURES_H

#if defined(_POSIX_C_SOURCE) || defined(_XOPEN_SOURCE)
#define SYSTEM_HIDES
#endif

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* without a standard they show all they have */
#endif
#include_next <features.h>

#endif
