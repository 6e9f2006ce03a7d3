#include_next <sys/socket.h>
#ifdef __APPLE__
#undef SOCK_CLOEXEC
#undef SOCK_NONBLOCK
#undef MSG_NOSIGNAL
#pragma GCC poison accept4
#endif
