#include_next <netinet/tcp.h>
#ifdef __APPLE__
#pragma GCC poison tcp_info
#endif
