/* Any bytes as the parameters of each action: what is read is written back as the same bytes, and
 * can enter a fingerprint. */
#include "model/action.h"

#include <assert.h>

static void check(const struct action *action, struct slice params)
{
    struct json *document;
    struct action_values values;
    if (action_params_read(action, params, &document, &values) != STATUS_OK) {
        return;
    }
    struct buf again = {0};
    struct buf packed = {0};
    action_params_write(action, &values, &again);
    assert(slice_equals(buf_slice(&again), params));
    action_params_pack(action, &values, &packed);
    buf_fini(&packed);
    buf_fini(&again);
    json_free(document);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check(&action_rows[ACTION_StartDiskReplicaGroup], slice_of(data, size));
    check(&action_rows[ACTION_StopDiskReplicaGroup], slice_of(data, size));
    check(&action_rows[ACTION_DescribeDiskReplicaGroups], slice_of(data, size));
    return 0;
}
