#include "ecs/group_list.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "model/command.h"

#include <stdlib.h>
#include <string.h>

/* ReplicaGroups, a group, its Tags, a tag; the rest is room for what the API may add. */
#define DEPTH_MAX 16
#define BLANKS    " \t\r\n"

/* From here on a time is in milliseconds: as seconds it would be in the year 5138. */
#define FIRST_IN_MILLISECONDS INT64_C(100000000000)
#define NUMBER_MAX            INT64_C(253402300799999) /* the end of the year 9999 */
#define RPO_MAX_S             31536000

#define PAIR_MESSAGE_BYTES_MAX 256

static struct slice text_of(const struct json *group, const char *name)
{
    return slice_trim(json_text(json_member(group, name)), BLANKS);
}

/* A whole number up to NUMBER_MAX, also as text; 0 for anything else, and for what is below 0. */
static int64_t number_of(const struct json *group, const char *name)
{
    const struct json *member = json_member(group, name);
    struct slice text = text_of(group, name);
    int64_t number = 0;
    if (member != NULL && json_kind(member) == JSON_NUMBER) {
        double value = json_number(member);
        return value >= 1 && value <= (double)NUMBER_MAX ? (int64_t)value : 0;
    }
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || number > NUMBER_MAX / 10) {
            return 0;
        }
        number = number * 10 + (text.data[i] - '0');
    }
    return number <= NUMBER_MAX ? number : 0;
}

static bool is_id(struct slice text)
{
    return text.length > 0 && text.length <= COMMAND_GROUP_BYTES_MAX &&
           utf8_is_printable_ascii(text);
}

/* A list of ids, of which each text may be several that are joined by commas. */
static void read_pairs(const struct json *list, struct text_list *out)
{
    for (const struct json *item = list == NULL ? NULL : json_first(list); item != NULL;
         item = json_next(item)) {
        struct slice rest = json_text(item);
        while (rest.length > 0) {
            const char *comma = memchr(rest.data, ',', rest.length);
            size_t length = comma == NULL ? rest.length : (size_t)(comma - rest.data);
            struct slice id = slice_trim(slice_of(rest.data, length), BLANKS);
            if (is_id(id) && out->count < GROUP_PAIRS_MAX) {
                out->items = mem_realloc(out->items, (out->count + 1) * sizeof out->items[0]);
                out->items[out->count++] = mem_dup(id.data, id.length);
            }
            rest = slice_skip(rest, comma == NULL ? length : length + 1);
        }
    }
}

static void read_group(const struct json *item, struct group_list *list)
{
    struct slice id = text_of(item, "ReplicaGroupId");
    struct slice status = text_of(item, "Status");
    if (!is_id(id)) {
        return;
    }
    list->groups = mem_realloc(list->groups, (list->count + 1) * sizeof list->groups[0]);
    struct listed_group *group = &list->groups[list->count++];
    *group = (struct listed_group){.id = mem_dup(id.data, id.length)};
    group->view.progress_percent = -1;
    if (group_status_is_valid(status)) {
        memcpy(group->view.status, status.data, status.length);
    }
    int64_t point = number_of(item, "LastRecoverPoint");
    int64_t rpo_s = number_of(item, "RPO");
    group->view.recover_point_s = point >= FIRST_IN_MILLISECONDS ? point / 1000 : point;
    group->view.rpo_s = rpo_s <= RPO_MAX_S ? rpo_s : 0;
    read_pairs(json_member(item, "PairIds"), &group->pairs);
}

/* The token goes back unchanged: white space around it may be a part of it. */
static enum status read_next_token(const struct json *root, struct group_list *list)
{
    struct slice token = json_text(json_member(root, "NextToken"));
    free(list->next_token);
    list->next_token = NULL;
    if (token.length == 0) {
        return STATUS_OK;
    }
    if (token.length > PARAMETER_LONG_BYTES_MAX || !utf8_is_printable_ascii(token)) {
        return STATUS_LIMIT;
    }
    list->next_token = mem_dup(token.data, token.length);
    return STATUS_OK;
}

enum status group_list_read(struct group_list *list, struct slice body)
{
    struct json_fault fault;
    struct json *root = json_parse(body, DEPTH_MAX, &fault);
    const struct json *groups = root == NULL ? NULL : json_member(root, "ReplicaGroups");
    enum status status = STATUS_INVALID;
    if (groups != NULL && json_kind(groups) == JSON_ARRAY) {
        for (const struct json *item = json_first(groups); item != NULL; item = json_next(item)) {
            read_group(item, list);
        }
        status = read_next_token(root, list);
    }
    json_free(root);
    return status;
}

const struct listed_group *group_list_find(const struct group_list *list, const char *id)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->groups[i].id, id) == 0) {
            return &list->groups[i];
        }
    }
    return NULL;
}

void group_list_fini(struct group_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->groups[i].id);
        text_list_fini(&list->groups[i].pairs);
    }
    free(list->groups);
    free(list->next_token);
    *list = (struct group_list){0};
}

/* ---- pairs ---- */

/* Whether an item before this one has its id. */
static bool is_repeated(const struct json *pairs, const struct json *item)
{
    struct slice id = text_of(item, "ReplicaPairId");
    for (const struct json *other = json_first(pairs); other != item; other = json_next(other)) {
        if (slice_equals(text_of(other, "ReplicaPairId"), id)) {
            return true;
        }
    }
    return false;
}

static void put_pair(struct buf *out, const struct json *item)
{
    struct slice status = text_of(item, "Status");
    struct slice message = text_of(item, "StatusMessage");
    json_put_open(out, '{');
    json_put_text(out, "ReplicaPairId", text_of(item, "ReplicaPairId"));
    if (group_status_is_valid(status)) {
        json_put_text(out, "Status", status);
    }
    if (message.length > 0 && message.length <= PAIR_MESSAGE_BYTES_MAX &&
        utf8_is_printable_ascii(message)) {
        json_put_text(out, "StatusMessage", message);
    }
    json_put_close(out, '}');
}

enum status pair_states_read(struct slice body, const char *group, struct buf *out)
{
    struct json_fault fault;
    struct json *root = json_parse(body, DEPTH_MAX, &fault);
    const struct json *pairs = root == NULL ? NULL : json_member(root, "ReplicaPairs");
    enum status status = STATUS_INVALID;
    if (pairs != NULL && json_kind(pairs) == JSON_ARRAY) {
        struct buf list = {0}; /* of its own, since a comma is due in one that holds something */
        int count = 0;
        json_put_open(&list, '[');
        for (const struct json *item = json_first(pairs); item != NULL && count < GROUP_PAIRS_MAX;
             item = json_next(item)) {
            struct slice owner = text_of(item, "ReplicaGroupId");
            if (is_id(text_of(item, "ReplicaPairId")) && !is_repeated(pairs, item) &&
                (owner.length == 0 || slice_equals_text(owner, group))) {
                put_pair(&list, item);
                count++;
            }
        }
        json_put_close(&list, ']');
        buf_append(out, buf_slice(&list));
        buf_fini(&list);
        status = STATUS_OK;
    }
    json_free(root);
    return status;
}

enum status pair_progress_read(struct slice body, int *out_percent)
{
    struct json_fault fault;
    struct json *root = json_parse(body, DEPTH_MAX, &fault);
    const struct json *member = root == NULL ? NULL : json_member(root, "Progress");
    struct slice text = root == NULL ? (struct slice){0} : text_of(root, "Progress");
    double percent = member != NULL && json_kind(member) == JSON_NUMBER ? json_number(member) : -1;
    if (text.length > 0 && text.length <= 3) {
        percent = 0;
        for (size_t i = 0; i < text.length; i++) {
            bool is_digit = text.data[i] >= '0' && text.data[i] <= '9';
            percent = is_digit && percent >= 0 ? percent * 10 + (text.data[i] - '0') : -1;
        }
    }
    json_free(root);
    if (!(percent >= 0 && percent <= 100)) {
        return STATUS_INVALID;
    }
    *out_percent = (int)percent;
    return STATUS_OK;
}
