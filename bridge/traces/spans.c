/*
 * A reply is found in the history of its command by its id in the outbox: as the reply to an
 * arrival (a replay, a refusal), or as one of the replies to an outcome. Of these the first one
 * goes to the sender of the command and the others to the duplicates that waited, in order of
 * arrival. A reply that is not in the history (a refusal without a record, a record that has
 * expired) has the spans that its message tells.
 */
#include "spans.h"

#include "base/codec.h"
#include "base/digest.h"
#include "base/json.h"
#include "model/command.h"
#include "model/message.h"
#include "trace_parent.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#define BODY_DEPTH_MAX 16
#define WAITS_MAX      64 /* as many events as a history has */
#define SERVICE        "ecs-mqtt-bridge"

/* Numbers of trace.proto: SpanKind and StatusCode. */
enum span_kind { KIND_INTERNAL = 1, KIND_CLIENT = 3, KIND_PRODUCER = 4, KIND_CONSUMER = 5 };
#define STATUS_CODE_ERROR 2
#define FLAGS_SAMPLED     1

/* Where a reply stands in the history; events by their index, -1: there is none. */
struct place {
    int arrival;
    int first_call; /* attempts are looked for from here... */
    int end;        /* ...to the outcome, which is this event */
    bool is_early;  /* it is the reply "accepted" */
};

/* What all spans of a trace share. */
struct trace {
    const struct spans_reply *reply;
    struct message message;
    struct json *body;
    struct slice token;
    struct slice trace_state;
    bool has_parent;
    struct trace_parent parent;
    char root_id[SPAN_ID_DIGITS + 1];
    struct place place;
    int64_t received_at_ms;
    int64_t claimed_at_ms; /* the end of the claim */
    size_t count;
    struct buf *out;
};

struct span {
    const char *name;
    int64_t number; /* of several with this name */
    enum span_kind kind;
    int64_t start_ms;
    int64_t end_ms;
    bool is_root;
    bool is_error;
    struct slice error; /* or absent */
};

/* ---- the reply in the history ---- */

static bool is_claim(const struct ledger_event *event)
{
    return strcmp(event->result, "claimed") == 0 || strcmp(event->result, "claimed_again") == 0;
}

/* The replies to the outcome are numbered from its reply_id. */
static bool has_reply(const struct ledger_event *event, int64_t id)
{
    return event->reply_id != 0 && id >= event->reply_id && id - event->reply_id < event->count;
}

static bool find_place(const struct ledger_record *record, int64_t id, struct place *out)
{
    int waits[WAITS_MAX];
    int wait_count = 0;
    int claim = -1;
    int first_call = 0;
    for (int i = 0; i < (int)record->event_count; i++) {
        const struct ledger_event *event = &record->events[i];
        bool is_arrival = event->kind == LEDGER_EVENT_ARRIVED;
        if (is_arrival && is_claim(event)) {
            claim = first_call = i;
            wait_count = 0;
        }
        if (is_arrival && event->reply_id == id && id != 0) {
            *out = (struct place){i, -1, -1, claim == i};
            return true;
        }
        if (is_arrival && strcmp(event->result, "waits") == 0 && wait_count < WAITS_MAX) {
            waits[wait_count++] = i;
        } else if (event->kind == LEDGER_EVENT_ORDERED) {
            first_call = i;
        } else if (event->kind == LEDGER_EVENT_OUTCOME && has_reply(event, id)) {
            int64_t wait = id - event->reply_id - 1;
            *out = wait < 0 ? (struct place){claim, first_call, i, false}
                            : (struct place){wait < wait_count ? waits[wait] : -1, -1, -1, false};
            return true;
        }
    }
    return false;
}

/* ---- ids ---- */

static void digest_of(const struct trace *trace, const char *name, int64_t number, size_t digits,
                      char *out)
{
    struct buf bytes = {0};
    uint8_t digest[DIGEST_SHA256_BYTES];
    pack_text(&bytes, trace->reply->instance);
    pack_bytes(&bytes, trace->token);
    pack_i64(&bytes, trace->reply->id);
    pack_i64(&bytes, trace->message.made_at_ms);
    pack_text(&bytes, name);
    pack_i64(&bytes, number);
    digest_sha256(buf_slice(&bytes), digest);
    digest[0] |= 1; /* an id must not be all 0 */
    digest_hex(digest, digits / 2, out);
    buf_fini(&bytes);
}

/* ---- JSON ---- */

static void put_attribute(struct buf *out, const char *key, struct slice value)
{
    if (value.length == 0) {
        return;
    }
    json_put_open(out, '{');
    json_put_text(out, "key", slice_text(key));
    json_put_name(out, "value");
    json_put_open(out, '{');
    json_put_text(out, "stringValue", value);
    json_put_close(out, '}');
    json_put_close(out, '}');
}

/* 64-bit numbers are texts in the JSON form of protocol buffers. */
static void put_int_attribute(struct buf *out, const char *key, int64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, value);
    json_put_open(out, '{');
    json_put_text(out, "key", slice_text(key));
    json_put_name(out, "value");
    json_put_open(out, '{');
    json_put_text(out, "intValue", slice_text(text));
    json_put_close(out, '}');
    json_put_close(out, '}');
}

static void put_time(struct buf *out, const char *name, int64_t ms)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRId64 "000000", ms > 0 ? ms : 0);
    json_put_text(out, name, slice_text(text));
}

/* Begins a span; its attributes follow. */
static void begin_span(struct trace *trace, const struct span *span)
{
    struct buf *out = trace->out;
    char id[SPAN_ID_DIGITS + 1];
    digest_of(trace, span->name, span->number, SPAN_ID_DIGITS, id);
    json_put_open(out, '{');
    json_put_text(out, "traceId", slice_text(trace->parent.trace_id));
    json_put_text(out, "spanId", slice_text(id));
    json_put_text_if(out, "traceState", trace->trace_state);
    if (!span->is_root) {
        json_put_text(out, "parentSpanId", slice_text(trace->root_id));
    } else if (trace->has_parent) {
        json_put_text(out, "parentSpanId", slice_text(trace->parent.span_id));
    }
    json_put_int(out, "flags", FLAGS_SAMPLED);
    json_put_text(out, "name", slice_text(span->name));
    json_put_int(out, "kind", span->kind);
    put_time(out, "startTimeUnixNano", span->start_ms);
    /* The wall clock may have been set back. */
    put_time(out, "endTimeUnixNano", span->end_ms > span->start_ms ? span->end_ms : span->start_ms);
    if (span->is_error) {
        json_put_name(out, "status");
        json_put_open(out, '{');
        json_put_int(out, "code", STATUS_CODE_ERROR);
        json_put_text_if(out, "message", span->error);
        json_put_close(out, '}');
    }
    json_put_name(out, "attributes");
    json_put_open(out, '[');
    trace->count++;
}

static void end_span(const struct trace *trace)
{
    json_put_close(trace->out, ']');
    json_put_close(trace->out, '}');
}

/* ---- the spans ---- */

static struct slice body_text(const struct trace *trace, const char *name)
{
    return json_text(json_member(trace->body, name));
}

static void put_receive(struct trace *trace)
{
    static const struct {
        const char *member; /* of the body */
        const char *key;
    } rows[] = {
        {"ClientToken", "ecs_bridge.token"}, {"Action", "ecs_bridge.action"},
        {"RegionId", "cloud.region"},        {"ReplicaGroupId", "ecs_bridge.group"},
        {"Status", "ecs_bridge.status"},     {"RequestId", "ecs_bridge.request_id"},
    };
    struct buf *out = trace->out;
    struct slice code = json_text(json_member(json_member(trace->body, "Error"), "Code"));
    const struct span span = {
        .name = "receive",
        .kind = KIND_CONSUMER,
        .start_ms = trace->received_at_ms,
        .end_ms = trace->reply->acknowledged_at_ms,
        .is_root = true,
        .is_error = !slice_equals_text(body_text(trace, "Status"), "succeeded"),
        .error = code,
    };
    begin_span(trace, &span);
    put_attribute(out, "messaging.system", slice_text("mqtt"));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        put_attribute(out, rows[i].key, body_text(trace, rows[i].member));
    }
    put_attribute(out, "ecs_bridge.code", code);
    end_span(trace);
}

static void put_claim(struct trace *trace)
{
    const struct span span = {.name = "claim",
                              .kind = KIND_INTERNAL,
                              .start_ms = trace->received_at_ms,
                              .end_ms = trace->claimed_at_ms};
    const struct ledger_record *record = trace->reply->record;
    begin_span(trace, &span);
    put_attribute(
        trace->out, "ecs_bridge.claim",
        slice_text(trace->place.arrival < 0 ? NULL : record->events[trace->place.arrival].result));
    end_span(trace);
}

/* `end` is what the attempt ended with: also an outcome, if its end was left out. */
static void put_call(struct trace *trace, const struct ledger_event *start,
                     const struct ledger_event *end)
{
    bool is_interrupted = end->kind == LEDGER_EVENT_INTERRUPTED;
    const char *result = is_interrupted ? "interrupted" : end->result;
    const struct span span = {
        .name = "call",
        .number = start->attempt,
        .kind = KIND_CLIENT,
        /* A call that is made at once begins in the transaction of the claim. */
        .start_ms = start->at_ms > trace->claimed_at_ms ? start->at_ms : trace->claimed_at_ms,
        .end_ms = end->at_ms,
        .is_error = strcmp(result, "succeeded") != 0,
        .error = end->code,
    };
    begin_span(trace, &span);
    put_int_attribute(trace->out, "ecs_bridge.attempt", start->attempt);
    put_attribute(trace->out, "ecs_bridge.result", slice_text(result));
    put_attribute(trace->out, "ecs_bridge.code", end->code);
    put_attribute(trace->out, "ecs_bridge.request_id", end->request_id);
    end_span(trace);
}

static void put_calls(struct trace *trace)
{
    const struct place *place = &trace->place;
    const struct ledger_event *start = NULL;
    for (int i = place->first_call; place->first_call >= 0 && i <= place->end; i++) {
        const struct ledger_event *event = &trace->reply->record->events[i];
        bool is_end = event->kind == LEDGER_EVENT_ATTEMPT_ENDED ||
                      event->kind == LEDGER_EVENT_INTERRUPTED ||
                      event->kind == LEDGER_EVENT_OUTCOME;
        if (event->kind == LEDGER_EVENT_ATTEMPT_STARTED) {
            start = event;
        } else if (event->kind == LEDGER_EVENT_LEFT_OUT) {
            start = NULL;
        } else if (is_end && start != NULL) {
            put_call(trace, start, event);
            start = NULL;
        }
    }
}

static void put_publish(struct trace *trace, int64_t number, int64_t start_ms, int64_t end_ms,
                        struct slice status)
{
    const struct span span = {.name = "publish",
                              .number = number,
                              .kind = KIND_PRODUCER,
                              .start_ms = start_ms,
                              .end_ms = end_ms};
    begin_span(trace, &span);
    put_attribute(trace->out, "messaging.system", slice_text("mqtt"));
    put_attribute(trace->out, "messaging.destination.name", trace->message.topic);
    put_attribute(trace->out, "ecs_bridge.status", status);
    end_span(trace);
}

/* The reply "accepted", if this command had one. */
static void put_early_publish(struct trace *trace)
{
    const struct ledger_record *record = trace->reply->record;
    if (trace->place.first_call < 0 || trace->place.arrival < 0) {
        return;
    }
    int64_t id = record->events[trace->place.arrival].reply_id;
    for (size_t i = 0; id != 0 && i < record->event_count; i++) {
        const struct ledger_event *event = &record->events[i];
        if (event->kind == LEDGER_EVENT_REPLY_ACKNOWLEDGED && event->reply_id == id) {
            put_publish(trace, id, trace->claimed_at_ms, event->at_ms, slice_text("accepted"));
            return;
        }
    }
}

/* ---- reading ---- */

static void read_parent(struct trace *trace)
{
    struct slice parent = body_text(trace, "traceparent");
    struct slice state = body_text(trace, "tracestate");
    for (size_t i = 0; i < trace->message.property_count; i++) {
        const struct message_property *property = &trace->message.properties[i];
        if (slice_equals_text(property->name, "traceparent")) {
            parent = property->value;
        } else if (slice_equals_text(property->name, "tracestate")) {
            state = property->value;
        }
    }
    trace->has_parent = slice_is_present(parent) && trace_parent_read(parent, &trace->parent);
    if (trace->has_parent) {
        trace->trace_state = state;
    } else {
        digest_of(trace, "trace", 0, TRACE_ID_DIGITS, trace->parent.trace_id);
        trace->parent.is_sampled = true;
    }
    digest_of(trace, "receive", 0, SPAN_ID_DIGITS, trace->root_id);
}

static void read_times(struct trace *trace)
{
    const struct spans_reply *reply = trace->reply;
    bool is_found = trace->place.arrival >= 0;
    int64_t made_at_ms =
        trace->message.made_at_ms > 0 ? trace->message.made_at_ms : reply->acknowledged_at_ms;
    trace->received_at_ms =
        is_found ? reply->record->events[trace->place.arrival].at_ms : made_at_ms;
    int64_t stored_ms = stored_times_get(reply->stored, trace->token, trace->received_at_ms);
    trace->claimed_at_ms = stored_ms > trace->received_at_ms ? stored_ms : trace->received_at_ms;
}

/* Whether there is a trace. */
static bool read_reply(struct trace *trace)
{
    struct json_fault fault;
    trace->place = (struct place){-1, -1, -1, false};
    if (message_decode(trace->reply->message, &trace->message) != STATUS_OK ||
        trace->message.is_dead_letter) {
        return false;
    }
    trace->body = json_parse(trace->message.body, BODY_DEPTH_MAX, &fault);
    trace->token = body_text(trace, "ClientToken");
    if (!slice_is_present(body_text(trace, "Status"))) {
        return false;
    }
    if (trace->reply->record != NULL) {
        (void)find_place(trace->reply->record, trace->reply->id, &trace->place);
    }
    read_parent(trace);
    read_times(trace);
    return trace->parent.is_sampled && !trace->place.is_early &&
           !slice_equals_text(body_text(trace, "Status"), "accepted");
}

size_t spans_put(const struct spans_reply *reply, struct buf *out)
{
    struct trace trace = {.reply = reply, .out = out};
    if (read_reply(&trace)) {
        int64_t made_at_ms = trace.message.made_at_ms;
        put_receive(&trace);
        put_claim(&trace);
        put_early_publish(&trace);
        put_calls(&trace);
        put_publish(&trace, reply->id,
                    made_at_ms > trace.claimed_at_ms ? made_at_ms : trace.claimed_at_ms,
                    reply->acknowledged_at_ms, body_text(&trace, "Status"));
    }
    json_free(trace.body);
    return trace.count;
}

void spans_token(struct slice message, struct buf *out)
{
    struct message decoded;
    struct json_fault fault;
    if (message_decode(message, &decoded) != STATUS_OK || decoded.is_dead_letter) {
        return;
    }
    struct json *body = json_parse(decoded.body, BODY_DEPTH_MAX, &fault);
    struct slice token = json_text(json_member(body, "ClientToken"));
    if (slice_is_present(token) && token.length <= COMMAND_TOKEN_BYTES_MAX) {
        buf_append(out, token);
    }
    json_free(body);
}

void spans_put_request(const char *instance, struct slice spans, struct buf *out)
{
    buf_append_text(out, "{\"resourceSpans\":[{\"resource\":{\"attributes\":[");
    put_attribute(out, "service.name", slice_text(SERVICE));
    put_attribute(out, "service.version", slice_text(BRIDGE_VERSION));
    put_attribute(out, "service.instance.id", slice_text(instance));
    buf_append_text(out, "]},\"scopeSpans\":[{\"scope\":{\"name\":\"" SERVICE
                         "\",\"version\":\"" BRIDGE_VERSION "\"},\"spans\":[");
    buf_append(out, spans);
    buf_append_text(out, "]}]}]}");
}
