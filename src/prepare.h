/* Sets a recycled exchange up for what is asked: one function a kind. No Lua. */
#ifndef VEO_PREPARE_H
#define VEO_PREPARE_H

#include "exchange.h"

typedef struct {
  const char *method; /* "GET" or "POST" */
  const char *url;    /* whole, without the query */
  const char *query;  /* already escaped, or NULL */
  const char *body;   /* JSON, or NULL */
  size_t body_length;
  int billable;
  int without_alpn; /* billable: send it though the server agreed on no protocol in its handshake */
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
  int no_pages;
  int decode; /* an encoded file, from its start; as the rest of one nothing encoded is taken */
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

typedef enum {
  VEO_PREPARED,
  VEO_PREPARE_INVALID, /* by the caller's fault */
  VEO_PREPARE_FAILED   /* by ours or libcurl's: memory is short, or an option was refused */
} veo_prepared;

/* Each prepares a recycled exchange. `error` of one that cannot be prepared says why. */
veo_prepared veo_prepare_status(veo_exchange *exchange, const veo_settings *settings,
                                const char *task_id, size_t length, long timeout_ms,
                                long connect_timeout_ms);
veo_prepared veo_prepare_call(veo_exchange *exchange, const veo_settings *settings,
                              const veo_call *call, long timeout_ms, long connect_timeout_ms);
veo_prepared veo_prepare_download(veo_exchange *exchange, const veo_settings *settings,
                                  const veo_fetch *fetch, veo_sink *sink, long timeout_ms,
                                  long connect_timeout_ms);
veo_prepared veo_prepare_upload(veo_exchange *exchange, const veo_settings *settings,
                                const veo_form *form, long timeout_ms, long connect_timeout_ms);
veo_prepared veo_prepare_warm(veo_exchange *exchange, const veo_settings *settings, long timeout_ms,
                              long connect_timeout_ms);

#endif
