/*
 * A reply waits in the queue; then its record is asked for; then its spans are in the batch, which
 * is sent when it is full, or when nothing is left to ask for. While a batch is being sent, or
 * waits to be sent again, replies stay in the queue. So the queue alone is limited.
 */
#include "traces/traces.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "http/client.h"
#include "model/retry.h"
#include "settings/url.h"
#include "spans.h"
#include "stored_times.h"

#include <inttypes.h>
#include <stdlib.h>
#include <utlist.h>

#define QUEUE_MAX       2048
#define QUEUE_BYTES_MAX ((size_t)4 << 20)
#define ASKED_MAX       32  /* records that are asked for at the same time */
#define BATCH_SPANS     512 /* a batch with so many is sent; OpenTelemetry's default */
#define COLLECT_MS      1000
#define RETRY_MS        1000
#define RETRY_MS_MAX    30000
#define TRIES_MAX       5 /* of a batch */
#define CONNECT_MS      5000
#define ANSWER_MS       10000
#define ANSWER_BYTES    ((size_t)64 << 10)
#define ANSWER_DEPTH    16
#define DEFAULT_PATH    "/v1/traces"

struct entry {
    struct entry *prev;
    struct entry *next;
    struct traces *traces;
    int64_t id;
    int64_t acknowledged_at_ms;
    size_t length;
    char bytes[];
};

struct traces {
    struct loop *loop;
    struct counters *counters;
    struct ledger *ledger;
    struct http *http;
    struct loop_timer *timer;
    char *url;
    char *instance;
    struct entry *queue;
    size_t queue_count;
    size_t queue_bytes;
    struct entry *asked;
    size_t asked_count;
    struct buf batch; /* spans */
    size_t batch_spans;
    size_t batch_traces;
    bool is_sending;
    uint32_t tries;        /* of this batch */
    uint32_t failures;     /* in a row */
    int64_t dropped_count; /* since the collector took a batch, or since the start */
    loop_fn *flushed;
    void *flushed_arg;
    struct stored_times stored;
};

static void pump(void *arg);

struct traces *traces_new(struct loop *loop, const char *endpoint, const char *instance,
                          struct counters *counters)
{
    struct url url = {0};
    const char *why;
    if (endpoint[0] == '\0') {
        return NULL;
    }
    struct traces *traces = mem_zalloc(1, sizeof *traces);
    const struct http_options options = {.connect_timeout_ms = CONNECT_MS,
                                         .read_timeout_ms = ANSWER_MS,
                                         .answer_bytes_max = ANSWER_BYTES,
                                         .proxy = "",
                                         .connections_max = 1};
    struct buf whole = {0};
    bool has_path = url_split(endpoint, &url, &why) && slice_is_present(url.path);
    buf_append_text(&whole, endpoint);
    buf_append_text(&whole, has_path ? "" : DEFAULT_PATH);
    traces->loop = loop;
    traces->counters = counters;
    traces->http = http_new(loop, &options);
    traces->timer = loop_timer_new(loop, pump, traces);
    traces->url = buf_take(&whole);
    traces->instance = mem_strdup(instance);
    return traces;
}

void traces_connect(struct traces *traces, struct ledger *ledger)
{
    if (traces != NULL) {
        traces->ledger = ledger;
    }
}

static void count_dropped(struct traces *traces, size_t count)
{
    counter_add(traces->counters, COUNTER_TRACES_DROPPED, (int64_t)count);
    traces->dropped_count += (int64_t)count;
}

static void free_entries(struct entry *entries)
{
    struct entry *entry;
    struct entry *next;
    DL_FOREACH_SAFE (entries, entry, next) {
        free(entry);
    }
}

void traces_free(struct traces *traces)
{
    if (traces == NULL) {
        return;
    }
    size_t left = traces->queue_count + traces->asked_count + traces->batch_traces;
    count_dropped(traces, left);
    if (left > 0) {
        LOG_WARN("traces_left_behind", LOG_INT("traces", left));
    }
    free_entries(traces->queue);
    free_entries(traces->asked);
    http_free(traces->http);
    loop_timer_free(traces->timer);
    buf_fini(&traces->batch);
    free(traces->url);
    free(traces->instance);
    free(traces);
}

void traces_stored(struct traces *traces, struct slice token, int64_t received_at_ms)
{
    if (traces != NULL) {
        stored_times_set(&traces->stored, token, received_at_ms, clock_wall_ms());
    }
}

void traces_published(struct traces *traces, int64_t id, struct slice message)
{
    if (traces == NULL) {
        return;
    }
    if (traces->queue_count >= QUEUE_MAX ||
        traces->queue_bytes + message.length > QUEUE_BYTES_MAX) {
        count_dropped(traces, 1);
        return;
    }
    struct entry *entry = mem_alloc(sizeof *entry + message.length);
    *entry = (struct entry){.traces = traces,
                            .id = id,
                            .acknowledged_at_ms = clock_wall_ms(),
                            .length = message.length};
    memcpy(entry->bytes, message.data, message.length);
    DL_APPEND(traces->queue, entry);
    traces->queue_count++;
    traces->queue_bytes += message.length;
    if (!traces->is_sending && traces->asked_count == 0 && !loop_timer_is_running(traces->timer)) {
        loop_timer_start(traces->timer, COLLECT_MS);
    }
}

/* ---- Sending a batch ---- */

static void drop_batch(struct traces *traces)
{
    buf_clear(&traces->batch);
    traces->batch_spans = traces->batch_traces = 0;
    traces->tries = 0;
}

static void end_flush(struct traces *traces)
{
    loop_fn *flushed = traces->flushed;
    traces->flushed = NULL;
    if (flushed != NULL) {
        flushed(traces->flushed_arg);
    }
}

/* The collector took the request, but maybe not all spans: its answer says how many it refused. */
static void report_rejected(struct slice body)
{
    struct json_fault fault;
    struct json *answer = json_parse(body, ANSWER_DEPTH, &fault);
    const struct json *partial = json_member(answer, "partialSuccess");
    const struct json *rejected = json_member(partial, "rejectedSpans");
    struct slice text = json_text(rejected); /* a number of 64 bits is a text, or a number */
    bool is_some =
        slice_is_present(text) ? !slice_equals_text(text, "0") : json_number(rejected) > 0;
    if (is_some) {
        LOG_WARN("spans_rejected",
                 LOG_SLICE("why", json_text(json_member(partial, "errorMessage"))));
    }
    json_free(answer);
}

static void taken(struct traces *traces, const struct http_answer *answer)
{
    report_rejected(answer->body);
    counter_add(traces->counters, COUNTER_TRACES_SENT, (int64_t)traces->batch_traces);
    if (traces->failures > 0 || traces->dropped_count > 0) {
        LOG_INFO("traces_available", LOG_INT("dropped", traces->dropped_count));
    }
    traces->failures = 0;
    traces->dropped_count = 0;
    drop_batch(traces);
    pump(traces);
}

/* Whether the same request may succeed later: OTLP, "Failures", and no answer at all. */
static bool is_temporary(const struct http_answer *answer)
{
    return answer->result != HTTP_ANSWERED || answer->status == 429 || answer->status == 502 ||
           answer->status == 503 || answer->status == 504;
}

static void not_taken(struct traces *traces, const struct http_answer *answer)
{
    if (traces->failures == 0) {
        struct buf why = {0};
        if (answer->result == HTTP_ANSWERED) {
            buf_printf(&why, "the collector answered with the HTTP status %d", answer->status);
        } else {
            buf_append_text(&why, answer->error);
        }
        LOG_WARN("traces_unavailable", LOG_SLICE("why", buf_slice(&why)));
        buf_fini(&why);
    }
    traces->failures++;
    if (!is_temporary(answer) || traces->tries >= TRIES_MAX) {
        count_dropped(traces, traces->batch_traces);
        drop_batch(traces);
    }
    loop_timer_start(traces->timer, retry_doubled_ms(traces->failures, RETRY_MS, RETRY_MS_MAX));
    end_flush(traces);
}

static void answered(void *arg, const struct http_answer *answer)
{
    struct traces *traces = arg;
    traces->is_sending = false;
    if (answer->result == HTTP_ANSWERED && answer->status >= 200 && answer->status < 300) {
        taken(traces, answer);
    } else {
        not_taken(traces, answer);
    }
}

static void send_batch(struct traces *traces)
{
    static const char *const headers[] = {"Content-Type: application/json", HTTP_USER_AGENT};
    struct buf body = {0};
    spans_put_request(traces->instance, buf_slice(&traces->batch), &body);
    traces->is_sending = true;
    traces->tries++;
    http_send(traces->http,
              &(struct http_request){.method = "POST",
                                     .url = traces->url,
                                     .headers = headers,
                                     .header_count = sizeof headers / sizeof headers[0],
                                     .body = buf_slice(&body)},
              answered, traces);
    buf_fini(&body);
}

/* ---- Making a batch ---- */

/* Without a record, the message alone gives some spans. */
static void add_spans(const struct entry *entry, const struct ledger_record *record)
{
    struct traces *traces = entry->traces;
    const struct spans_reply reply = {.instance = traces->instance,
                                      .id = entry->id,
                                      .message = slice_of(entry->bytes, entry->length),
                                      .acknowledged_at_ms = entry->acknowledged_at_ms,
                                      .record = record,
                                      .stored = &traces->stored};
    size_t count = spans_put(&reply, &traces->batch);
    traces->batch_spans += count;
    traces->batch_traces += count > 0;
}

static void found(void *arg, enum status status, const struct ledger_record *const *records,
                  size_t count)
{
    struct entry *entry = arg;
    struct traces *traces = entry->traces;
    add_spans(entry, status == STATUS_OK && count > 0 ? records[0] : NULL);
    DL_DELETE(traces->asked, entry);
    traces->asked_count--;
    free(entry);
    if (traces->asked_count == 0) {
        pump(traces);
    }
}

/* Asks for the records of the first replies in the queue. */
static void ask(struct traces *traces)
{
    struct entry *entry;
    struct entry *next;
    struct buf token = {0};
    DL_FOREACH_SAFE (traces->queue, entry, next) {
        if (traces->asked_count >= ASKED_MAX || traces->batch_spans >= BATCH_SPANS) {
            break;
        }
        DL_DELETE(traces->queue, entry);
        traces->queue_count--;
        traces->queue_bytes -= entry->length;
        buf_clear(&token);
        spans_token(slice_of(entry->bytes, entry->length), &token);
        if (token.length > 0) {
            DL_APPEND(traces->asked, entry);
            traces->asked_count++;
            ledger_query_token(traces->ledger, buf_slice(&token), found, entry);
        } else {
            add_spans(entry, NULL);
            free(entry);
        }
    }
    buf_fini(&token);
}

static void pump(void *arg)
{
    struct traces *traces = arg;
    if (traces->is_sending || traces->asked_count > 0) {
        return;
    }
    loop_timer_stop(traces->timer);
    if (traces->tries == 0) { /* a batch that is sent again stays as it is */
        ask(traces);
    }
    if (traces->asked_count == 0 && traces->batch_spans > 0) {
        send_batch(traces);
    } else if (traces->asked_count == 0) {
        end_flush(traces);
    }
}

void traces_flush(struct traces *traces, loop_fn *done, void *arg)
{
    if (traces == NULL || traces->failures > 0) {
        done(arg);
        return;
    }
    traces->flushed = done;
    traces->flushed_arg = arg;
    pump(traces);
}
