#include_next <sys/random.h>
#ifdef __APPLE__
#pragma GCC poison getrandom
#endif
