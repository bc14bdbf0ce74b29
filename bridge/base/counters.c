#include "base/counters.h"

#include <assert.h>

static const struct counter_info infos[COUNTER_COUNT] = {
#define METRIC(id, name, kind, help) [COUNTER_##id] = {name, COUNTER_KIND_##kind, help},
#include "tables/metrics.def"
#undef METRIC
};

const struct counter_info *counter_info(enum counter counter)
{
    assert((unsigned)counter < COUNTER_COUNT);
    return &infos[counter];
}
