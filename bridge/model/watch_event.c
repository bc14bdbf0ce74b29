#include "model/watch_rules.h"

#include "base/json.h"
#include "model/message.h"
#include "model/topic.h"

#include <inttypes.h>
#include <stdio.h>

static int64_t at_least_0(int64_t number)
{
    return number < 0 ? 0 : number;
}

static void put_recover_point(const struct group_view *view, int64_t rpo_s, int64_t at_ms,
                              struct buf *out)
{
    if (view->recover_point_s > 0) {
        json_put_time(out, "LastRecoverPoint", view->recover_point_s * 1000);
    }
    json_put_int(out, "RpoS", rpo_s);
    if (view->recover_point_s > 0) {
        json_put_int(out, "LagS", at_least_0(at_ms / 1000 - view->recover_point_s));
        json_put_bool(out, "RpoExceeded", group_is_behind(view, at_ms, rpo_s, 1.0));
    }
}

static void put_failure(const struct group_view *view, struct buf *out)
{
    struct buf text = {0};
    buf_printf(&text, "The group is in the state %s.", view->status);
    json_put_name(out, "Error");
    json_put_open(out, '{');
    json_put_text(out, "Code", slice_text("Bridge.GroupFailed"));
    json_put_text(out, "Message", buf_slice(&text));
    json_put_text(out, "Source", slice_text("observation"));
    json_put_text(out, "Category", slice_text("conflict"));
    json_put_bool(out, "Retryable", false);
    json_put_close(out, '}');
    buf_fini(&text);
}

/* What was seen of the group, as far as it is known. */
static void put_view(const struct watch_step *step, const struct watch_event *event, int64_t rpo_s,
                     struct buf *out)
{
    const struct group_view *view = &step->state.view;
    if (view->status[0] == '\0') {
        return;
    }
    json_put_text(out, "GroupStatus", slice_text(view->status));
    if (event->previous_status[0] != '\0') {
        json_put_text(out, "PreviousStatus", slice_text(event->previous_status));
    }
    put_recover_point(view, view->rpo_s > 0 ? view->rpo_s : rpo_s, event->at_ms, out);
    if (view->progress_percent >= 0) {
        json_put_int(out, "ProgressPercent", view->progress_percent);
    }
}

void watch_event_write(const struct watch *watch, const struct watch_step *step,
                       const struct watch_event *event, int64_t rpo_s, struct buf *out)
{
    static const char *const bases[] = {
        [WATCH_BASIS_RECOVER_POINT] = "recover_point", [WATCH_BASIS_STATUS] = "status"};
    struct buf object = {0}; /* of its own, since a comma is due in one that holds something */
    json_put_open(&object, '{');
    json_put_text(&object, "Event", slice_text(watch_event_name(event->kind)));
    json_put_int(&object, "Seq", event->seq);
    json_put_bool(&object, "Final", event->is_final);
    json_put_text(&object, "Action", slice_text(watch->action->name));
    json_put_text(&object, "RegionId", slice_text(watch->region));
    json_put_text(&object, "ReplicaGroupId", slice_text(watch->object));
    if (watch->action->effect == EFFECT_START) {
        json_put_bool(&object, "OneShot", watch->is_one_shot);
    }
    json_put_text(&object, "ClientToken", slice_text(watch->token));
    json_put_text(&object, "Outcome",
                  slice_text(watch->is_outcome_unknown ? "unknown" : "succeeded"));
    put_view(step, event, rpo_s, &object);
    json_put_time(&object, "StartedAt", watch->started_at_ms);
    json_put_time(&object, "ObservedAt", event->at_ms);
    json_put_int(&object, "DurationMs", at_least_0(event->at_ms - watch->started_at_ms));
    json_put_text_if(&object, "Basis", slice_text(bases[event->basis]));
    if (event->kind == WATCH_BLIND || event->ends_blindness) {
        json_put_bool(&object, "Blind", event->kind == WATCH_BLIND);
    }
    if (event->kind == WATCH_FAILED) {
        put_failure(&step->state.view, &object);
        if (slice_is_present(step->pairs)) {
            json_put_raw(&object, "Pairs", step->pairs);
        }
    }
    json_put_text(&object, "Message", slice_text(watch_event_message(event->kind)));
    json_put_close(&object, '}');
    buf_append(out, buf_slice(&object));
    buf_fini(&object);
}

void watch_event_encode(const struct watch *watch, const struct watch_step *step,
                        const struct watch_event *event, const struct watch_publishing *publishing,
                        int64_t made_at_ms, struct buf *out)
{
    const struct topic_values values = {.instance = publishing->instance,
                                        .route = watch->route,
                                        .region = slice_text(watch->region),
                                        .group = slice_text(watch->object),
                                        .token = slice_text(watch->token)};
    struct buf topic = {0};
    struct buf body = {0};
    char seq[24];
    snprintf(seq, sizeof seq, "%" PRId64, event->seq);
    if (topic_expand(publishing->topic, &values, &topic) == STATUS_OK) {
        watch_event_write(watch, step, event, publishing->rpo_s, &body);
        struct message message = {.topic = buf_slice(&topic),
                                  .body = buf_slice(&body),
                                  .qos = publishing->qos,
                                  .is_retained = publishing->is_retained,
                                  .is_json = true,
                                  .expiry_s = publishing->expiry_s,
                                  .made_at_ms = made_at_ms,
                                  .is_event = true};
        message_add_property(&message, "event", slice_text(watch_event_name(event->kind)));
        message_add_property(&message, "seq", slice_text(seq));
        message_add_property(&message, "final", slice_text(event->is_final ? "true" : "false"));
        message_add_property(&message, "traceparent", slice_text(watch->traceparent));
        message_encode(&message, out);
    }
    buf_fini(&topic);
    buf_fini(&body);
}
