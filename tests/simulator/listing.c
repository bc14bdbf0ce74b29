/* Items of lists. */
#include "listing.h"

#include "base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TAG_KEY_BYTES = 128, TAG_VALUE_BYTES = 256 };

static const char *const quirk_names[QUIRK_COUNT] = {
    [QUIRK_ABSENT_ERROR] = "absent_error",
    [QUIRK_PAIRS_APART] = "pairs_apart",
    [QUIRK_TEXT_NUMBERS] = "text_numbers",
    [QUIRK_PADDED_TEXT] = "padded_text",
    [QUIRK_POINT_MS] = "point_ms",
    [QUIRK_POINT_ZERO] = "point_zero",
    [QUIRK_POINT_NEGATIVE] = "point_negative",
    [QUIRK_POINT_NULL] = "point_null",
    [QUIRK_NO_POINT] = "no_point",
    [QUIRK_INITIAL_AS_SYNCING] = "initial_as_syncing",
    [QUIRK_EXTRA_ITEM] = "extra_item",
    [QUIRK_REPEATED] = "repeated",
    [QUIRK_ENDLESS_PAGES] = "endless_pages",
};

bool listing_add_quirk(struct listing *listing, const char *name)
{
    for (int i = 0; i < QUIRK_COUNT; i++) {
        if (strcmp(quirk_names[i], name) == 0) {
            listing->quirks[i] = true;
            return true;
        }
    }
    return false;
}

static bool has(const struct view *view, enum quirk quirk)
{
    return view->listing->quirks[quirk];
}

void listing_add_number(const struct view *view, cJSON *item, const char *name, int64_t number)
{
    if (has(view, QUIRK_TEXT_NUMBERS)) {
        char text[24];
        snprintf(text, sizeof text, "%lld", (long long)number);
        cJSON_AddStringToObject(item, name, text);
    } else {
        cJSON_AddNumberToObject(item, name, (double)number);
    }
}

static void add_text(const struct view *view, cJSON *item, const char *name, const char *value)
{
    struct text text = {0};
    bool is_padded = has(view, QUIRK_PADDED_TEXT);
    text_printf(&text, "%s%s%s", is_padded ? " " : "", value, is_padded ? "\n" : "");
    cJSON_AddStringToObject(item, name, text_string(&text));
    text_fini(&text);
}

static void add_filled(cJSON *item, const char *name, const char *begin, size_t length)
{
    char *value = base_alloc(length + 1);
    memset(value, 'x', length);
    memcpy(value, begin, strlen(begin) < length ? strlen(begin) : length);
    cJSON_AddStringToObject(item, name, value);
    free(value);
}

static void add_tags(const struct view *view, cJSON *item)
{
    cJSON *tags = cJSON_AddArrayToObject(item, "Tags");
    for (int64_t i = 0; i < view->listing->tag_count; i++) {
        char begin[32];
        snprintf(begin, sizeof begin, "tag-%lld-", (long long)i + 1);
        cJSON *tag = cJSON_CreateObject();
        add_filled(tag, "TagKey", begin, TAG_KEY_BYTES);
        add_filled(tag, "TagValue", begin, TAG_VALUE_BYTES);
        cJSON_AddItemToArray(tags, tag);
    }
}

static void add_recover_point(const struct view *view, cJSON *item, const struct group *group)
{
    int64_t at_ms = 0;
    if (has(view, QUIRK_NO_POINT)) {
        return;
    }
    if (group_recover_point(view->groups, group, view->now_ms, &at_ms)) {
        int64_t since_1970_ms = at_ms + view->wall_offset_ms;
        listing_add_number(view, item, "LastRecoverPoint",
                           has(view, QUIRK_POINT_MS) ? since_1970_ms : since_1970_ms / 1000);
    } else if (has(view, QUIRK_POINT_NULL)) {
        cJSON_AddNullToObject(item, "LastRecoverPoint");
    } else if (has(view, QUIRK_POINT_ZERO) || has(view, QUIRK_POINT_NEGATIVE)) {
        listing_add_number(view, item, "LastRecoverPoint", has(view, QUIRK_POINT_ZERO) ? 0 : -1);
    }
}

/* Names of the fields that tell where the sites are: groups and pairs differ. */
struct site_names {
    const char *source;
    const char *destination;
};

static void add_sites(const struct view *view, cJSON *item, const struct group *group,
                      const struct site_names *names)
{
    const char *first = group->region;
    const char *second = view->groups->secondary_region;
    char zones[2][REGION_BYTES + 8];
    snprintf(zones[0], sizeof zones[0], "%s-b", first);
    snprintf(zones[1], sizeof zones[1], "%s-e", second);
    char standby[REGION_BYTES + 8];
    snprintf(standby, sizeof standby, "%s\n", second);
    bool is_swapped = group->is_swapped;
    cJSON_AddStringToObject(item, "Site", view->is_backup ? "backup" : "production");
    cJSON_AddStringToObject(item, names->source, is_swapped ? second : first);
    cJSON_AddStringToObject(item, "SourceZoneId", zones[is_swapped]);
    cJSON_AddStringToObject(item, names->destination, is_swapped ? first : second);
    cJSON_AddStringToObject(item, "DestinationZoneId", zones[!is_swapped]);
    cJSON_AddStringToObject(item, "PrimaryRegion", first);
    cJSON_AddStringToObject(item, "PrimaryZone", zones[0]);
    cJSON_AddStringToObject(item, "StandbyRegion", standby);
    cJSON_AddStringToObject(item, "StandbyZone", zones[1]);
}

/* What groups and pairs have in common. */
static void add_common(const struct view *view, cJSON *item, const struct group *group)
{
    add_filled(item, "Description", "", (size_t)view->listing->description_bytes);
    listing_add_number(view, item, "RPO", view->groups->rpo_ms / 1000);
    add_recover_point(view, item, group);
    listing_add_number(view, item, "Bandwidth", 0);
    cJSON_AddBoolToObject(item, "EnableRtc", false);
    cJSON_AddStringToObject(item, "ResourceGroupId", LISTING_RESOURCE_GROUP);
    add_tags(view, item);
}

static void add_pair_ids(const struct view *view, cJSON *item, const struct group *group)
{
    cJSON *list = cJSON_AddArrayToObject(item, "PairIds");
    struct text joined = {0};
    for (int i = 0; i < view->groups->pair_count; i++) {
        char id[PAIR_ID_BYTES];
        pair_id(group, i, id);
        if (has(view, QUIRK_PAIRS_APART)) {
            cJSON_AddItemToArray(list, cJSON_CreateString(id));
        } else {
            text_printf(&joined, "%s%s", i > 0 ? "," : "", id);
        }
    }
    if (joined.length > 0) {
        cJSON_AddItemToArray(list, cJSON_CreateString(joined.data));
    }
    text_fini(&joined);
    listing_add_number(view, item, "PairNumber", view->groups->pair_count);
}

cJSON *listing_group(const struct view *view, const struct group *group)
{
    static const struct site_names names = {"SourceRegionId", "DestinationRegionId"};
    const char *status = group->shown_status[0] ? group->shown_status : group->state->name;
    if (has(view, QUIRK_INITIAL_AS_SYNCING) && strcmp(status, "initial_syncing") == 0) {
        status = "syncing";
    }
    cJSON *item = cJSON_CreateObject();
    add_text(view, item, "ReplicaGroupId", group->id);
    cJSON_AddStringToObject(item, "GroupName", group->id);
    add_text(view, item, "Status", status);
    add_common(view, item, group);
    add_sites(view, item, group, &names);
    add_pair_ids(view, item, group);
    return item;
}

static void add_disk(cJSON *item, const char *name, const char *site, const char *pair)
{
    char disk[PAIR_ID_BYTES + 16];
    snprintf(disk, sizeof disk, "d-%s-%s", site, pair);
    cJSON_AddStringToObject(item, name, disk);
}

cJSON *listing_pair(const struct view *view, const struct group *group, int pair)
{
    static const struct site_names names = {"SourceRegion", "DestinationRegion"};
    char id[PAIR_ID_BYTES];
    const char *message = pair_message(group, pair);
    pair_id(group, pair, id);
    cJSON *item = cJSON_CreateObject();
    add_text(view, item, "ReplicaPairId", id);
    cJSON_AddStringToObject(item, "PairName", id);
    add_text(view, item, "ReplicaGroupId", group->id);
    cJSON_AddStringToObject(item, "ReplicaGroupName", group->id);
    add_text(view, item, "Status", pair_state(group, pair)->name);
    if (message[0]) {
        cJSON_AddStringToObject(item, "StatusMessage", message);
    }
    add_common(view, item, group);
    add_sites(view, item, group, &names);
    add_disk(item, "SourceDiskId", "source", id);
    add_disk(item, "DestinationDiskId", "destination", id);
    cJSON_AddStringToObject(item, "ChargeType", "POSTPAY");
    listing_add_number(view, item, "CreateTime", 1637835114);
    return item;
}
