/* Control requests about groups. A request is checked as a whole before it changes anything. */
#include "control_groups.h"

#include "answer.h"

#include <string.h>

void control_ok(struct call *call)
{
    cJSON *body = cJSON_CreateObject();
    cJSON_AddBoolToObject(body, "Ok", true);
    answer_control(call, 200, body);
}

void control_refuse(struct call *call, unsigned http, const char *reason)
{
    cJSON *body = cJSON_CreateObject();
    cJSON_AddStringToObject(body, "Error", reason);
    answer_control(call, http, body);
}

const char *control_text(const cJSON *body, const char *name)
{
    const char *value = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(body, name));
    return value ? value : "";
}

double control_number(const cJSON *body, const char *name, double otherwise)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(body, name);
    bool is_usable =
        cJSON_IsNumber(item) && item->valuedouble >= -1e12 && item->valuedouble <= 1e12;
    return is_usable ? item->valuedouble : otherwise;
}

static bool has_field(const cJSON *body, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(body, name) != NULL;
}

/* Take a number of the body into *target if it is there. False if it is not in the range. */
static bool take_number(const cJSON *body, const char *name, int64_t minimum, int64_t maximum,
                        int64_t *target)
{
    if (!has_field(body, name)) {
        return true;
    }
    double number = control_number(body, name, -1e300);
    bool is_valid = number >= (double)minimum && number <= (double)maximum;
    *target = is_valid ? (int64_t)number : *target;
    return is_valid;
}

/* The index of the body's text in a table that ends with NULL; 0 if absent, -1 if not in it. */
static int choice_of(const cJSON *body, const char *name, const char *const *choices)
{
    if (!has_field(body, name)) {
        return 0;
    }
    for (int i = 0; choices[i]; i++) {
        if (strcmp(choices[i], control_text(body, name)) == 0) {
            return i;
        }
    }
    return -1;
}

/* What a request about a group says. */
struct group_order {
    bool is_gone;
    const struct group_state *state; /* NULL: stays */
    int site;
    int stop_end;
    int64_t recover_age_s;
    int64_t cooldown_ms;
};

static const char *read_order(const cJSON *body, struct group_order *order)
{
    static const char *const sites[] = {"production", "backup", NULL};
    static const char *const stop_ends[] = {"stopped", "stop_failed", "unchanged", NULL};
    const int64_t limit = INT64_C(1) << 40;
    const char *status = control_text(body, "Status");
    order->is_gone = strcmp(status, "none") == 0;
    order->state = group_state_find(status);
    order->site = choice_of(body, "Site", sites);
    order->stop_end = choice_of(body, "StopEnds", stop_ends);
    if (has_field(body, "Status") && !order->state && !order->is_gone) {
        return "Status is a known state, or none";
    }
    if (order->site < 0) {
        return "Site is production or backup";
    }
    if (order->stop_end < 0) {
        return "StopEnds is stopped, stop_failed or unchanged";
    }
    if (has_field(body, "ShownStatus") &&
        (!cJSON_IsString(cJSON_GetObjectItemCaseSensitive(body, "ShownStatus")) ||
         strlen(control_text(body, "ShownStatus")) >= STATUS_BYTES)) {
        return "ShownStatus is a text of up to 31 bytes";
    }
    if (!take_number(body, "RecoverAgeS", -1, limit, &order->recover_age_s) ||
        !take_number(body, "CooldownMs", 0, limit, &order->cooldown_ms)) {
        return "RecoverAgeS (from -1) or CooldownMs (from 0) is not a number in its range";
    }
    return NULL;
}

static void carry_out(struct sim *sim, struct group *group, const struct group_order *order,
                      const cJSON *body)
{
    int64_t now_ms = sim_now_ms(sim);
    if (order->is_gone) {
        group->exists = false;
        group->is_removed = true;
    } else if (order->state) {
        group_set(group, order->state, now_ms);
    }
    if (has_field(body, "ShownStatus")) {
        base_fill(group->shown_status, sizeof group->shown_status,
                  control_text(body, "ShownStatus"));
    }
    if (has_field(body, "Site")) {
        group->is_swapped = order->site == 1;
    }
    if (has_field(body, "StopEnds")) {
        group->stop_end = (enum stop_end)order->stop_end;
    }
    if (has_field(body, "RecoverAgeS")) {
        group_set_recover_point(group, now_ms, order->recover_age_s * 1000);
    }
    if (has_field(body, "CooldownMs")) {
        group->has_one_shot = order->cooldown_ms > 0;
        group->last_one_shot_ms = now_ms + order->cooldown_ms - sim->groups.rpo_ms / 2;
    }
}

void control_post_groups(struct call *call, const cJSON *body)
{
    struct sim *sim = call->sim;
    struct group_order order = {0};
    const char *reason = read_order(body, &order);
    const char *region = control_text(body, "RegionId");
    const char *id = control_text(body, "ReplicaGroupId");
    struct group *group =
        !reason && *region && *id ? groups_get(&sim->groups, region, id, sim_now_ms(sim)) : NULL;
    if (reason) {
        control_refuse(call, 400, reason);
    } else if (!group || (!group->exists && !has_field(body, "Status"))) {
        control_refuse(call, 400,
                       "RegionId and ReplicaGroupId are needed, and Status for a new group");
    } else {
        carry_out(sim, group, &order, body);
        control_ok(call);
    }
}

void control_post_pairs(struct call *call, const cJSON *body)
{
    struct sim *sim = call->sim;
    char group_id[GROUP_ID_BYTES];
    int index = 0;
    int64_t progress_percent = -1;
    const char *status = control_text(body, "Status");
    const char *message = control_text(body, "StatusMessage");
    const struct group_state *state = group_state_find(status);
    struct group *group = NULL;
    if (pair_id_split(control_text(body, "ReplicaPairId"), group_id, &index) &&
        index < sim->groups.pair_count) {
        group = groups_find(&sim->groups, control_text(body, "RegionId"), group_id);
    }
    if (!group || !group->exists) {
        control_refuse(call, 400, "RegionId and the ReplicaPairId of a pair there are needed");
        return;
    }
    if ((*status && !state) || strlen(message) >= STATUS_MESSAGE_BYTES ||
        !take_number(body, "Progress", -1, 100, &progress_percent)) {
        control_refuse(call, 400,
                       "Status is a known state, StatusMessage has up to 63 bytes, Progress is "
                       "from -1 to 100");
        return;
    }
    struct pair *pair = pair_settings(group, index);
    *pair = (struct pair){.state = state, .progress_percent = progress_percent};
    base_fill(pair->message, sizeof pair->message, message);
    control_ok(call);
}

void control_post_times(struct call *call, const cJSON *body)
{
    const int64_t limit = INT64_C(1) << 40;
    struct groups *groups = &call->sim->groups;
    struct groups changed = *groups;
    double rpo_s = control_number(body, "RpoS", (double)groups->rpo_ms / 1000);
    if (rpo_s < 0 || !take_number(body, "SyncMs", 0, limit, &changed.sync_ms) ||
        !take_number(body, "StopMs", 0, limit, &changed.stop_ms) ||
        !take_number(body, "RecoverLateMs", 0, limit, &changed.recover_late_ms)) {
        control_refuse(call, 400, "RpoS, SyncMs, StopMs and RecoverLateMs are numbers from 0");
        return;
    }
    groups->rpo_ms = (int64_t)(rpo_s * 1000);
    groups->sync_ms = changed.sync_ms;
    groups->stop_ms = changed.stop_ms;
    groups->recover_late_ms = changed.recover_late_ms;
    control_ok(call);
}

void control_post_describe(struct call *call, const cJSON *body)
{
    struct listing listing = {0};
    const cJSON *quirks = cJSON_GetObjectItemCaseSensitive(body, "Quirks");
    const cJSON *quirk = NULL;
    bool is_valid = !quirks || cJSON_IsArray(quirks);
    cJSON_ArrayForEach(quirk, quirks)
    {
        is_valid =
            is_valid && cJSON_IsString(quirk) && listing_add_quirk(&listing, quirk->valuestring);
    }
    if (!is_valid) {
        control_refuse(call, 400, "Quirks is an array of known names");
        return;
    }
    if (!take_number(body, "PageLimit", 0, INT32_MAX, &listing.page_limit) ||
        !take_number(body, "Tags", 0, TAG_COUNT_LIMIT, &listing.tag_count) ||
        !take_number(body, "DescriptionBytes", 0, DESCRIPTION_LIMIT_BYTES,
                     &listing.description_bytes)) {
        control_refuse(
            call, 400,
            "PageLimit is from 0, Tags from 0 to 20, DescriptionBytes from 0 to 1000000");
        return;
    }
    call->sim->listing = listing;
    control_ok(call);
}
