#include_next <dlfcn.h>
#ifdef SYSTEM_HIDES
#undef RTLD_NODELETE
#pragma GCC poison Dl_info dladdr
#endif
