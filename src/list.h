/* A list of exchanges, which hold their neighbours themselves: joining and leaving cost nothing. */
#ifndef VEO_LIST_H
#define VEO_LIST_H

#include "exchange.h"

typedef struct {
  veo_exchange *first;
  veo_exchange *last;
  int count;
} veo_list;

static inline void veo_list_append(veo_list *list, veo_exchange *exchange)
{
  exchange->prev = list->last;
  exchange->next = NULL;
  if(list->last)
    list->last->next = exchange;
  else
    list->first = exchange;
  list->last = exchange;
  list->count++;
}

static inline void veo_list_remove(veo_list *list, veo_exchange *exchange)
{
  if(exchange->prev)
    exchange->prev->next = exchange->next;
  else
    list->first = exchange->next;
  if(exchange->next)
    exchange->next->prev = exchange->prev;
  else
    list->last = exchange->prev;
  exchange->prev = NULL;
  exchange->next = NULL;
  list->count--;
}

#endif
