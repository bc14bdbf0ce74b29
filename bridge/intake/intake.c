/*
 * One delivery is one job: read it, decide what becomes of it (a claim, the reply of a refusal, or
 * a dead letter), store that, acknowledge. A receiver has at most 256 deliveries that wait
 * for their acknowledgements, which limits the number of jobs, plus those of receiver processes
 * that have ended meanwhile.
 */
#include "intake/intake.h"

#include "intake/command_read.h"

#include "base/clock.h"
#include "base/crash_point.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/audit_record.h"
#include "model/command.h"
#include "model/region.h"
#include "model/reply.h"
#include "model/topic.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

/* {Route} in the topic of a dead letter from a topic that no route lists: not empty, since a topic
 * must not be. */
#define NO_ROUTE "none"

struct intake {
    const struct settings *settings;
    struct counters *counters;
    struct ledger *ledger;
    struct dispatch *dispatch;
    struct outbox *outbox;
    struct workers *workers;
    struct traces *traces; /* or NULL */
    struct command_limits limits;
    struct reply_settings replies;
    struct job *jobs; /* not acknowledged yet */
    bool is_stopping;
};

struct job {
    struct job *prev;
    struct job *next;
    struct intake *intake;
    struct mqtt_ticket ticket;
    int64_t arrived_us; /* monotonic */
    int64_t received_at_ms;
    struct dispatch_reservation reservation;
    /* For the log: of a command that is being claimed. */
    const struct route *route;
    char token[COMMAND_TOKEN_BYTES_MAX + 1];
    char region[REGION_BYTES_MAX + 1];
    char group[COMMAND_GROUP_BYTES_MAX + 1];
};

/* What is known of a delivery while it is read. */
struct arrival {
    const struct delivery *delivery;
    const struct route *route;
    struct request request;
    struct refusal refusal;
    struct reply_to reply_to;
    char made_token[DIGEST_SHA256_HEX_BYTES];
    struct slice token; /* the sender's, or made_token; absent in a refusal without one */
    int64_t now_ms;
};

void intake_settings_changed(struct intake *intake)
{
    const struct settings *settings = intake->settings;
    intake->limits.payload_bytes = (size_t)settings->limits.payload_bytes;
    intake->limits.reply_topic_bytes = (size_t)settings->limits.reply_topic_bytes;
    intake->limits.correlation_bytes = (size_t)settings->limits.correlation_bytes;
    intake->limits.deadline_s = settings->limits.deadline_s;
    intake->limits.commands_per_message = (size_t)settings->limits.commands_per_message;
    intake->replies.qos = (uint8_t)settings->replies.qos;
    intake->replies.expiry_s = settings->replies.expiry_s;
}

struct intake *intake_new(const struct settings *settings, struct counters *counters,
                          struct ledger *ledger, struct dispatch *dispatch, struct outbox *outbox,
                          struct workers *workers)
{
    struct intake *intake = mem_zalloc(1, sizeof *intake);
    intake->settings = settings;
    intake->counters = counters;
    intake->ledger = ledger;
    intake->dispatch = dispatch;
    intake->outbox = outbox;
    intake->workers = workers;
    intake_settings_changed(intake);
    return intake;
}

void intake_trace(struct intake *intake, struct traces *traces)
{
    intake->traces = traces;
}

void intake_free(struct intake *intake)
{
    if (intake == NULL) {
        return;
    }
    struct job *job;
    struct job *next;
    DL_FOREACH_SAFE (intake->jobs, job, next) {
        free(job);
    }
    free(intake);
}

static void acknowledge(struct intake *intake, struct mqtt_ticket ticket, bool is_durable)
{
    counter_add(intake->counters, COUNTER_TAKING, -1);
    if (!is_durable) {
        counter_add(intake->counters, COUNTER_NOT_TAKEN, 1);
    }
    workers_ack(intake->workers, ticket, is_durable);
}

/* What the delivery became is stored, or could not be. */
static void stored(void *arg, enum status status)
{
    struct job *job = arg;
    struct intake *intake = job->intake;
    if (status == STATUS_OK) {
        histogram_observe(intake->counters, HISTOGRAM_TAKING, clock_mono_us() - job->arrived_us);
    }
    acknowledge(intake, job->ticket, status == STATUS_OK);
    DL_DELETE(intake->jobs, job);
    free(job);
}

/* A command that is not called has no other line in the log. */
static void log_claim(const struct job *job, enum claim_result result)
{
    const struct log_field fields[] = {
        LOG_TEXT("token", job->token),
        LOG_TEXT("route", job->route->name),
        LOG_TEXT("region", job->region),
        LOG_TEXT("group", job->group),
    };
    const size_t count = sizeof fields / sizeof fields[0];
    if (result == CLAIM_REPLAYED) {
        log_fields(LOG_LEVEL_INFO, "command_replayed", fields, count);
    } else if (result == CLAIM_WAITS) {
        log_fields(LOG_LEVEL_INFO, "command_waits", fields, count);
    } else if (result == CLAIM_MISMATCH) {
        log_fields(LOG_LEVEL_WARN, "token_mismatch", fields, count);
    }
}

static void claimed(void *arg, enum status status, enum claim_result result,
                    struct command *command_take)
{
    struct job *job = arg;
    struct dispatch *dispatch = job->intake->dispatch;
    if (status == STATUS_OK) {
        log_claim(job, result);
        traces_stored(job->intake->traces, slice_text(job->token), job->received_at_ms);
    }
    if (command_take != NULL) {
        dispatch_claimed(dispatch, job->reservation, command_take);
    } else if (job->reservation.group != NULL) {
        dispatch_release(dispatch, job->reservation);
    }
    stored(arg, status);
}

/* The message's part of an audit record, and in a refusal what could be read of the command; empty
 * where there is no audit file. */
static struct buf audit_of(const struct intake *intake, const struct arrival *arrival)
{
    struct buf members = {0};
    bool is_refused = arrival->refusal.error != ERROR_NONE;
    if (intake->settings->audit.file[0] == '\0') {
        return members;
    }
    if (is_refused) {
        audit_put_request(&members, arrival->route, &arrival->request, arrival->token);
    }
    audit_put_arrival(&members, arrival->delivery, &arrival->reply_to,
                      arrival->token.data == arrival->made_token);
    if (is_refused) {
        json_put_text(&members, "Code", slice_text(bridge_error_row(arrival->refusal.error)->code));
    }
    return members;
}

/* Refuses the command: with a reply where it has a reply topic, else with a dead letter. */
static void refuse(struct intake *intake, struct arrival *arrival, struct job *job)
{
    struct buf message = {0};
    struct buf audit = audit_of(intake, arrival);
    bool is_dead_letter = arrival->reply_to.topic == NULL;
    if (is_dead_letter) {
        struct buf topic = {0};
        const struct topic_values values = {.instance = intake->settings->instance,
                                            .route = arrival->route == NULL ? NO_ROUTE
                                                                            : arrival->route->name};
        if (topic_expand(intake->settings->topics.dead_letters, &values, &topic) == STATUS_OK) {
            reply_render_dead_letter(&arrival->refusal, arrival->route, arrival->delivery,
                                     topic.data, arrival->now_ms, intake->replies.qos, &message);
        }
        buf_fini(&topic);
    } else {
        reply_render_refusal(&arrival->refusal, arrival->route, &arrival->request, arrival->token,
                             &arrival->reply_to, arrival->now_ms, &intake->replies, &message);
    }
    LOG_INFO("command_refused", LOG_TEXT("code", bridge_error_row(arrival->refusal.error)->code),
             LOG_TEXT("message", arrival->refusal.message),
             LOG_TEXT("route", arrival->route == NULL ? "" : arrival->route->name),
             LOG_SLICE("region", arrival->request.region),
             LOG_SLICE("group", arrival->request.group), LOG_SLICE("token", arrival->token),
             LOG_SLICE("topic", arrival->delivery->topic),
             LOG_TEXT("answer", is_dead_letter ? "dead_letter" : arrival->reply_to.topic),
             LOG_TEXT("traceparent", arrival->reply_to.traceparent));
    ledger_post(intake->ledger, buf_slice(&message), is_dead_letter, arrival->refusal.error, &audit,
                stored, job);
    buf_fini(&message);
}

static void claim(struct intake *intake, struct arrival *arrival, struct job *job)
{
    /* Further log lines name the command by its token: this one connects it to the sender's trace.
     */
    if (arrival->reply_to.traceparent != NULL) {
        LOG_INFO("command_traced", LOG_SLICE("token", arrival->token),
                 LOG_TEXT("traceparent", arrival->reply_to.traceparent),
                 LOG_TEXT("tracestate", arrival->reply_to.tracestate));
    }
    struct ledger_claim request = {
        .command = command_new(arrival->route, &arrival->request, arrival->delivery, arrival->token,
                               &intake->limits, arrival->now_ms),
        .reply_to = arrival->reply_to,
        .wants_accepted = arrival->route->has_accepted_reply,
        .unless_message = "",
        .audit = audit_of(intake, arrival),
    };
    arrival->reply_to = (struct reply_to){0};
    job->route = arrival->route;
    job->received_at_ms = arrival->now_ms;
    snprintf(job->token, sizeof job->token, "%s", request.command->token);
    snprintf(job->region, sizeof job->region, "%s", request.command->region);
    snprintf(job->group, sizeof job->group, "%s", request.command->group);
    if (request.command->deadline_at_ms <= arrival->now_ms) {
        request.unless_found = ERROR_EXPIRED;
        request.unless_message =
            "NotAfter or the Message Expiry Interval had passed when the command arrived.";
    } else if (intake->is_stopping) {
        request.unless_found = ERROR_SHUTTING_DOWN;
        request.unless_message = "The bridge is shutting down and accepts no new commands.";
    } else {
        job->reservation = dispatch_reserve(intake->dispatch, request.command);
        request.is_called_at_once = job->reservation.is_called_at_once;
    }
    ledger_claim(intake->ledger, &request, claimed, job);
}

/* Finds out where the reply goes, with the token as known so far. */
static enum status find_reply_to(const struct intake *intake, struct arrival *arrival,
                                 struct refusal *out_refusal)
{
    return reply_to_resolve(arrival->route, intake->settings->instance, &intake->limits,
                            arrival->delivery, &arrival->request, arrival->token,
                            &arrival->reply_to, out_refusal);
}

/* Reads the command and where its reply goes; STATUS_INVALID with arrival->refusal. */
static enum status read_command(const struct intake *intake, struct arrival *arrival)
{
    const struct route *route = arrival->route;
    struct refusal reply_to_refusal = {0};
    enum status read = request_read(route, arrival->delivery, &intake->limits, &arrival->request,
                                    &arrival->refusal);
    arrival->token = arrival->request.token;
    enum status placed = find_reply_to(intake, arrival, &reply_to_refusal);
    if (read != STATUS_OK) {
        return read;
    }
    enum status allowed = request_authorise(route, &arrival->request, &arrival->refusal);
    if (allowed != STATUS_OK) {
        return allowed;
    }
    if (placed != STATUS_OK) {
        arrival->refusal = reply_to_refusal;
        return placed;
    }
    if (!slice_is_present(arrival->token)) {
        /* Only for a command that may be claimed: a refusal to a topic that is made with a made
         * token would reach nobody. */
        command_make_token(route, arrival->delivery, &arrival->request, arrival->made_token);
        arrival->token = slice_text(arrival->made_token);
        reply_to_fini(&arrival->reply_to);
        placed = find_reply_to(intake, arrival, &reply_to_refusal);
        assert(placed == STATUS_OK);
    }
    return STATUS_OK;
}

/* Whether a receiver that began before limits.payload_bytes was raised has cut the payload. Its
 * successor gets it whole, as the broker delivers it again. */
static bool is_cut_by_former_limit(const struct intake *intake, const struct delivery *delivery)
{
    return delivery->payload.length < delivery->payload_bytes &&
           delivery->payload_bytes <= intake->limits.payload_bytes;
}

void intake_deliver(struct intake *intake, const struct delivery *delivery,
                    struct mqtt_ticket ticket)
{
    bool comes_again = intake->is_stopping || is_cut_by_former_limit(intake, delivery);
    counter_add(intake->counters, COUNTER_TAKING, 1);
    if (outbox_is_full(intake->outbox) || (comes_again && delivery->qos > 0)) {
        acknowledge(intake, ticket, false);
        return;
    }
    struct job *job = mem_zalloc(1, sizeof *job);
    job->intake = intake;
    job->ticket = ticket;
    job->arrived_us = clock_mono_us();
    DL_APPEND(intake->jobs, job);
    CRASH_POINT_PASS(BEFORE_PARSING, delivery->payload);
    struct arrival arrival = {
        .delivery = delivery,
        .route = route_of_topic(intake->settings->routes, intake->settings->route_count,
                                delivery->topic),
        .now_ms = clock_wall_ms(),
    };
    enum status status = STATUS_INVALID;
    if (arrival.route == NULL) { /* the broker delivers more than the filters ask for */
        arrival.refusal.error = ERROR_NOT_ALLOWED;
        strcpy(arrival.refusal.message, "No route of this bridge lists a filter for this topic.");
    } else {
        status = read_command(intake, &arrival);
    }
    if (status == STATUS_OK) {
        claim(intake, &arrival, job);
    } else {
        refuse(intake, &arrival, job);
    }
    reply_to_fini(&arrival.reply_to);
    request_fini(&arrival.request);
}

void intake_stop(struct intake *intake)
{
    intake->is_stopping = true;
}
