#include "model/group.h"

#include "base/utf8.h"

#include <string.h>

enum { NO, YES };

static const struct {
    const char *name;
    enum group_class class;
    bool allows[GROUP_CHANGE_COUNT];
} states[] = {
#define GROUP_STATE(name, class, start, one_shot, stop) \
    {#name,                                             \
     GROUP_##class,                                     \
     {[CHANGE_START] = (start), [CHANGE_ONE_SHOT] = (one_shot), [CHANGE_STOP] = (stop)}},
#include "tables/group_states.def"
};

#define STATE_COUNT (sizeof states / sizeof states[0])

enum group_class group_class(const char *status)
{
    for (size_t i = 0; i < STATE_COUNT; i++) {
        if (strcmp(states[i].name, status) == 0) {
            return states[i].class;
        }
    }
    return GROUP_MOVING;
}

void group_put_states(enum group_change change, struct buf *out)
{
    size_t rest = 0;
    for (size_t i = 0; i < STATE_COUNT; i++) {
        rest += states[i].allows[change];
    }
    size_t count = rest;
    for (size_t i = 0; i < STATE_COUNT; i++) {
        if (states[i].allows[change]) {
            const char *before = rest == count ? "" : rest == 1 ? " and " : ", ";
            buf_printf(out, "%s%s", before, states[i].name);
            rest--;
        }
    }
}

bool group_status_is_valid(struct slice text)
{
    return text.length > 0 && text.length < GROUP_STATUS_BYTES && utf8_is_printable_ascii(text);
}

bool group_is_replicating(const struct group_view *view)
{
    return strcmp(view->status, "normal") == 0 || strcmp(view->status, "syncing") == 0;
}

bool group_is_copying(const struct group_view *view)
{
    return strcmp(view->status, "initial_syncing") == 0 ||
           strcmp(view->status, "manual_syncing") == 0 ||
           (strcmp(view->status, "syncing") == 0 && view->recover_point_s == 0);
}

bool group_is_behind(const struct group_view *view, int64_t at_ms, int64_t rpo_s, double factor)
{
    int64_t age_s = at_ms / 1000 - view->recover_point_s;
    return view->recover_point_s > 0 && (double)age_s > (double)rpo_s * factor;
}
