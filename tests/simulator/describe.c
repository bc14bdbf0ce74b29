/* Which items an answer holds: filters, then a page of what is left. */
#include "describe.h"

#include "listing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_RESULTS = 10, GROUP_ITSELF = -1 };

/* A group, or one of its pairs. */
struct record {
    struct group *group;
    int pair; /* GROUP_ITSELF, or a pair */
};

struct records {
    struct record *items;
    size_t count;
    size_t capacity;
};

/* What a call asks for. */
struct lookup {
    struct call *call;
    const char *region;
    bool is_backup;
    bool is_absent; /* an id was named that does not exist */
    struct records found;
};

static const char *param(const struct call *call, const char *name)
{
    return params_get(&call->params, name);
}

static bool is_omitted(const struct call *call, const struct group *group, int pair)
{
    const struct fault *fault = &call->fault;
    if (!call->has_fault || !fault->kind->is_omitting) {
        return false;
    }
    char id[PAIR_ID_BYTES] = "";
    if (pair != GROUP_ITSELF) {
        pair_id(group, pair, id);
    }
    return (!fault->group[0] || strcmp(fault->group, group->id) == 0) &&
           (!fault->pair[0] || pair == GROUP_ITSELF || strcmp(fault->pair, id) == 0);
}

static bool passes_filters(const struct lookup *lookup, const struct group *group, int pair)
{
    const struct call *call = lookup->call;
    const char *name = param(call, "Name");
    const char *resource_group = param(call, "ResourceGroupId");
    char own_name[PAIR_ID_BYTES];
    if (pair == GROUP_ITSELF) {
        base_fill(own_name, sizeof own_name, group->id);
    } else {
        pair_id(group, pair, own_name);
    }
    return (!name || strstr(own_name, name)) &&
           (!resource_group || strcmp(resource_group, LISTING_RESOURCE_GROUP) == 0) &&
           !is_omitted(call, group, pair);
}

static void add_record(struct lookup *lookup, struct group *group, int pair)
{
    struct records *found = &lookup->found;
    if (!passes_filters(lookup, group, pair)) {
        return;
    }
    if (found->count == found->capacity) {
        found->capacity = found->capacity ? 2 * found->capacity : 64;
        found->items = base_resize(found->items, found->capacity * sizeof *found->items);
    }
    found->items[found->count++] = (struct record){group, pair};
}

/* An id that a list repeats is answered once. */
static void add_once(struct lookup *lookup, struct group *group, int pair)
{
    const struct records *found = &lookup->found;
    for (size_t i = 0; i < found->count; i++) {
        if (found->items[i].group == group && found->items[i].pair == pair) {
            return;
        }
    }
    add_record(lookup, group, pair);
}

static bool is_here(const struct lookup *lookup, const struct group *group)
{
    const struct groups *groups = &lookup->call->sim->groups;
    return group->exists &&
           strcmp(group_site_region(groups, group, lookup->is_backup), lookup->region) == 0;
}

/* The group of an id whose record is in the lookup's region, or NULL. */
static struct group *find_here(struct lookup *lookup, const char *id)
{
    struct sim *sim = lookup->call->sim;
    struct group *group = groups_find(&sim->groups, lookup->region, id);
    if (group && is_here(lookup, group)) {
        return group;
    }
    struct group *next = NULL;
    HASH_ITER (hh, sim->groups.table, group, next) {
        if (strcmp(group->id, id) == 0 && is_here(lookup, group)) {
            return group;
        }
    }
    if (lookup->is_backup || !sim->groups.is_auto_create) {
        return NULL;
    }
    group = groups_get(&sim->groups, lookup->region, id, sim_now_ms(sim));
    return group && is_here(lookup, group) ? group : NULL;
}

static void add_pairs(struct lookup *lookup, struct group *group)
{
    for (int i = 0; i < lookup->call->sim->groups.pair_count; i++) {
        add_record(lookup, group, i);
    }
}

typedef void add_fn(struct lookup *lookup, const char *id);

static void add_group_id(struct lookup *lookup, const char *id)
{
    struct group *group = find_here(lookup, id);
    lookup->is_absent = lookup->is_absent || !group;
    if (group) {
        add_once(lookup, group, GROUP_ITSELF);
    }
}

static struct group *find_pair(struct lookup *lookup, const char *id, int *out_pair)
{
    char group_id[GROUP_ID_BYTES];
    bool is_possible =
        pair_id_split(id, group_id, out_pair) && *out_pair < lookup->call->sim->groups.pair_count;
    return is_possible ? find_here(lookup, group_id) : NULL;
}

static void add_pair_id(struct lookup *lookup, const char *id)
{
    int pair = 0;
    struct group *group = find_pair(lookup, id, &pair);
    const char *wanted = param(lookup->call, "ReplicaGroupId");
    lookup->is_absent = lookup->is_absent || !group;
    if (group && (!wanted || strcmp(wanted, group->id) == 0)) {
        add_once(lookup, group, pair);
    }
}

static void add_listed(struct lookup *lookup, const char *list, add_fn *add)
{
    char *copy = base_copy(list, strlen(list));
    char *rest = copy;
    while (rest) {
        add(lookup, strsep(&rest, ","));
    }
    free(copy);
}

static void add_all(struct lookup *lookup, bool is_of_pairs)
{
    struct group *group = NULL;
    struct group *next = NULL;
    HASH_ITER (hh, lookup->call->sim->groups.table, group, next) {
        if (!is_here(lookup, group)) {
            continue;
        }
        if (is_of_pairs) {
            add_pairs(lookup, group);
        } else {
            add_record(lookup, group, GROUP_ITSELF);
        }
    }
}

/* A window of the records: by NextToken or by page. */
struct page {
    int64_t number;
    int64_t size;
    int64_t first;
    bool is_continued; /* the request had a NextToken */
};

static int64_t number_param(const struct call *call, const char *name, int64_t otherwise)
{
    const char *value = param(call, name);
    int64_t number = otherwise;
    return value && base_parse_integer(value, 0, INT32_MAX, &number) ? number : otherwise;
}

/* A NextToken is an offset in a form that a client must treat as opaque and has to encode. */
static bool parse_next_token(const char *value, int64_t *out_first)
{
    static const char begin[] = "AAAA+";
    char number[24];
    size_t length = strlen(value);
    if (strncmp(value, begin, sizeof begin - 1) != 0 || length < sizeof begin + 2 ||
        length >= sizeof begin + 2 + sizeof number || strcmp(value + length - 2, "/=") != 0) {
        return false;
    }
    base_fill(number, length - 2 - (sizeof begin - 1) + 1, value + sizeof begin - 1);
    return base_parse_integer(number, 0, INT64_MAX / 2, out_first);
}

bool describe_is_next_token(const char *value)
{
    int64_t first = 0;
    return parse_next_token(value, &first);
}

static struct page read_page(const struct call *call)
{
    struct page page = {.number = number_param(call, "PageNumber", 1)};
    const char *token = param(call, "NextToken");
    bool is_paged = !token && (param(call, "PageNumber") || param(call, "PageSize"));
    int64_t limit = call->sim->listing.page_limit;
    page.is_continued = token && parse_next_token(token, &page.first);
    page.number = token ? 1 : page.number;
    page.size = number_param(call, is_paged ? "PageSize" : "MaxResults", DEFAULT_RESULTS);
    page.size = limit > 0 && limit < page.size ? limit : page.size;
    if (is_paged) {
        page.first = (page.number - 1) * page.size;
    }
    return page;
}

static cJSON *make_extra_item(const struct view *view, bool is_pair)
{
    struct group extra = {.id = "pg-extra", .state = group_state_find("normal")};
    base_fill(extra.region, sizeof extra.region, "cn-nowhere");
    return is_pair ? listing_pair(view, &extra, 0) : listing_group(view, &extra);
}

static struct view make_view(const struct lookup *lookup)
{
    const struct sim *sim = lookup->call->sim;
    int64_t now_ms = sim_now_ms(sim);
    return (struct view){.groups = &sim->groups,
                         .listing = &sim->listing,
                         .now_ms = now_ms,
                         .wall_offset_ms = sim_wall_ms(sim) - now_ms,
                         .is_backup = lookup->is_backup};
}

static cJSON *make_items(const struct lookup *lookup, const struct page *page, bool is_of_pairs)
{
    const struct records *found = &lookup->found;
    struct view view = make_view(lookup);
    cJSON *items = cJSON_CreateArray();
    int64_t end = page->first + page->size;
    end = end < (int64_t)found->count ? end : (int64_t)found->count;
    for (int64_t i = page->first; i < end; i++) {
        const struct record *record = &found->items[i];
        group_refresh(view.groups, record->group, view.now_ms);
        cJSON *item = is_of_pairs ? listing_pair(&view, record->group, record->pair)
                                  : listing_group(&view, record->group);
        if (view.listing->quirks[QUIRK_REPEATED]) {
            cJSON_AddItemToArray(items, cJSON_Duplicate(item, true));
        }
        cJSON_AddItemToArray(items, item);
    }
    if (view.listing->quirks[QUIRK_EXTRA_ITEM]) {
        cJSON_AddItemToArray(items, make_extra_item(&view, is_of_pairs));
    }
    return items;
}

static void answer_list(struct lookup *lookup, const char *name, bool is_of_pairs)
{
    struct call *call = lookup->call;
    const struct listing *listing = &call->sim->listing;
    if (lookup->is_absent && listing->quirks[QUIRK_ABSENT_ERROR]) {
        problem_set(&call->problem, "NoSuchResource", NULL);
        return;
    }
    struct page page = read_page(call);
    struct view view = make_view(lookup);
    int64_t count = (int64_t)lookup->found.count;
    int64_t end = page.first + page.size;
    char next[40] = "";
    if (end < count || listing->quirks[QUIRK_ENDLESS_PAGES]) {
        snprintf(next, sizeof next, "AAAA+%lld/=", (long long)end);
    }
    call->fields = cJSON_CreateObject();
    cJSON_AddItemToObject(call->fields, name, make_items(lookup, &page, is_of_pairs));
    cJSON_AddStringToObject(call->fields, "NextToken", next);
    listing_add_number(&view, call->fields, "PageNumber", page.number);
    listing_add_number(&view, call->fields, "PageSize", page.size);
    listing_add_number(&view, call->fields, "TotalCount", page.is_continued ? 0 : count);
}

static struct lookup make_lookup(struct call *call)
{
    const char *site = param(call, "Site");
    return (struct lookup){.call = call,
                           .region = param(call, "RegionId"),
                           .is_backup = site && strcmp(site, "backup") == 0};
}

void describe_groups(struct call *call)
{
    struct lookup lookup = make_lookup(call);
    const char *list = param(call, "GroupIds");
    if (list) {
        add_listed(&lookup, list, add_group_id);
    } else {
        add_all(&lookup, false);
    }
    answer_list(&lookup, "ReplicaGroups", false);
    free(lookup.found.items);
}

void describe_pairs(struct call *call)
{
    struct lookup lookup = make_lookup(call);
    const char *list = param(call, "PairIds");
    const char *group_id = param(call, "ReplicaGroupId");
    if (list) {
        add_listed(&lookup, list, add_pair_id);
    } else if (group_id) {
        struct group *group = find_here(&lookup, group_id);
        lookup.is_absent = !group;
        if (group) {
            add_pairs(&lookup, group);
        }
    } else {
        add_all(&lookup, true);
    }
    answer_list(&lookup, "ReplicaPairs", true);
    free(lookup.found.items);
}

void describe_progress(struct call *call)
{
    struct lookup lookup = make_lookup(call);
    struct view view = make_view(&lookup);
    int pair = 0;
    int64_t at_ms = 0;
    struct group *group = find_pair(&lookup, param(call, "ReplicaPairId"), &pair);
    if (!group) {
        problem_set(&call->problem, "NoSuchResource", NULL);
        return;
    }
    group_refresh(view.groups, group, view.now_ms);
    call->fields = cJSON_CreateObject();
    listing_add_number(&view, call->fields, "Progress",
                       pair_progress_percent(view.groups, group, pair, view.now_ms));
    if (group_recover_point(view.groups, group, view.now_ms, &at_ms)) {
        listing_add_number(&view, call->fields, "RecoverPoint",
                           (at_ms + view.wall_offset_ms) / 1000);
    }
}
