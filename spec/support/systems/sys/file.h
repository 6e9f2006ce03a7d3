#include_next <sys/file.h>
#ifdef SYSTEM_HIDES
#undef LOCK_EX
#undef LOCK_NB
#pragma GCC poison flock
#endif
