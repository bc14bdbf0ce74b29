#include "model/watch.h"

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
