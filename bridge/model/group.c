#include "model/group.h"

#include "base/utf8.h"

#include <string.h>

static const struct {
    const char *name;
    enum group_class class;
} states[] = {
#define GROUP_STATE(name, class) {#name, GROUP_##class},
#include "tables/group_states.def"
};

enum group_class group_class(const char *status)
{
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        if (strcmp(states[i].name, status) == 0) {
            return states[i].class;
        }
    }
    return GROUP_MOVING;
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
