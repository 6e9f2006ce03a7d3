#include_next <unistd.h>
#ifdef __APPLE__
#pragma GCC poison pipe2 fdatasync
#endif
