#include "model/watch.h"

#include "base/mem.h"

#include <stdlib.h>

static const struct {
    const char *name;
    const char *message;
} events[] = {
#define WATCH_EVENT(id, name, message) [WATCH_##id] = {name, message},
#include "tables/watch_events.def"
};

const char *watch_event_name(enum watch_event_kind kind)
{
    return events[kind].name;
}

const char *watch_event_message(enum watch_event_kind kind)
{
    return events[kind].message;
}

struct watch *watch_copy(const struct watch *watch)
{
    struct watch *copy = mem_zalloc(1, sizeof *copy);
    *copy = *watch;
    copy->route = mem_strdup(watch->route);
    copy->region = mem_strdup(watch->region);
    copy->object = mem_strdup(watch->object);
    copy->token = mem_strdup(watch->token);
    copy->traceparent = watch->traceparent == NULL ? NULL : mem_strdup(watch->traceparent);
    return copy;
}

void watch_free(struct watch *watch)
{
    if (watch != NULL) {
        free((char *)watch->route);
        free((char *)watch->region);
        free((char *)watch->object);
        free((char *)watch->token);
        free((char *)watch->traceparent);
        free(watch);
    }
}
