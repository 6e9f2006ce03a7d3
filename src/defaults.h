/* The documented values of the service and of this client, in one place.
 * Sources: docs.kie.ai "Extend Veo 3.1 AI Video" and "Get Veo 3.1 Video Details". */
#ifndef VEO_DEFAULTS_H
#define VEO_DEFAULTS_H

#ifndef VEO_VERSION
#define VEO_VERSION "0.2.0"
#endif
/* What the Lua half counts on, which looks for this number; it goes up when that changes. */
#define VEO_INTERFACE 8

#define VEO_BASE_URL "https://api.kie.ai"
#define VEO_EXTEND_PATH "/api/v1/veo/extend"
#define VEO_STATUS_PATH "/api/v1/veo/record-info"
#define VEO_STATUS_QUERY "taskId="

#define VEO_TIMEOUT 60.0         /* seconds for one exchange */
#define VEO_CONNECT_TIMEOUT 10.0 /* seconds until connected, TLS included */
#define VEO_MAX_IN_FLIGHT 100    /* queueing inside libcurl costs 3.4-10.8 x the CPU (measured) */

#define VEO_FRAME_BUDGET                                                                           \
  0.0005             /* seconds a step without sleep spends in libcurl: 8 MB/s at 60 Hz */
#define VEO_SLOW 5.0 /* seconds under way after which a call takes no place from others */

#define VEO_REPLY_CAP                                                                              \
  ((size_t)1 << 20)     /* an API reply is under 2 KiB; 15 MiB took 217 ms to decode */
#define VEO_EXCERPT 200 /* bytes of an unreadable body shown in a failure */
#define VEO_HEADER_CAP                                                                             \
  ((size_t)1 << 18)              /* headers and trailers; endless ones grew memory by 20 MB/s */
#define VEO_TEXT_CAP 65536       /* bytes of a billable call's reply that script can look through */
#define VEO_ERROR_PAGE_CAP 65536 /* bytes read of a download's error page before it is cut */

#define VEO_DOWNLOAD_BUFFER (512L * 1024L) /* libcurl's buffer: 0.95 -> 1.64 GB/s (measured) */
#define VEO_DOWNLOAD_MOST (8L << 20)       /* what a script may ask for instead */
#define VEO_STREAM_PIECE (64L * 1024L)     /* libcurl's buffer when a script reads the pieces */
#define VEO_STREAM_BUFFER (256.0 * 1024.0) /* bytes that wait for the script before it is paused */
#define VEO_UNTOLD_MOST                                                                            \
  ((curl_off_t)8 << 30)           /* of a file whose length nobody told, without max_bytes */
#define VEO_LOW_SPEED_LIMIT 1024L /* a download ends below this many bytes a second ... */
#define VEO_LOW_SPEED_TIME 60L    /* ... for this many seconds */
#define VEO_MAX_REDIRECTS 5L
#define VEO_KEEP_ALIVE 30L /* seconds of silence before a probe, and between two */

#endif
