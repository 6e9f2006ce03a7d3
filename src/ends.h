/* How exchanges leave libcurl: ended, cut, too late, or with a multi handle that is broken. */
#ifndef VEO_ENDS_H
#define VEO_ENDS_H

#include "engine_state.h"

static inline int veo_is_file(const veo_exchange *exchange)
{
  return exchange->op.kind == VEO_KIND_DOWNLOAD || exchange->op.kind == VEO_KIND_UPLOAD;
}

/* Takes it away from libcurl, in whatever state it is there. */
void veo_engine_take_off(veo_engine *engine, veo_exchange *exchange);
/* It is no longer under way: its places are free. */
void veo_engine_leave(veo_engine *engine, const veo_exchange *exchange);
/* It has ended, and libcurl has let go of its handle. */
void veo_engine_end(veo_engine *engine, veo_exchange *exchange, CURLcode result);
/* Takes those that libcurl has ended. */
void veo_engine_collect(veo_engine *engine);
/* Its deadline counts from now on. */
void veo_engine_judge_later(veo_engine *engine, const veo_exchange *exchange);
/* Ends those that have taken too long. */
void veo_engine_judge(veo_engine *engine);

#endif
