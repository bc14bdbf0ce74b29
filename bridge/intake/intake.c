/*
 * One delivery is one job: read it, decide what it becomes (a claim, a refusal's reply, a dead
 * letter), store that, settle. A receiver waits for its verdict, so there are never more jobs than
 * receivers, plus those of processes that ended meanwhile.
 */
#include "intake/intake.h"

#include "command_read.h"

#include "base/clock.h"
#include "base/crash_point.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/audit_record.h"
#include "model/command.h"
#include "model/reply.h"
#include "model/topic.h"

#include <assert.h>
#include <stdlib.h>
#include <utlist.h>

/* {Route} in the topic of a dead letter that no route lists: a template of it alone must not come
 * out empty. */
#define NO_ROUTE "none"

struct intake {
    const struct settings *settings;
    struct counters *counters;
    struct ledger *ledger;
    struct dispatch *dispatch;
    struct workers *workers;
    struct command_limits limits;
    struct reply_settings replies;
    struct job *jobs; /* under way */
    bool is_stopping;
};

struct job {
    struct job *prev;
    struct job *next;
    struct intake *intake;
    struct mqtt_ticket ticket;
    int64_t arrived_at_ms; /* wall clock */
    struct dispatch_reservation reservation;
};

/* Everything one delivery is judged by, for the time of the call. */
struct judgement {
    const struct delivery *delivery;
    const struct route *route;
    struct request request;
    struct refusal refusal;
    struct reply_to reply_to;
    char made_token[DIGEST_SHA256_HEX_BYTES];
    struct slice token; /* the sender's or the made one; absent in a refusal without one */
    int64_t now_ms;
};

struct intake *intake_new(const struct settings *settings, struct counters *counters,
                          struct ledger *ledger, struct dispatch *dispatch, struct workers *workers)
{
    struct intake *intake = mem_zalloc(1, sizeof *intake);
    intake->settings = settings;
    intake->counters = counters;
    intake->ledger = ledger;
    intake->dispatch = dispatch;
    intake->workers = workers;
    intake->limits.payload_bytes = (size_t)settings->limits.payload_bytes;
    intake->limits.deadline_s = settings->limits.deadline_s;
    intake->replies.qos = (uint8_t)settings->replies.qos;
    intake->replies.expiry_s = settings->replies.expiry_s;
    return intake;
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

static void settle(struct intake *intake, struct mqtt_ticket ticket, bool is_durable)
{
    counter_add(intake->counters, COUNTER_TAKING, -1);
    if (!is_durable) {
        counter_add(intake->counters, COUNTER_NOT_TAKEN, 1);
    }
    workers_ack(intake->workers, ticket, is_durable);
}

static void posted(void *arg, enum status status)
{
    struct job *job = arg;
    struct intake *intake = job->intake;
    settle(intake, job->ticket, status == STATUS_OK);
    DL_DELETE(intake->jobs, job);
    free(job);
}

static void claimed(void *arg, enum status status, enum claim_result result,
                    struct command *command_take)
{
    struct job *job = arg;
    struct dispatch *dispatch = job->intake->dispatch;
    (void)result;
    if (command_take != NULL) {
        dispatch_claimed(dispatch, job->reservation, command_take);
    } else if (job->reservation.group != NULL) {
        dispatch_release(dispatch, job->reservation);
    }
    posted(arg, status);
}

/* What the audit file is to say of the message; empty where there is no such file. */
static struct buf audit_of(const struct intake *intake, const struct judgement *judgement)
{
    struct buf members = {0};
    if (intake->settings->audit.file[0] != '\0') {
        audit_put_arrival(&members, judgement->delivery, &judgement->reply_to,
                          judgement->token.data == judgement->made_token);
    }
    return members;
}

static struct buf audit_of_refusal(const struct intake *intake, const struct judgement *judgement)
{
    struct buf members = {0};
    if (intake->settings->audit.file[0] != '\0') {
        struct buf arrival = audit_of(intake, judgement);
        audit_put_request(&members, judgement->route, &judgement->request, judgement->token);
        if (members.length > 0) {
            audit_put_members(&members, buf_slice(&arrival));
        } else {
            buf_append(&members, buf_slice(&arrival));
        }
        json_put_text(&members, "Code", slice_text(bridge_error_code(judgement->refusal.error)));
        buf_fini(&arrival);
    }
    return members;
}

static void post_dead_letter(struct intake *intake, struct judgement *judgement,
                             struct buf *message)
{
    struct buf topic = {0};
    const struct topic_values values = {.instance = intake->settings->instance,
                                        .route = judgement->route == NULL ? NO_ROUTE
                                                                          : judgement->route->name};
    enum status status = topic_expand(intake->settings->topics.dead_letters, &values, &topic);
    if (status == STATUS_OK) {
        reply_render_dead_letter(&judgement->refusal, judgement->route, judgement->delivery,
                                 topic.data, judgement->now_ms, intake->replies.qos, message);
    }
    buf_fini(&topic);
}

/* Answers a command that is not claimed: at its reply_to's place, else as a dead letter. */
static void refuse(struct intake *intake, struct judgement *judgement, struct job *job)
{
    struct buf message = {0};
    struct buf audit = audit_of_refusal(intake, judgement);
    bool is_dead_letter = judgement->reply_to.topic == NULL;
    if (is_dead_letter) {
        post_dead_letter(intake, judgement, &message);
    } else {
        reply_render_refusal(&judgement->refusal, judgement->route, &judgement->request,
                             judgement->token, &judgement->reply_to, judgement->now_ms,
                             judgement->now_ms, &intake->replies, &message);
    }
    LOG_INFO("command_refused", LOG_TEXT("code", bridge_error_code(judgement->refusal.error)),
             LOG_TEXT("message", judgement->refusal.message),
             LOG_SLICE("topic", judgement->delivery->topic), LOG_SLICE("token", judgement->token),
             LOG_TEXT("answer", is_dead_letter ? "dead_letter" : judgement->reply_to.topic),
             LOG_TEXT("traceparent", judgement->reply_to.traceparent));
    ledger_post(intake->ledger, buf_slice(&message), is_dead_letter, &audit, posted, job);
    buf_fini(&message);
}

/* What a command that the ledger does not know yet is refused with, or ERROR_NONE. */
static enum bridge_error unless_found(const struct intake *intake, const struct command *command,
                                      int64_t now_ms, const char **out_message)
{
    if (command->deadline_at_ms <= now_ms) {
        *out_message = "NotAfter or the Message Expiry Interval was over when the command arrived.";
        return ERROR_EXPIRED;
    }
    if (intake->is_stopping) {
        *out_message = "The bridge is shutting down and takes no new commands.";
        return ERROR_SHUTTING_DOWN;
    }
    *out_message = "";
    return ERROR_NONE;
}

/* Ties the token, by which all further lines name the command, to the sender's trace. */
static void log_trace(const struct judgement *judgement)
{
    const struct reply_to *reply_to = &judgement->reply_to;
    if (reply_to->traceparent != NULL) {
        LOG_INFO("command_traced", LOG_SLICE("token", judgement->token),
                 LOG_TEXT("traceparent", reply_to->traceparent),
                 LOG_TEXT("tracestate", reply_to->tracestate));
    }
}

static void claim(struct intake *intake, struct judgement *judgement, struct job *job)
{
    log_trace(judgement);
    struct ledger_claim request = {
        .command = command_new(judgement->route, &judgement->request, judgement->delivery,
                               judgement->token, &intake->limits, judgement->now_ms),
        .reply_to = judgement->reply_to,
        .wants_accepted = judgement->route->has_accepted_reply,
        .audit = audit_of(intake, judgement),
    };
    judgement->reply_to = (struct reply_to){0};
    request.unless_found =
        unless_found(intake, request.command, judgement->now_ms, &request.unless_message);
    if (request.unless_found == ERROR_NONE) {
        job->reservation = dispatch_reserve(intake->dispatch, request.command);
        request.is_called_at_once = job->reservation.is_called_at_once;
    }
    ledger_claim(intake->ledger, &request, claimed, job);
}

/* Finds the reply place with the token that is known by now. */
static enum status find_place(const struct intake *intake, struct judgement *judgement,
                              struct refusal *out_refusal)
{
    return reply_to_resolve(judgement->route, intake->settings->instance, judgement->delivery,
                            &judgement->request, judgement->token, &judgement->reply_to,
                            out_refusal);
}

/* Only a command that may be claimed gets a token: at the topic of a made one nobody waits for a
 * refusal. */
static void give_token(const struct intake *intake, struct judgement *judgement)
{
    struct refusal none;
    command_make_token(judgement->route, judgement->delivery, &judgement->request,
                       judgement->made_token);
    judgement->token = slice_text(judgement->made_token);
    reply_to_fini(&judgement->reply_to);
    enum status status = find_place(intake, judgement, &none);
    assert(status == STATUS_OK);
}

/* Reads the delivery and finds its reply place; STATUS_INVALID leaves the first refusal in the
 * judgement. */
static enum status judge(const struct intake *intake, struct judgement *judgement)
{
    const struct route *route = judgement->route;
    struct refusal place = {0};
    enum status read = request_read(route, judgement->delivery, &intake->limits,
                                    &judgement->request, &judgement->refusal);
    judgement->token = judgement->request.token;
    enum status placed = find_place(intake, judgement, &place);
    if (read != STATUS_OK) {
        return read;
    }
    enum status allowed = request_authorise(route, &judgement->request, &judgement->refusal);
    if (allowed != STATUS_OK) {
        return allowed;
    }
    if (placed != STATUS_OK) {
        judgement->refusal = place;
        return placed;
    }
    if (!slice_is_present(judgement->token)) {
        give_token(intake, judgement);
    }
    return STATUS_OK;
}

/* A topic no route lists can only come from a broker that widens filters; it is told, not run. */
static enum status judge_without_route(struct judgement *judgement)
{
    judgement->refusal.error = ERROR_NOT_ALLOWED;
    strcpy(judgement->refusal.message, "No route of this bridge lists a filter for this topic.");
    return STATUS_INVALID;
}

/* Reads the delivery and begins to store what it becomes. */
static void take(struct intake *intake, const struct delivery *delivery, struct job *job)
{
    CRASH_POINT_PASS(BEFORE_PARSING, delivery->payload);
    struct judgement judgement = {
        .delivery = delivery,
        .route = route_of_topic(intake->settings->routes, intake->settings->route_count,
                                delivery->topic),
        .now_ms = job->arrived_at_ms,
    };
    enum status status =
        judgement.route == NULL ? judge_without_route(&judgement) : judge(intake, &judgement);
    if (status == STATUS_OK) {
        claim(intake, &judgement, job);
    } else {
        refuse(intake, &judgement, job);
    }
    reply_to_fini(&judgement.reply_to);
    request_fini(&judgement.request);
}

void intake_deliver(struct intake *intake, const struct delivery *delivery,
                    struct mqtt_ticket ticket)
{
    counter_add(intake->counters, COUNTER_TAKING, 1);
    if (intake->is_stopping && delivery->qos > 0) {
        settle(intake, ticket, false);
        return;
    }
    struct job *job = mem_zalloc(1, sizeof *job);
    job->intake = intake;
    job->ticket = ticket;
    job->arrived_at_ms = clock_wall_ms();
    DL_APPEND(intake->jobs, job);
    take(intake, delivery, job);
}

void intake_stop(struct intake *intake)
{
    intake->is_stopping = true;
}
