#include "model/ram.h"

#include <string.h>

static bool is_within(struct slice name, size_t min_bytes, const char *bytes)
{
    for (size_t i = 0; i < name.length; i++) {
        if (name.data[i] == '\0' || strchr(bytes, name.data[i]) == NULL) {
            return false;
        }
    }
    return name.length >= min_bytes && name.length <= RAM_NAME_BYTES_MAX;
}

bool ram_role_name_is_valid(struct slice name)
{
    return is_within(name, 1, RAM_ROLE_BYTES);
}

bool ram_session_name_is_valid(struct slice name)
{
    return is_within(name, RAM_SESSION_BYTES_MIN, RAM_SESSION_BYTES);
}
