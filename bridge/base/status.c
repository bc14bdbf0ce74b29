#include "base/status.h"

#include <stddef.h>

const char *status_text(enum status status)
{
    static const char *const texts[] = {
        [STATUS_OK] = "ok",
        [STATUS_INVALID] = "invalid",
        [STATUS_NOT_FOUND] = "not_found",
        [STATUS_LIMIT] = "limit",
        [STATUS_UNAVAILABLE] = "unavailable",
        [STATUS_STORE] = "store",
        [STATUS_BUSY] = "busy",
        [STATUS_CLOSED] = "closed",
    };
    return (size_t)status < sizeof texts / sizeof texts[0] ? texts[status] : "unknown";
}
