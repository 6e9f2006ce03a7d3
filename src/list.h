/* A list of operations, which hold their neighbours themselves: joining and leaving cost nothing. */
#ifndef VEO_LIST_H
#define VEO_LIST_H

#include <stddef.h>

#include "operation.h"

typedef struct {
  veo_operation *first;
  veo_operation *last;
  int count;
} veo_list;

static inline void veo_list_append(veo_list *list, veo_operation *operation)
{
  operation->prev = list->last;
  operation->next = NULL;
  if(list->last)
    list->last->next = operation;
  else
    list->first = operation;
  list->last = operation;
  list->count++;
}

static inline void veo_list_remove(veo_list *list, veo_operation *operation)
{
  if(operation->prev)
    operation->prev->next = operation->next;
  else
    list->first = operation->next;
  if(operation->next)
    operation->next->prev = operation->prev;
  else
    list->last = operation->prev;
  operation->prev = NULL;
  operation->next = NULL;
  list->count--;
}

#endif
