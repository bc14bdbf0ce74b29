/*
 * Where the next process connects to, how, and when.
 */
#include "worker_attempt.h"

#include "base/digest.h"
#include "base/log.h"
#include "model/retry.h"

#include <stdio.h>
#include <string.h>

#define GOOD_CONNECTION_MS 10000 /* its end does not add to the failures in a row */
#define LOST_SOON_MAX      3     /* connections in a row that ended sooner than that */
#define TAKE_OVER_HINT \
    "; the broker ends each connection soon: another client may use the same client id"
/* Reason codes of MQTT 5. */
#define RETAIN_NOT_SUPPORTED 0x9a
#define QOS_NOT_SUPPORTED    0x9b

enum broker_limit { LIMIT_RETAIN, LIMIT_QOS, LIMIT_SESSION_EXPIRY };

/* Logs once that the broker allows less than the bridge asks for. */
static void report_limit(struct worker *worker, enum broker_limit limit, int64_t asked,
                         int64_t granted)
{
    static const char *const names[] = {
        [LIMIT_RETAIN] = "retain",
        [LIMIT_QOS] = "qos",
        [LIMIT_SESSION_EXPIRY] = "session_expiry_s",
    };
    if (granted < asked && (worker->limits_reported & 1u << limit) == 0) {
        worker->limits_reported |= 1u << limit;
        LOG_WARN("broker_limit", LOG_TEXT("process", worker->name), LOG_TEXT("limit", names[limit]),
                 LOG_INT("asked", asked), LOG_INT("granted", granted));
    }
}

void worker_attempt_report_limits(struct worker *worker, const struct wire_up *up)
{
    const struct settings *settings = worker->setup->settings;
    report_limit(worker, LIMIT_QOS, 1, up->max_qos);
    if (worker->role == WIRE_PUBLISHER) {
        bool is_asked = settings->broker.retain && slice_is_present(worker->setup->will);
        report_limit(worker, LIMIT_RETAIN, is_asked, up->has_retain);
    } else if (worker->attempt.session == NULL ||
               worker->attempt.session->use == MQTT_SESSION_USE) {
        report_limit(worker, LIMIT_SESSION_EXPIRY, settings->broker.session_expiry_s,
                     up->session_expiry_s);
    }
}

/* ---- After an attempt, or a connection ---- */

/*
 * Two clients with one client id throw each other out for ever: each connection works for a moment,
 * and most brokers do not say why it ends. So a connection only counts as good if it stood for
 * longer than the other side waited to come back, or worked and was not lost soon again and again.
 */
void worker_attempt_count_failure(struct worker *worker, bool was_up)
{
    int64_t lasted_ms = loop_now_ms(worker->setup->loop) - worker->up_ms;
    bool has_lasted = was_up && lasted_ms >= GOOD_CONNECTION_MS + 2 * worker->retry_ms;
    struct worker_end *end = &worker->end;
    bool is_taken_over = end->is_known && end->reason == WIRE_DOWN_TAKEN_OVER;
    bool is_lost = end->is_known && end->reason == WIRE_DOWN_LOST;
    worker->lost_soon = was_up && is_lost && !has_lasted ? worker->lost_soon + 1 : 0;
    bool was_good =
        has_lasted || (worker->has_worked && !is_taken_over && worker->lost_soon < LOST_SOON_MAX);
    worker->failures = was_good ? 1 : worker->failures + 1;
    if (worker->lost_soon >= LOST_SOON_MAX) {
        size_t length = strlen(end->text);
        snprintf(end->text + length, sizeof end->text - length, TAKE_OVER_HINT);
    }
}

void worker_attempt_reset(struct worker *worker)
{
    worker->attempt = (struct connect_attempt){0};
    worker->addresses.count = 0;
    worker->first_end = (struct worker_end){0};
}

/* The broker refused what the will asks for, before it said what it allows (MQTT 5,
 * section 3.2.2.2): the next attempt goes without. */
static bool may_ask_for_less(struct worker *worker)
{
    const struct worker_end *end = &worker->end;
    bool is_refused = end->is_known && end->reason == WIRE_DOWN_REFUSED;
    if (is_refused && end->code == RETAIN_NOT_SUPPORTED && !worker->has_no_retain) {
        worker->has_no_retain = true;
        report_limit(worker, LIMIT_RETAIN, 1, 0);
        return true;
    }
    if (is_refused && end->code == QOS_NOT_SUPPORTED && !worker->has_no_qos_1) {
        worker->has_no_qos_1 = true;
        report_limit(worker, LIMIT_QOS, 1, 0);
        return true;
    }
    return false;
}

bool worker_attempt_next(struct worker *worker)
{
    static const bool may_be_better_elsewhere[] = {
        [WIRE_DOWN_CONNECT] = true,     [WIRE_DOWN_REFUSED] = true,    [WIRE_DOWN_SUBSCRIBE] = true,
        [WIRE_DOWN_LOST] = true,        [WIRE_DOWN_ACK] = false,       [WIRE_DOWN_INTERNAL] = false,
        [WIRE_DOWN_TAKEN_OVER] = false, [WIRE_DOWN_KEEPALIVE] = false,
    };
    const struct settings *settings = worker->setup->settings;
    struct connect_attempt *attempt = &worker->attempt;
    const struct worker_end *end = &worker->end;
    uint32_t keepalive_s =
        attempt->keepalive_s > 0 ? attempt->keepalive_s : (uint32_t)settings->broker.keepalive_s;
    if (end->is_known && end->reason == WIRE_DOWN_KEEPALIVE && end->code < keepalive_s) {
        attempt->keepalive_s = end->code;
        return true;
    }
    if (may_ask_for_less(worker)) {
        return true;
    }
    if (end->is_known && !may_be_better_elsewhere[end->reason]) {
        return false;
    }
    /* The refusal of one address is more useful than the failure to reach another. */
    if (end->is_known && end->reason != WIRE_DOWN_CONNECT && !worker->first_end.is_known) {
        worker->first_end = *end;
    }
    if (worker->address + 1 < worker->addresses.count) {
        worker->address++;
        *attempt = (struct connect_attempt){
            attempt->uri, worker->addresses.addresses[worker->address], .keepalive_s = 0};
        return true;
    }
    if (attempt->uri + 1 < settings->broker.uris.count) {
        *attempt = (struct connect_attempt){.uri = attempt->uri + 1};
        worker->addresses.count = 0;
        return true;
    }
    if (worker->first_end.is_known) {
        worker->end = worker->first_end;
    }
    return false;
}

int64_t worker_attempt_delay_ms(const struct worker *worker)
{
    const struct settings *settings = worker->setup->settings;
    uint32_t random;
    digest_random(&random, sizeof random);
    return retry_reconnect_ms(worker->failures, settings->broker.reconnect_min_s * 1000,
                              settings->broker.reconnect_max_s * 1000, random);
}
