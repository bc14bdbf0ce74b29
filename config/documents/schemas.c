/*
 * The JSON Schemas of the messages. Fields are tables here; actions with their parameters, errors,
 * reasons and counts come from the tables that make the code.
 *
 * They use only what draft 07 has as well, so that readers of the AsyncAPI document, which refers
 * to them, need no parser for the newer dialect.
 */
#include "documents.h"

#include "schema_write.h"

#include "base/counters.h"
#include "base/health.h"
#include "base/json.h"
#include "ecs/outcome_map.h"
#include "model/command.h"
#include "model/explain.h"
#include "model/group.h"
#include "model/region.h"
#include "model/topic.h"
#include "model/watch.h"

#include <string.h>

#define COUNT_OF(fields) (sizeof(fields) / sizeof(fields)[0])

#define TEXT_OF(macro)    TEXT_OF_ITS(macro)
#define TEXT_OF_ITS(text) #text
#define SCHEMA_REGION \
    "\"type\":\"string\",\"pattern\":\"^[a-z0-9-]{1," TEXT_OF(REGION_BYTES_MAX) "}$\""
#define SCHEMA_CORRELATION SCHEMA_TEXT(COMMAND_CORRELATION_BYTES_MAX)
#define SCHEMA_TRACE       SCHEMA_TEXT(COMMAND_TRACE_BYTES_MAX)

static void put_parameter(struct buf *out, const struct action *action,
                          const struct parameter *parameter, const char *bool_schema)
{
    struct buf meaning = {0};
    buf_printf(&meaning, "Parameter of %s: %s.", action->name, parameter->meaning);
    const struct schema_field field = {
        .name = parameter->name,
        .members = parameter->type == PARAMETER_BOOL ? bool_schema
                                                     : SCHEMA_PRINTABLE(PARAMETER_TEXT_BYTES_MAX),
        .meaning = meaning.data,
    };
    schema_put_field(out, &field);
    buf_fini(&meaning);
}

/* The parameters of the actions that a route can have. */
static void put_parameters(struct buf *out, const char *bool_schema)
{
    for (size_t i = 0; i < ACTION_COUNT; i++) {
        const struct action *action = &action_rows[i];
        const struct parameter *parameter;
        for (size_t j = 0;
             action->effect != EFFECT_READ && (parameter = action_parameter(action, j)) != NULL;
             j++) {
            put_parameter(out, action, parameter, bool_schema);
        }
    }
}

static void put_command_parameters(struct buf *out)
{
    put_parameters(out, "\"enum\":[true,false,\"true\",\"false\"]");
}

static void put_reply_parameters(struct buf *out)
{
    put_parameters(out, "\"type\":\"boolean\"");
}

static void put_actions(struct buf *out)
{
    json_put_name(out, "enum");
    json_put_open(out, '[');
    for (size_t i = 0; i < ACTION_COUNT; i++) {
        if (action_rows[i].effect != EFFECT_READ) {
            json_put_element(out, slice_text(action_rows[i].name));
        }
    }
    json_put_close(out, ']');
}

static const struct schema_field command_fields[] = {
    {"RegionId", false, SCHEMA_REGION, NULL,
     "Region of the group's production site. Needed unless the route has a default."},
    {"ReplicaGroupId", false, SCHEMA_PRINTABLE(COMMAND_GROUP_BYTES_MAX), NULL,
     "The replication group. Needed unless the route has a default."},
    {"ClientToken", false, SCHEMA_PRINTABLE(COMMAND_TOKEN_BYTES_MAX), NULL,
     "Identifies the command: one token has one effect. Case-sensitive."},
    {"Action", false, NULL, put_actions, "The action of the route."},
    {"ReplyTo", false,
     "\"type\":\"string\",\"minLength\":1,\"maxLength\":" TEXT_OF(TOPIC_BYTES_MAX), NULL,
     "Topic of the reply, for senders without MQTT 5. A Response Topic wins. "
     "limits.reply_topic_bytes may allow less."},
    {"CorrelationId", false, SCHEMA_CORRELATION, NULL,
     "Comes back in the reply, for senders without MQTT 5. The limit counts bytes of UTF-8."},
    {"NotAfter", false, SCHEMA_TIME, NULL, "Time after which the command must not be started."},
    {"traceparent", false, SCHEMA_TRACE, NULL,
     "Trace context, for senders without MQTT 5. The user property of this name wins."},
    {"tracestate", false, SCHEMA_TRACE, NULL,
     "Trace context, for senders without MQTT 5. The user property of this name wins."},
};

void command_schema(struct buf *out)
{
    static const struct schema schema = {
        .title = "Command",
        .description = "What a sender publishes to a command topic. Another field is refused with "
                       "Bridge.UnknownParameter. Generated from include/tables/actions.def.",
        .fields = command_fields,
        .field_count = COUNT_OF(command_fields),
        .put_more = put_command_parameters,
        .members = "\"additionalProperties\":false",
    };
    schema_write(&schema, out);
}

static void put_categories(struct buf *out)
{
    json_put_name(out, "enum");
    json_put_open(out, '[');
    for (int category = CATEGORY_INVALID; category <= CATEGORY_INTERNAL; category++) {
        json_put_element(out, slice_text(category_text((enum category)category)));
    }
    json_put_close(out, ']');
}

/* A code of the API: the known ones are examples, since it may have others. */
static void put_code(struct buf *out)
{
    static const char *const codes[] = {
#define OUTCOME(http, code, category, reaction, hint) code,
#include "tables/outcomes.def"
    };
    schema_put_members(out, "\"type\":\"string\",\"minLength\":1");
    json_put_name(out, "examples");
    json_put_open(out, '[');
    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        if (strchr(codes[i], '*') == NULL) {
            json_put_element(out, slice_text(codes[i]));
        }
    }
    json_put_close(out, ']');
}

static bool category_has_errors(enum category category)
{
    bool has_errors = false;
    for (int error = ERROR_NONE + 1; error < ERROR_COUNT; error++) {
        has_errors |= bridge_error_row((enum bridge_error)error)->category == category;
    }
    return has_errors;
}

/* The bridge's own errors: for each category its codes. */
static void put_bridge_errors(struct buf *out)
{
    json_put_name(out, "anyOf");
    json_put_open(out, '[');
    for (int category = CATEGORY_INVALID; category <= CATEGORY_INTERNAL; category++) {
        if (!category_has_errors((enum category)category)) {
            continue;
        }
        buf_append_text(out, out->data[out->length - 1] == '[' ? "" : ",");
        buf_printf(out, "{\"properties\":{\"Category\":{\"const\":\"%s\"},\"Code\":{\"enum\":[",
                   category_text((enum category)category));
        for (int error = ERROR_NONE + 1; error < ERROR_COUNT; error++) {
            const struct bridge_error_row *row = bridge_error_row((enum bridge_error)error);
            if (row->category == (enum category)category) {
                json_put_element(out, slice_text(row->code));
            }
        }
        buf_append_text(out, "]}}}");
    }
    json_put_close(out, ']');
}

/* A state of a group: the known ones are examples, since the API may have others. */
static void put_group_status(struct buf *out)
{
    static const char *const states[] = {
#define GROUP_STATE(name, class, start, one_shot, stop) #name,
#include "tables/group_states.def"
    };
    _Static_assert(GROUP_STATUS_BYTES == 63 + 1, "the pattern below");
    schema_put_members(out, SCHEMA_PRINTABLE(63));
    json_put_name(out, "examples");
    json_put_open(out, '[');
    for (size_t i = 0; i < COUNT_OF(states); i++) {
        json_put_element(out, slice_text(states[i]));
    }
    json_put_close(out, ']');
}

static const struct schema_field error_fields[] = {
    {"Code", true, NULL, put_code,
     "The API's code, or one of the bridge: see config/errors.md. New codes of the API can come at "
     "any time."},
    {"Message", false, "\"type\":\"string\"", NULL, "What happened, for people."},
    {"HttpStatus", false, "\"type\":\"integer\",\"minimum\":100,\"maximum\":999", NULL,
     "HTTP status of the API's answer."},
    {"Source", true, "\"enum\":[\"ecs\",\"bridge\"]", NULL,
     "Who says so: the API (ecs) or the bridge."},
    {"Category", true, NULL, put_categories, "What a program decides by."},
    {"Retryable", true, "\"type\":\"boolean\"", NULL,
     "Whether the same command, sent again unchanged, may succeed without anybody changing "
     "anything."},
    {"RetryAfterMs", false, SCHEMA_COUNT, NULL,
     "How long to wait before sending it again, where that is known."},
    {"Hint", false, "\"type\":\"string\"", NULL, "What to do, for people."},
    {"GroupStatus", false, NULL, put_group_status,
     "The state in which the group was found after the refusal, on routes with explain. It may "
     "have changed in between."},
    {"ObservedAt", false, SCHEMA_TIME, NULL, "When that was, by the clock of the API."},
};

static void put_conclusions(struct buf *out)
{
    json_put_name(out, "enum");
    json_put_open(out, '[');
    for (int i = CONCLUSION_UNDECIDED; i <= CONCLUSION_NOT_SEEN; i++) {
        json_put_element(out, slice_text(conclusion_text((enum conclusion)i)));
    }
    json_put_close(out, ']');
}

/* What is seen of a group whose command has an unknown outcome. */
static void put_observed(struct buf *out)
{
    static const struct schema_field fields[] = {
        {"GroupStatus", false, NULL, put_group_status,
         "The state in which the group was found. Absent where it could not be read."},
        {"LastRecoverPoint", false, SCHEMA_TIME, NULL, "The group's last recovery point."},
        {"ObservedAt", false, SCHEMA_TIME, NULL,
         "When the state was read, by the clock of the API."},
        {"Conclusion", true, NULL, put_conclusions,
         "What the state shows, whoever has caused it: see deploy/messages.md."},
    };
    schema_put_object(out, fields, COUNT_OF(fields), NULL);
    schema_put_members(out, "\"if\":{\"required\":[\"GroupStatus\"]},"
                            "\"then\":{\"required\":[\"ObservedAt\"]},"
                            "\"else\":{\"properties\":{\"ObservedAt\":false,"
                            "\"LastRecoverPoint\":false}}");
}

static void put_error(struct buf *out)
{
    schema_put_object(out, error_fields, COUNT_OF(error_fields), NULL);
    schema_put_members(out, "\"if\":{\"properties\":{\"Source\":{\"const\":\"bridge\"}}},"
                            "\"then\":{");
    put_bridge_errors(out);
    json_put_close(out, '}');
}

/* An error that is always the bridge's own. */
static void put_own_error(struct buf *out)
{
    put_error(out);
    schema_put_members(out, "\"allOf\":[{\"properties\":{\"Source\":{\"const\":\"bridge\"}}}]");
}

static const struct schema_field reply_fields[] = {
    {"Status", true, "\"enum\":[\"succeeded\",\"failed\",\"unknown\",\"accepted\"]", NULL,
     "succeeded: the API accepted the call. failed: it definitely had no effect. unknown: it may "
     "have had an effect. accepted: recorded, the outcome follows."},
    {"Action", true, NULL, put_actions, "The action of the route."},
    {"RegionId", false, SCHEMA_REGION, NULL, "As in the command, or the route's default."},
    {"ReplicaGroupId", false, SCHEMA_PRINTABLE(COMMAND_GROUP_BYTES_MAX), NULL,
     "As in the command, or the route's default."},
    {"ClientToken", false, SCHEMA_PRINTABLE(COMMAND_TOKEN_BYTES_MAX), NULL,
     "The command's, or the one that the bridge made for it."},
    {"RequestId", false, "\"type\":\"string\",\"minLength\":1", NULL,
     "The API's name for the request."},
    {"Replayed", true, "\"type\":\"boolean\"", NULL,
     "Whether this is the outcome of an earlier command with this token."},
    {"Attempts", true, SCHEMA_COUNT, NULL, "Calls of the API; 0 where nothing was called."},
    {"Coalesced", false, "\"const\":true", NULL,
     "The success is that of an earlier command with the same parameters (coalesce_s)."},
    {"Element", false, SCHEMA_COUNT, NULL,
     "Number of the element of the message that the command was made of, from 0."},
    {"ReceivedAt", true, SCHEMA_TIME, NULL,
     "When the command arrived; of a replay, the first one."},
    {"CompletedAt", false, SCHEMA_TIME, NULL, "When the outcome was known."},
    {"CorrelationId", false, SCHEMA_CORRELATION, NULL, "As in the command."},
    {"traceparent", false, SCHEMA_TRACE, NULL, "As in the body of the command."},
    {"tracestate", false, SCHEMA_TRACE, NULL, "As in the body of the command."},
    {"Error", false, NULL, put_error, "Why it failed, or why the outcome is unknown."},
    {"Observed", false, NULL, put_observed,
     "What is seen of the group where the outcome is unknown, on routes with explain."},
};

void reply_schema(struct buf *out)
{
    static const struct schema schema = {
        .title = "Reply",
        .description =
            "What a sender gets for a command. A later version may add fields. Generated "
            "from include/tables/actions.def, outcomes.def and errors.def.",
        .fields = reply_fields,
        .field_count = COUNT_OF(reply_fields),
        .put_more = put_reply_parameters,
        .members =
            "\"allOf\":["
            "{\"if\":{\"properties\":{\"Status\":{\"const\":\"succeeded\"}}},"
            "\"then\":{\"properties\":{\"Error\":false},"
            "\"required\":[\"RegionId\",\"ReplicaGroupId\",\"ClientToken\",\"RequestId\","
            "\"CompletedAt\"]}},"
            "{\"if\":{\"properties\":{\"Status\":{\"const\":\"failed\"}}},"
            "\"then\":{\"required\":[\"CompletedAt\",\"Error\"]}},"
            "{\"if\":{\"properties\":{\"Status\":{\"const\":\"unknown\"}}},"
            "\"then\":{\"properties\":{\"Error\":{\"properties\":{\"Retryable\":{\"const\":true}}}}"
            ","
            "\"required\":[\"RegionId\",\"ReplicaGroupId\",\"ClientToken\",\"CompletedAt\","
            "\"Error\"]},"
            "\"else\":{\"properties\":{\"Observed\":false}}},"
            "{\"if\":{\"properties\":{\"Status\":{\"const\":\"accepted\"}}},"
            "\"then\":{\"properties\":{\"Error\":false,\"RequestId\":false,\"CompletedAt\":false},"
            "\"required\":[\"RegionId\",\"ReplicaGroupId\",\"ClientToken\"]}}]",
    };
    schema_write(&schema, out);
}

static void put_reasons(struct buf *out)
{
    schema_put_members(out, "\"type\":\"array\",\"minItems\":1,\"uniqueItems\":true");
    json_put_name(out, "items");
    json_put_open(out, '{');
    json_put_name(out, "enum");
    json_put_open(out, '[');
    for (int i = 0; i < HEALTH_REASON_COUNT; i++) {
        json_put_element(out, slice_text(health_reason_info((enum health_reason)i)->name));
    }
    json_put_close(out, ']');
    json_put_close(out, '}');
}

/* What each count means is the help of its metric. */
static void put_counts(struct buf *out)
{
    struct schema_field fields[COUNTER_COUNT + 1] = {
        {"Since", true, SCHEMA_TIME, NULL, "When the bridge started."},
    };
    size_t count = 1;
    for (int i = 0; i < COUNTER_COUNT; i++) {
        const struct counter_info *info = counter_info((enum counter)i);
        if (info->count_name != NULL) {
            fields[count++] = (struct schema_field){info->count_name, true, SCHEMA_COUNT, NULL,
                                                    metric_info(info->metric)->help};
        }
    }
    schema_put_object(out, fields, count, NULL);
}

static const struct schema_field status_fields[] = {
    {"State", true, "\"enum\":[\"online\",\"degraded\",\"offline\"]", NULL,
     "online: subscribed on every route, and the publisher is connected. degraded: see Reasons. "
     "offline: see Reason."},
    {"Reasons", false, NULL, put_reasons, "Why it is degraded: see config/events.md."},
    {"Reason", false, "\"enum\":[\"stopped\",\"connection_lost\"]", NULL,
     "Why it is offline. connection_lost is the Last Will."},
    {"Instance", true, "\"type\":\"string\",\"minLength\":1", NULL, "The setting instance."},
    {"Version", true, "\"type\":\"string\",\"minLength\":1", NULL, "Version of the bridge."},
    {"At", false, SCHEMA_TIME, NULL, "When the message was made."},
    {"SessionLostAt", false, SCHEMA_TIME, NULL, "Since when commands may be lost."},
    {"SessionsLost", false, SCHEMA_COUNT, NULL, "Sessions lost since there is this ledger."},
    {"Counts", false, NULL, put_counts,
     "What became of all messages since the bridge started: Received + Resumed is the sum of the "
     "others, without Outbox."},
};

void status_schema(struct buf *out)
{
    static const struct schema schema = {
        .title = "Status",
        .description =
            "The retained message on the status topic, and the Last Will. A later version "
            "may add fields. Generated from include/tables/health_reasons.def and "
            "metrics.def.",
        .fields = status_fields,
        .field_count = COUNT_OF(status_fields),
        .members = "\"allOf\":["
                   "{\"if\":{\"properties\":{\"State\":{\"const\":\"degraded\"}}},"
                   "\"then\":{\"required\":[\"Reasons\"]},"
                   "\"else\":{\"properties\":{\"Reasons\":false}}},"
                   "{\"if\":{\"properties\":{\"State\":{\"const\":\"offline\"}}},"
                   "\"then\":{\"required\":[\"Reason\"]},"
                   "\"else\":{\"properties\":{\"Reason\":false}}},"
                   "{\"if\":{\"properties\":{\"Reason\":{\"const\":\"connection_lost\"}},"
                   "\"required\":[\"Reason\"]},"
                   "\"else\":{\"required\":[\"At\",\"SessionsLost\",\"Counts\"]}}]",
    };
    schema_write(&schema, out);
}

static const struct schema_field dead_letter_fields[] = {
    {"Error", true, NULL, put_own_error, "Why there is no reply. As Error of a reply."},
    {"Route", false, "\"type\":\"string\",\"minLength\":1", NULL,
     "The route by which the command came. Not of a reply that was not delivered."},
    {"Element", false, SCHEMA_COUNT, NULL,
     "Number of the element of the message that the command was made of, from 0."},
    {"Topic", true, "\"type\":\"string\",\"minLength\":1", NULL,
     "Topic of the command, or of the reply that was not delivered."},
    {"Payload", true, "\"type\":\"string\",\"contentEncoding\":\"base64\",\"maxLength\":5464", NULL,
     "The first 4096 bytes of the command, or of the reply."},
    {"PayloadBytes", true, SCHEMA_COUNT, NULL, "How many bytes the whole payload has."},
    {"ReceivedAt", true, SCHEMA_TIME, NULL,
     "When the command arrived, or when the reply was made."},
};

void dead_letter_schema(struct buf *out)
{
    static const struct schema schema = {
        .title = "Dead letter",
        .description =
            "A command that cannot be answered, or a reply that could not be delivered. A "
            "later version may add fields. Generated from include/tables/errors.def.",
        .fields = dead_letter_fields,
        .field_count = COUNT_OF(dead_letter_fields),
    };
    schema_write(&schema, out);
}

static void put_event_names(struct buf *out)
{
    json_put_name(out, "enum");
    json_put_open(out, '[');
    for (int kind = WATCH_NOTHING + 1; kind < WATCH_EVENT_KIND_COUNT; kind++) {
        json_put_element(out, slice_text(watch_event_name((enum watch_event_kind)kind)));
    }
    json_put_close(out, ']');
}

/* The error of a group, which is none of the API and none of a command. */
static void put_observed_error(struct buf *out)
{
    static const struct schema_field fields[] = {
        {"Code", true, "\"const\":\"Bridge.GroupFailed\"", NULL, "What is wrong."},
        {"Message", true, "\"type\":\"string\"", NULL, "What was seen, for people."},
        {"Source", true, "\"const\":\"observation\"", NULL, "The bridge saw it: no call failed."},
        {"Category", true, NULL, put_categories, "As in a reply."},
        {"Retryable", true, "\"const\":false", NULL,
         "The same command cannot succeed before somebody has repaired the group."},
    };
    schema_put_object(out, fields, COUNT_OF(fields), NULL);
}

/* As the API names them: nothing else is known for sure. */
static void put_pairs(struct buf *out)
{
    static const struct schema_field fields[] = {
        {"ReplicaPairId", true, SCHEMA_PRINTABLE(COMMAND_GROUP_BYTES_MAX), NULL, "The pair."},
        {"Status", false, NULL, put_group_status, "Its state."},
        {"StatusMessage", false, SCHEMA_PRINTABLE(256), NULL, "What is wrong with it."},
    };
    schema_put_members(out, "\"type\":\"array\"");
    json_put_name(out, "items");
    json_put_open(out, '{');
    schema_put_object(out, fields, COUNT_OF(fields), NULL);
    json_put_close(out, '}');
}

static const struct schema_field event_fields[] = {
    {"Event", true, NULL, put_event_names, "What has happened: see deploy/watch.md."},
    {"Seq", true, "\"type\":\"integer\",\"minimum\":1", NULL,
     "Number of the event in its watch, from 1 and without gaps."},
    {"Final", true, "\"type\":\"boolean\"", NULL, "Whether it is the last event of its watch."},
    {"Action", true, NULL, put_actions, "The action of the command."},
    {"RegionId", true, SCHEMA_REGION, NULL, "As in the command, or the route's default."},
    {"ReplicaGroupId", true, SCHEMA_PRINTABLE(COMMAND_GROUP_BYTES_MAX), NULL, "The group."},
    {"OneShot", false, "\"type\":\"boolean\"", NULL, "As in the command. Only of a start."},
    {"ClientToken", true, SCHEMA_PRINTABLE(COMMAND_TOKEN_BYTES_MAX), NULL,
     "That of the command, as in its reply."},
    {"Outcome", true, "\"enum\":[\"succeeded\",\"unknown\"]", NULL,
     "How the command ended: Status of its reply when the watch began."},
    {"GroupStatus", false, NULL, put_group_status,
     "The state of the group. Absent as long as it was never read."},
    {"PreviousStatus", false, NULL, put_group_status,
     "The state before, in the first event after a change."},
    {"LastRecoverPoint", false, SCHEMA_TIME, NULL, "The group's last recovery point."},
    {"RpoS", false, SCHEMA_COUNT, NULL,
     "Recovery point objective in seconds: the group's own, else the setting api.rpo_s."},
    {"LagS", false, SCHEMA_COUNT, NULL, "Age of LastRecoverPoint at ObservedAt, in seconds."},
    {"RpoExceeded", false, "\"type\":\"boolean\"", NULL, "Whether LagS is above RpoS."},
    {"ProgressPercent", false, "\"type\":\"integer\",\"minimum\":0,\"maximum\":100", NULL,
     "How much of the first or one-time copy under way is done, where watch.progress_s says that it "
     "is read."},
    {"StartedAt", true, SCHEMA_TIME, NULL,
     "When the API accepted the command; of an unknown outcome, the first attempt. This and the "
     "other times are by the clock of the API."},
    {"ObservedAt", true, SCHEMA_TIME, NULL, "When the event was seen."},
    {"DurationMs", true, SCHEMA_COUNT, NULL, "From StartedAt to ObservedAt."},
    {"Basis", false, "\"enum\":[\"recover_point\",\"status\"]", NULL,
     "What synchronised was concluded from: a recovery point after the start; or the state, where "
     "the API shows no recovery point."},
    {"Blind", false, "\"type\":\"boolean\"", NULL,
     "true in blind; false in the first event after it."},
    {"Error", false, NULL, put_observed_error, "What is wrong with the group. Only in failed."},
    {"Pairs", false, NULL, put_pairs,
     "The pairs of the group, as the API lists them. Only in failed, where they could be read."},
    {"Message", true, "\"type\":\"string\"", NULL, "What has happened, for people."},
};

void event_schema(struct buf *out)
{
    static const struct schema schema = {
        .title = "Event",
        .description = "What the bridge publishes about a group after a command, on routes with "
                       "watch. A later version may add fields and events. Generated from "
                       "include/tables/watch_events.def and group_states.def.",
        .fields = event_fields,
        .field_count = COUNT_OF(event_fields),
        .members =
            "\"allOf\":["
            "{\"if\":{\"properties\":{\"Event\":{\"enum\":[\"done\",\"gone\",\"failed\",\"stopped\","
            "\"gave_up\",\"superseded\"]}}},"
            "\"then\":{\"properties\":{\"Final\":{\"const\":true}}},"
            "\"else\":{\"if\":{\"properties\":{\"Event\":{\"not\":{\"const\":\"synchronised\"}}}},"
            "\"then\":{\"properties\":{\"Final\":{\"const\":false}}}}},"
            "{\"if\":{\"properties\":{\"Event\":{\"const\":\"synchronised\"}}},"
            "\"then\":{\"required\":[\"GroupStatus\",\"Basis\"]},"
            "\"else\":{\"properties\":{\"Basis\":false}}},"
            "{\"if\":{\"properties\":{\"Event\":{\"const\":\"failed\"}}},"
            "\"then\":{\"required\":[\"GroupStatus\",\"Error\"]},"
            "\"else\":{\"properties\":{\"Error\":false,\"Pairs\":false}}},"
            "{\"if\":{\"properties\":{\"Event\":{\"const\":\"status\"}}},"
            "\"then\":{\"required\":[\"GroupStatus\",\"PreviousStatus\"]}},"
            "{\"if\":{\"properties\":{\"Event\":{\"enum\":[\"blind\",\"seen\"]}}},"
            "\"then\":{\"required\":[\"Blind\"]}},"
            "{\"if\":{\"properties\":{\"Event\":{\"const\":\"blind\"}}},"
            "\"then\":{\"properties\":{\"Blind\":{\"const\":true}}},"
            "\"else\":{\"properties\":{\"Blind\":{\"const\":false}}}},"
            "{\"if\":{\"required\":[\"LastRecoverPoint\"]},"
            "\"then\":{\"required\":[\"RpoS\",\"LagS\",\"RpoExceeded\"]},"
            "\"else\":{\"properties\":{\"LagS\":false,\"RpoExceeded\":false}}}]",
    };
    schema_write(&schema, out);
}
