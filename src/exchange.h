/* One exchange with a server, from preparation to outcome, over a pooled easy handle.
 * No Lua: what libcurl's callbacks need is C memory only, since a longjmp through libcurl kills it. */
#ifndef VEO_EXCHANGE_H
#define VEO_EXCHANGE_H

#include <curl/curl.h>

#include "operation.h"
#include "poller.h"
#include "settings.h"
#include "sink.h"
#include "text.h"

typedef enum {
  VEO_OUTCOME_REPLY,      /* an HTTP reply came whole */
  VEO_OUTCOME_NETWORK,    /* it did not */
  VEO_OUTCOME_UNREADABLE, /* bytes came that are no HTTP reply */
  VEO_OUTCOME_TOO_LARGE,  /* the body passed its cap */
  VEO_OUTCOME_REFUSED,    /* a download met another status than 200 and 206, or another range */
  VEO_OUTCOME_REDIRECT,   /* a download was sent to where it must not go */
  VEO_OUTCOME_PROTOCOL,   /* an order's server agreed on no HTTP/1.1: nothing was sent */
  VEO_OUTCOME_IO,         /* the file could not be written */
  VEO_OUTCOME_CANCELLED,
  VEO_OUTCOME_CLOSED
} veo_outcome;

typedef enum { VEO_SENT_NO, VEO_SENT_MAYBE, VEO_SENT_YES } veo_sent;

/* What a download learns from its headers. */
typedef struct {
  char etag[256];
  char last_modified[64];
  char encoding[64];
  char location[512];     /* where the last redirect pointed */
  curl_off_t range_start; /* from Content-Range; -1 without one */
  curl_off_t range_total; /* likewise; -1 when unknown */
} veo_file_headers;

/* A download that a script reads piece by piece. When the buffer is full the transfer is paused: the
 * script that reads slowly slows the server down, and memory stays bounded. */
typedef struct {
  int paused;
  size_t cap; /* bytes held at most, and at least one piece of libcurl's */
  veo_buffer bytes;
  curl_off_t skip; /* bytes the script has already, of a server that knows no ranges */
} veo_stream;

/* What a step without sleep gives to downloads: libcurl reads on and on while a server is fast, up to
 * 50 MiB in one go. One for all exchanges of an engine. */
typedef struct {
  double stop; /* from this time on nothing is taken; VEO_NEVER outside of such a step */
  int stalled; /* exchanges that were stopped, and go on in the next step */
} veo_pace;

/* See deadline.h. */
typedef struct {
  double began;
  double end;
  int extended;   /* the host was away when it came, and it was put off */
  long stall;     /* seconds of crawling that end a file; 0 for what is none */
  double look_at; /* when to see whether a file crawls, or a call is slow */
  double crawls_since;
  curl_off_t moved; /* bytes at the last look */
} veo_deadline;

/* A status or another call of the API. */
typedef struct {
  veo_buffer request;
  int look;         /* of a status: the usual record is read into one; see status_record.h */
  int billable;     /* an order */
  int without_alpn; /* billable: may go out though the server agreed on no protocol in its handshake */
  int no_alpn;      /* which it did not */
  int code;         /* the answer's, in its body; 0 while none was read */
  int tally;        /* where it is counted; see stats.h */
} veo_api_call;

/* A download; there is one only while it is needed. */
typedef struct {
  veo_sink *sink; /* NULL: a script reads it as a stream */
  veo_stream stream;
  veo_file_headers headers;
  struct curl_slist *extra; /* a header of this exchange alone */
  curl_off_t offset;        /* where the first byte goes */
  curl_off_t written;
  curl_off_t overlap; /* bytes that come and are in the sink already: to be compared */
  curl_off_t total;   /* of the whole file, -1 while unknown */
  curl_off_t max_bytes;
  int io_error;
  const char *io_stage;
  int tell_headers; /* its owner wants to be woken once the headers are there */
  int decodes;      /* libcurl decodes it, if it is encoded */
  int begun;        /* the first byte of a file's body was seen */
  int no_pages;     /* XML, HTML and JSON are no part of a file */
  int no_encoded;   /* nor is what comes encoded the rest of one */
  int encoded;      /* such came */
  int page;         /* and came with 200 */
  int discarded;    /* what still comes is thrown away */
  veo_pace *pace;
  int stalled; /* the step's time was used up: it goes on in the next one */
  int has_news;
  struct veo_exchange *news_next; /* in the engine's list of those that have news */
  struct veo_exchange **news;     /* the head of that list */
} veo_download;

typedef struct veo_exchange {
  veo_operation op; /* first: a pointer to either points at both */
  CURL *easy;       /* NULL: a new one is to be made; see veo_exchange_recycle */
  CURLU *url;
  veo_poller *poller;
  int host;     /* the engine's number for the host, -1 when it needs no resolver */
  int resolved; /* its host needs no resolver any more */
  int tls;
  long timeout_ms; /* 0: none */
  long connect_timeout_ms;
  veo_deadline deadline;
  int slow; /* under way for VEO_SLOW: its place is another's */
  long http_status;
  veo_buffer reply;
  size_t header_bytes;
  int in_headers; /* of a reply whose headers have not ended */
  int overflow;   /* the body passed its cap */
  veo_outcome outcome;
  veo_sent sent;
  CURLcode result;
  char error[CURL_ERROR_SIZE];
  veo_api_call call;
  veo_download *download; /* NULL for every other kind */
  curl_mime *form;        /* an upload's body, read from the file while it is sent */
} veo_exchange;

/* The exchange of an operation that is no work. */
static inline veo_exchange *veo_exchange_of(veo_operation *operation)
{
  return (veo_exchange *)operation;
}

/* Whether it stands still until its reader has made room. */
static inline int veo_is_paused(const veo_exchange *exchange)
{
  return exchange->download && exchange->download->stream.paused;
}

/* Whether it stands still until the next step. */
static inline int veo_is_stalled(const veo_exchange *exchange)
{
  return exchange->download && exchange->download->stalled;
}

/* A new exchange with its handles, or NULL. */
veo_exchange *veo_exchange_new(void);
void veo_exchange_free(veo_exchange *exchange);
/* Empties it for the pool. A handle goes from one exchange to the next only where both are a status and the
 * first ended well: such a call then sets nothing but the query. Any other handle is thrown away, for what
 * libcurl 7.88 leaves in it goes into the next exchange: its receive buffer, so that CURLOPT_BUFFERSIZE answers
 * 43; the bytes of a paused file, which were written into the next file; options that memory was short for. */
void veo_exchange_recycle(veo_exchange *exchange);

/* Whether the server says that a file is encoded, in whatever way. */
int veo_is_encoded(const veo_file_headers *headers);
/* What of a download is needed once; NULL when memory is short. */
veo_download *veo_download_new(void);
/* Puts a download into the engine's list of those whose owner has something to look at. */
void veo_exchange_tell(veo_exchange *exchange);
/* Whether bytes of the request may have left, as far as it can be proved. */
veo_sent veo_exchange_sent(const veo_exchange *exchange);
/* Reads off the handle how it ended. To be called once libcurl has returned. */
void veo_exchange_finish(veo_exchange *exchange, CURLcode result);
/* Ends it before libcurl has. */
void veo_exchange_abandon(veo_exchange *exchange, veo_outcome outcome);

#endif
