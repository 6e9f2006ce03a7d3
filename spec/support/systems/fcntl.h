#include_next <fcntl.h>
#undef F_OFD_SETLK
#ifdef SYSTEM_HIDES
#undef O_NOFOLLOW
#elif defined(__APPLE__)
#define F_FULLFSYNC 51
#endif
