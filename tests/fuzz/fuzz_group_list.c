/* Any bytes are one or two pages of groups, separated by a NUL: what is read is within its limits,
 * and a page that cannot be read adds nothing. The first is also an answer about pairs. */
#include "base/json.h"
#include "base/utf8.h"
#include "ecs/group_list.h"
#include "model/action.h"

#include <assert.h>
#include <stdint.h>

static void check_text(const char *text, size_t most)
{
    assert(strlen(text) <= most && utf8_is_printable_ascii(slice_text(text)));
}

static void check_group(const struct listed_group *group)
{
    check_text(group->id, 128);
    assert(group->id[0] != '\0');
    check_text(group->view.status, GROUP_STATUS_BYTES - 1);
    assert(group->view.recover_point_s >= 0 && group->view.recover_point_s < 253402300800);
    assert(group->view.rpo_s >= 0 && group->view.rpo_s <= 31536000);
    assert(group->view.progress_percent == -1);
    assert(group->pairs.count <= GROUP_PAIRS_MAX);
    for (size_t i = 0; i < group->pairs.count; i++) {
        check_text(group->pairs.items[i], 128);
        assert(strchr(group->pairs.items[i], ',') == NULL);
    }
}

static void read_page(struct group_list *list, struct slice body)
{
    size_t count = list->count;
    enum status status = group_list_read(list, body);
    assert(status != STATUS_INVALID || list->count == count);
    assert(status == STATUS_OK || list->next_token == NULL || status == STATUS_INVALID);
    if (list->next_token != NULL) {
        check_text(list->next_token, PARAMETER_LONG_BYTES_MAX);
    }
}

/* What it makes of the pairs is JSON. */
static void check_pairs(struct slice body)
{
    struct buf out = {0};
    struct json_fault fault;
    int percent = -1;
    if (pair_states_read(body, "pg-a", &out) == STATUS_OK) {
        struct json *states = json_parse(buf_slice(&out), 4, &fault);
        assert(states != NULL && json_kind(states) == JSON_ARRAY);
        json_free(states);
    } else {
        assert(out.length == 0);
    }
    buf_fini(&out);
    enum status status = pair_progress_read(body, &percent);
    assert(status == STATUS_OK ? percent >= 0 && percent <= 100 : percent == -1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size == 0 ? NULL : memchr(data, 0, size);
    size_t first = end == NULL ? size : (size_t)(end - data);
    struct group_list list = {0};
    read_page(&list, slice_of(data, first));
    check_pairs(slice_of(data, first));
    if (end != NULL) {
        read_page(&list, slice_of(end + 1, size - first - 1));
    }
    for (size_t i = 0; i < list.count; i++) {
        check_group(&list.groups[i]);
        assert(group_list_find(&list, list.groups[i].id) != NULL);
    }
    group_list_fini(&list);
    return 0;
}
