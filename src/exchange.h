/* One exchange with a server (or one save), from preparation to outcome, over a pooled easy handle.
 * No Lua: what libcurl's callbacks need is C memory only, since a longjmp through libcurl kills it. */
#ifndef VEO_EXCHANGE_H
#define VEO_EXCHANGE_H

#include <curl/curl.h>

#include "poller.h"
#include "settings.h"
#include "sink.h"
#include "text.h"

typedef enum {
  VEO_KIND_NONE,
  VEO_KIND_STATUS,
  VEO_KIND_CALL, /* any other call of the API */
  VEO_KIND_DOWNLOAD,
  VEO_KIND_UPLOAD,
  VEO_KIND_SAVE,
  VEO_KIND_WARM
} veo_kind;

typedef enum {
  VEO_STATE_IDLE,
  VEO_STATE_PREPARED,
  VEO_STATE_QUEUED,
  VEO_STATE_ACTIVE,
  VEO_STATE_DONE, /* ended */
  VEO_STATE_TAKEN /* ended and handed out */
} veo_state;

typedef enum {
  VEO_OUTCOME_REPLY,      /* an HTTP reply came whole */
  VEO_OUTCOME_NETWORK,    /* it did not */
  VEO_OUTCOME_UNREADABLE, /* bytes came that are no HTTP reply */
  VEO_OUTCOME_TOO_LARGE,  /* the body passed its cap */
  VEO_OUTCOME_REFUSED,    /* a download met another status than 200 and 206, or another range */
  VEO_OUTCOME_IO,         /* the file could not be written */
  VEO_OUTCOME_CANCELLED,
  VEO_OUTCOME_CLOSED
} veo_outcome;

typedef enum { VEO_SENT_NO, VEO_SENT_MAYBE, VEO_SENT_YES } veo_sent;

/* What a download learns from its headers; kept apart, for only downloads need it. */
typedef struct {
  char etag[256];
  char last_modified[64];
  curl_off_t range_start; /* from Content-Range; -1 without one */
  curl_off_t range_total; /* likewise; -1 when unknown */
} veo_file_headers;

/* A download that a script reads piece by piece. When the buffer is full the transfer is paused: the
 * script that reads slowly slows the server down, and memory stays bounded. */
typedef struct {
  int on;
  int paused;
  size_t cap; /* bytes held at most, and at least one piece of libcurl's */
  veo_buffer bytes;
  curl_off_t skip; /* bytes the script has already, of a server that knows no ranges */
} veo_stream;

/* What a step without sleep gives to downloads: libcurl reads on and on while a server is fast, up to
 * 50 MiB in one go. One for all exchanges of an engine. */
typedef struct {
  double stop; /* no more is taken at this time; VEO_NEVER outside of such a step */
  int stalled; /* exchanges that were stopped, and go on in the next step */
} veo_pace;

typedef struct veo_exchange {
  struct veo_exchange *prev; /* neighbours in the engine's list of its state */
  struct veo_exchange *next;
  int slot;    /* its number in the engine, from 1, for life */
  void *owner; /* the transfer that script holds, or NULL: a blocking call's, or nobody's */

  CURL *easy;
  int multi; /* the number of the multi handle it is under way in */
  veo_poller *poller;
  CURLU *url;
  struct curl_slist *extra; /* a header of this exchange alone */
  curl_mime *form;          /* an upload's body, read from the file while it is sent */
  veo_kind kind;            /* what the easy handle is set up for */
  veo_state state;
  veo_outcome outcome;
  veo_sent sent;
  CURLcode result;
  long http_status;
  int billable;
  int look; /* of a status: the usual record is read into one; see record.h */
  int tls;
  int resolved; /* its host needs no resolver any more */
  int host;     /* the engine's number for the host, -1 when it needs no resolver */
  long timeout_ms;
  long connect_timeout_ms;

  veo_buffer request;
  veo_buffer reply;
  int overflow; /* the body passed its cap */

  veo_sink *sink;
  curl_off_t offset; /* where the first byte goes */
  curl_off_t written;
  curl_off_t total; /* of the whole file, -1 while unknown */
  curl_off_t max_bytes;
  int begun; /* the first byte of a file's body was seen */
  int io_error;
  const char *io_stage;
  veo_file_headers *headers;
  veo_stream stream;
  veo_pace *pace;
  int stalled;
  int tell_headers;               /* its owner wants to be woken once the headers are there */
  struct veo_exchange *news_next; /* in the engine's list of those that have news */
  struct veo_exchange **news;     /* the head of that list */
  int has_news;
  int program; /* a save that is none: `request` holds a program's arguments */
  int status;  /* its exit status */
  char *save_to;
  int overwrite;

  char error[CURL_ERROR_SIZE];
} veo_exchange;

typedef struct {
  const char *method; /* "GET" or "POST" */
  const char *url;    /* whole, without the query */
  const char *query;  /* already escaped, or NULL */
  const char *body;   /* JSON, or NULL */
  size_t body_length;
  int billable;
} veo_call;

typedef struct {
  const char *url;
  const char *if_range; /* an ETag or date, or NULL */
  curl_off_t offset;
  curl_off_t max_bytes; /* 0: no cap */
  size_t buffer;        /* bytes a stream holds; 0: it goes to a sink */
  long read_size;       /* bytes read of the connection at a time */
  long stall;           /* seconds of crawling that end it */
  int tell_headers;
} veo_fetch;

enum { VEO_FORM_FIELDS = 8 };

typedef struct {
  const char *url;
  const char *path;      /* the file */
  const char *part;      /* the name of its part */
  const char *file_name; /* NULL: the path's last */
  int count;
  const char *names[VEO_FORM_FIELDS];
  const char *values[VEO_FORM_FIELDS];
} veo_form;

/* A new exchange with its handles, or NULL. */
veo_exchange *veo_exchange_new(void);
void veo_exchange_free(veo_exchange *exchange);
/* Empties it for the pool; the easy handle keeps its options so that a status call after a status
 * call sets nothing but the query. */
void veo_exchange_recycle(veo_exchange *exchange);

/* Each prepares a recycled exchange. NULL, or a constant text of what failed. */
const char *veo_prepare_status(veo_exchange *exchange, const veo_settings *settings,
                               const char *task_id, size_t length, long timeout_ms,
                               long connect_timeout_ms);
const char *veo_prepare_call(veo_exchange *exchange, const veo_settings *settings,
                             const veo_call *call, long timeout_ms, long connect_timeout_ms);
const char *veo_prepare_download(veo_exchange *exchange, const veo_settings *settings,
                                 const veo_fetch *fetch, veo_sink *sink, long timeout_ms,
                                 long connect_timeout_ms);
const char *veo_prepare_upload(veo_exchange *exchange, const veo_settings *settings,
                               const veo_form *form, long timeout_ms, long connect_timeout_ms);
const char *veo_prepare_warm(veo_exchange *exchange, const veo_settings *settings, long timeout_ms,
                             long connect_timeout_ms);
const char *veo_prepare_save(veo_exchange *exchange, veo_sink *sink, const char *to, int overwrite);
/* `arguments` are strings, each with its NUL. */
const char *veo_prepare_program(veo_exchange *exchange, const char *arguments, size_t length,
                                long timeout_ms);

/* Puts it into the engine's list of those whose owner has something to look at. */
void veo_exchange_tell(veo_exchange *exchange);
/* Whether bytes of the request may have left, as far as it can be proved. */
veo_sent veo_exchange_sent(const veo_exchange *exchange);
/* Reads off the handle how it ended. To be called once libcurl has returned. */
void veo_exchange_finish(veo_exchange *exchange, CURLcode result);
/* Ends it without libcurl's word. */
void veo_exchange_abandon(veo_exchange *exchange, veo_outcome outcome);

#endif
