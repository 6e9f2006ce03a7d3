#define __FreeBSD_version 1400000
