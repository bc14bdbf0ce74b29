#include "model/region.h"

bool region_is_valid(struct slice region)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
    for (size_t i = 0; i < region.length; i++) {
        if (region.data[i] == '\0' || strchr(allowed, region.data[i]) == NULL) {
            return false;
        }
    }
    return region.length > 0 && region.length <= REGION_BYTES_MAX;
}
