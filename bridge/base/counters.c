#include "base/counters.h"

#include "base/log.h"

#include <assert.h>

static const struct counter_info INFOS[COUNTER_COUNT] = {
#define METRIC(id, name, kind, count_name, log_name, help) \
    [COUNTER_##id] = {name, COUNTER_KIND_##kind, count_name, log_name, help},
#include "tables/metrics.def"
#undef METRIC
};

const struct counter_info *counter_info(enum counter counter)
{
    assert((unsigned)counter < COUNTER_COUNT);
    return &INFOS[counter];
}

void counters_log(struct counters *counters)
{
    struct log_field fields[COUNTER_COUNT];
    size_t count = 0;
    for (size_t i = 0; i < COUNTER_COUNT; i++) {
        if (INFOS[i].log_name != NULL) {
            fields[count++] = (struct log_field)LOG_INT(INFOS[i].log_name,
                                                        counter_get(counters, (enum counter)i));
        }
    }
    log_fields(LOG_LEVEL_INFO, "accounting", fields, count);
}
