/*
 * A message becomes commands (command_map.h), most often one. Each is a job: decide what becomes of
 * it (a claim, the reply of a refusal, or a dead letter) and store that. All jobs of a message are
 * stored in one transaction; then the message is acknowledged. A receiver has at most 256
 * deliveries that wait for their acknowledgements, which limits the number of messages, plus those
 * of receiver processes that have ended meanwhile.
 */
#include "intake/intake.h"

#include "intake/command_map.h"
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
    struct command_map **maps; /* one for each route */
    size_t map_count;
    struct job *jobs; /* not stored yet */
    bool is_stopping;
};

/* A message whose commands are being stored. */
struct arrived {
    struct intake *intake;
    struct mqtt_ticket ticket;
    int64_t arrived_us; /* monotonic */
    int64_t now_ms;     /* wall clock, when it arrived */
    size_t open_count;  /* of its jobs */
    bool is_lost;       /* not all of it could be stored */
};

struct job {
    struct job *prev;
    struct job *next;
    struct arrived *message;
    struct dispatch_reservation reservation;
    /* For the log: of a command that is being claimed. */
    const struct route *route;
    char token[COMMAND_TOKEN_BYTES_MAX + 1];
    char region[REGION_BYTES_MAX + 1];
    char group[COMMAND_GROUP_BYTES_MAX + 1];
};

/* What is known of a command while it is read. */
struct arrival {
    const struct delivery *delivery;
    const struct route *route;
    struct request request; /* it belongs to the mapped message */
    struct refusal refusal;
    struct reply_to reply_to;
    char made_token[DIGEST_SHA256_HEX_BYTES];
    struct slice token; /* the sender's, or made_token; absent in a refusal without one */
    int64_t now_ms;
};

static void free_maps(struct intake *intake)
{
    for (size_t i = 0; i < intake->map_count; i++) {
        command_map_free(intake->maps[i]);
    }
    free(intake->maps);
}

static void make_maps(struct intake *intake)
{
    const struct settings *settings = intake->settings;
    free_maps(intake);
    intake->map_count = settings->route_count;
    intake->maps = mem_zalloc(intake->map_count, sizeof(struct command_map *));
    for (size_t i = 0; i < intake->map_count; i++) {
        intake->maps[i] = command_map_new(&settings->routes[i], &settings->tables);
    }
}

void intake_settings_changed(struct intake *intake)
{
    const struct settings *settings = intake->settings;
    make_maps(intake);
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
        if (--job->message->open_count == 0) {
            free(job->message);
        }
        free(job);
    }
    free_maps(intake);
    free(intake);
}

/* A message that is not taken now, or of which nothing is to be stored. */
static void acknowledge(struct intake *intake, struct mqtt_ticket ticket, bool is_durable)
{
    counter_add(intake->counters, is_durable ? COUNTER_FILTERED : COUNTER_NOT_TAKEN, 1);
    workers_ack(intake->workers, ticket, is_durable);
}

/* What the command became is stored, or could not be. With the last one of a message, that is
 * acknowledged. */
static void stored(void *arg, enum status status)
{
    struct job *job = arg;
    struct arrived *message = job->message;
    struct intake *intake = message->intake;
    counter_add(intake->counters, COUNTER_TAKING, -1);
    if (status == STATUS_OK) {
        histogram_observe(intake->counters, HISTOGRAM_TAKING,
                          clock_mono_us() - message->arrived_us);
    } else {
        counter_add(intake->counters, COUNTER_NOT_TAKEN, 1);
        message->is_lost = true;
    }
    DL_DELETE(intake->jobs, job);
    free(job);
    if (--message->open_count == 0) {
        workers_ack(intake->workers, message->ticket, !message->is_lost);
        free(message);
    }
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
    struct intake *intake = job->message->intake;
    struct dispatch *dispatch = intake->dispatch;
    if (status == STATUS_OK) {
        log_claim(job, result);
        traces_stored(intake->traces, slice_text(job->token), job->message->now_ms);
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

/* Decides whether the command may be claimed, and where its reply goes; STATUS_INVALID with
 * arrival->refusal. */
static enum status accept(const struct intake *intake, struct arrival *arrival)
{
    const struct route *route = arrival->route;
    struct refusal reply_to_refusal = {0};
    arrival->token = arrival->request.token;
    enum status placed = find_reply_to(intake, arrival, &reply_to_refusal);
    if (arrival->refusal.error != ERROR_NONE) {
        return STATUS_INVALID;
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

/* Whether a receiver that began before the limit was raised has cut the payload. Its successor gets
 * it whole, as the broker delivers it again. */
static bool is_cut_by_former_limit(const struct intake *intake, const struct route *route,
                                   const struct delivery *delivery)
{
    return route != NULL && delivery->payload.length < delivery->payload_bytes &&
           delivery->payload_bytes <= route_payload_bytes(route, &intake->limits);
}

/* Claims or refuses one command of the message, or the whole of it. */
static void take(struct intake *intake, struct arrived *message, struct arrival *arrival)
{
    struct job *job = mem_zalloc(1, sizeof *job);
    job->message = message;
    DL_APPEND(intake->jobs, job);
    message->open_count++;
    counter_add(intake->counters, COUNTER_TAKING, 1);
    if (arrival->route != NULL && accept(intake, arrival) == STATUS_OK) {
        claim(intake, arrival, job);
    } else {
        arrival->refusal.element_place = arrival->request.element_place;
        refuse(intake, arrival, job);
    }
    reply_to_fini(&arrival->reply_to);
}

/* Takes all commands of the message in one transaction; its callbacks come later. */
static void take_mapped(struct intake *intake, struct arrived *message, const struct route *route,
                        const struct delivery *delivery, const struct mapped_message *mapped)
{
    bool is_together = mapped->count > 1;
    if (is_together) {
        ledger_begin_together(intake->ledger);
    }
    for (size_t i = 0; i < mapped->count; i++) {
        struct arrival arrival = {.delivery = delivery,
                                  .route = route,
                                  .request = mapped->commands[i].request,
                                  .refusal = mapped->commands[i].refusal,
                                  .now_ms = message->now_ms};
        take(intake, message, &arrival);
    }
    if (is_together) {
        ledger_end_together(intake->ledger);
    }
}

/* Counts what of the message is no command: elements for which the conditions do not hold. */
static void count_filtered(struct intake *intake, const struct route *route,
                           const struct delivery *delivery, const struct mapped_message *mapped)
{
    size_t element_count = mapped->count + mapped->filtered_count;
    /* The message itself has been counted when it arrived. */
    counter_add(intake->counters, COUNTER_RECEIVED,
                element_count > 0 ? (int64_t)element_count - 1 : 0);
    if (mapped->count > 0) {
        counter_add(intake->counters, COUNTER_FILTERED, (int64_t)mapped->filtered_count);
    } else if (mapped->filtered_count > 1) {
        counter_add(intake->counters, COUNTER_FILTERED, (int64_t)mapped->filtered_count - 1);
    }
    if (mapped->filtered_count > 0) {
        LOG_DEBUG("message_filtered", LOG_TEXT("route", route->name),
                  LOG_SLICE("topic", delivery->topic),
                  LOG_INT("filtered", (int64_t)mapped->filtered_count),
                  LOG_INT("commands", (int64_t)mapped->count));
    }
}

static void take_message(struct intake *intake, const struct route *route,
                         const struct delivery *delivery, struct mqtt_ticket ticket)
{
    struct mapped_message mapped;
    struct arrived *message = mem_zalloc(1, sizeof *message);
    *message = (struct arrived){.intake = intake,
                                .ticket = ticket,
                                .arrived_us = clock_mono_us(),
                                .now_ms = clock_wall_ms()};
    CRASH_POINT_PASS(BEFORE_PARSING, delivery->payload);
    if (route == NULL) { /* the broker delivers more than the filters ask for */
        struct arrival arrival = {.delivery = delivery, .now_ms = message->now_ms};
        arrival.refusal.error = ERROR_NOT_ALLOWED;
        strcpy(arrival.refusal.message, "No route of this bridge lists a filter for this topic.");
        take(intake, message, &arrival);
        return;
    }
    command_map_read(intake->maps[route - intake->settings->routes], delivery, &intake->limits,
                     &mapped);
    count_filtered(intake, route, delivery, &mapped);
    if (mapped.count > 0) {
        take_mapped(intake, message, route, delivery, &mapped);
    } else {
        acknowledge(intake, ticket, true);
        free(message);
    }
    mapped_message_fini(&mapped);
}

void intake_deliver(struct intake *intake, const struct delivery *delivery,
                    struct mqtt_ticket ticket)
{
    const struct route *route =
        route_of_topic(intake->settings->routes, intake->settings->route_count, delivery->topic);
    bool comes_again = intake->is_stopping || is_cut_by_former_limit(intake, route, delivery);
    if (outbox_is_full(intake->outbox) || (comes_again && delivery->qos > 0)) {
        acknowledge(intake, ticket, false);
    } else {
        take_message(intake, route, delivery, ticket);
    }
}

void intake_stop(struct intake *intake)
{
    intake->is_stopping = true;
}
