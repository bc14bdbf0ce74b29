#include "base/status.h"

const char *status_text(enum status status)
{
    switch (status) {
    case STATUS_OK:
        return "ok";
    case STATUS_INVALID:
        return "invalid";
    case STATUS_NOT_FOUND:
        return "not_found";
    case STATUS_LIMIT:
        return "limit";
    case STATUS_UNAVAILABLE:
        return "unavailable";
    case STATUS_STORE:
        return "store";
    case STATUS_BUSY:
        return "busy";
    case STATUS_CLOSED:
        return "closed";
    }
    return "unknown";
}
