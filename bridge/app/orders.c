#include "orders.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "control.h"
#include "ledger_loss.h"
#include "support.h"

#include <stdlib.h>
#include <utlist.h>

struct orders {
    struct orders_parts parts;
    struct control *control;
    struct pending *pending;
};

static void answer(struct orders *orders, struct control_ticket ticket, bool is_done,
                   const char *text)
{
    control_answer(orders->control, ticket, is_done, slice_text(text));
}

static void put_status(struct orders *orders, const struct control_request *request,
                       struct control_ticket ticket)
{
    struct buf out = {0};
    (void)request;
    admin_put_status(orders->parts.admin, &out);
    control_answer(orders->control, ticket, true, buf_slice(&out));
    buf_fini(&out);
}

static void put_support(struct orders *orders, const struct control_request *request,
                        struct control_ticket ticket)
{
    struct buf out = {0};
    (void)request;
    support_put(orders->parts.admin, orders->parts.settings, &out);
    control_answer(orders->control, ticket, true, buf_slice(&out));
    buf_fini(&out);
}

static void set_level(struct orders *orders, const struct control_request *request,
                      struct control_ticket ticket)
{
    struct buf text = {0};
    const char *before = log_level_text(log_level());
    const char *now = log_level_text(request->level);
    if (request->level > log_level()) {
        log_set_level(request->level); /* else the line could be left out */
    }
    LOG_INFO("log_level_set", LOG_TEXT("before", before), LOG_TEXT("now", now));
    log_set_level(request->level);
    buf_printf(&text, "the log has level %s, until the next reload or restart; before: %s\n", now,
               before);
    answer(orders, ticket, true, text.data);
    buf_fini(&text);
}

static void acknowledge(struct orders *orders, const struct control_request *request,
                        struct control_ticket ticket)
{
    bool was_lost;
    if (request->is_of_ledger) {
        was_lost = ledger_loss_acknowledge(orders->parts.ledger, orders->parts.health);
        answer(orders, ticket, was_lost,
               was_lost ? "the reason ledger_may_have_lost has ended\n"
                        : "no loss of the ledger is reported");
        return;
    }
    was_lost = sessions_acknowledge_loss(orders->parts.sessions);
    answer(orders, ticket, was_lost,
           was_lost ? "the reason session_lost has ended\n" : "no session is reported as lost");
}

/* A request that is answered later. */
struct pending {
    struct pending *prev;
    struct pending *next;
    struct orders *orders;
    struct control_ticket ticket;
    bool is_retry;
};

static struct pending *pending_new(struct orders *orders, struct control_ticket ticket)
{
    struct pending *pending = mem_zalloc(1, sizeof *pending);
    *pending = (struct pending){.orders = orders, .ticket = ticket};
    DL_APPEND(orders->pending, pending);
    return pending;
}

static void finish(void *arg, bool is_done, struct slice text)
{
    struct pending *pending = arg;
    control_answer(pending->orders->control, pending->ticket, is_done, text);
    DL_DELETE(pending->orders->pending, pending);
    free(pending);
}

static void reload(struct orders *orders, const struct control_request *request,
                   struct control_ticket ticket)
{
    struct pending *pending = pending_new(orders, ticket);
    (void)request;
    exporter_reopen(orders->parts.exporter);
    if (settings_reload_begin(orders->parts.reload, finish, pending) != STATUS_OK) {
        finish(pending, false, slice_text("a reload is under way and another one waits for it"));
    }
}

static void leave(struct orders *orders, const struct control_request *request,
                  struct control_ticket ticket)
{
    (void)request;
    bool has_begun = orders->parts.leave(orders->parts.arg);
    answer(orders, ticket, has_begun,
           has_begun
               ? "the bridge takes and answers what the broker holds for it, ends its session "
                 "there, and then ends; the log and the status tell how far it is\n"
               : "the bridge is leaving already");
}

/* ---- Orders about a command ---- */

static void ordered(void *arg, enum status status, enum ledger_order order,
                    struct command *command_take)
{
    static const char *const reasons[] = {
        [LEDGER_ORDER_NO_RECORD] = "the ledger has no record of this ClientToken",
        [LEDGER_ORDER_IN_WORK] = "the command with this ClientToken is in work",
        [LEDGER_ORDER_DEFINITE] =
            "the outcome of this command is definite; this is only for one that "
            "is unknown",
    };
    struct pending *pending = arg;
    const struct settings *settings = pending->orders->parts.settings;
    if (status != STATUS_OK) {
        finish(pending, false, slice_text("the ledger cannot be written; see the log"));
    } else if (order != LEDGER_ORDER_DONE) {
        finish(pending, false, slice_text(reasons[order]));
    } else if (command_take == NULL && pending->is_retry) {
        finish(pending, true,
               slice_text("it waits until another command of its group has ended, then the same "
                          "token goes to the API again; whoever asked gets the outcome\n"));
    } else if (command_take == NULL) {
        finish(pending, true, slice_text("recorded; whoever asked gets this outcome\n"));
    } else {
        bool is_allowed =
            route_still_allows(settings->routes, settings->route_count, command_take->route,
                               command_take->action, command_take->region, command_take->group);
        dispatch_resume(pending->orders->parts.dispatch, command_take, is_allowed);
        finish(
            pending, true,
            slice_text("the same token goes to the API again; whoever asked gets the outcome\n"));
    }
}

static void retry(struct orders *orders, const struct control_request *request,
                  struct control_ticket ticket)
{
    const struct orders_parts *parts = &orders->parts;
    int64_t deadline_at_ms = clock_wall_ms() + parts->settings->limits.deadline_s * 1000;
    LOG_INFO("command_retried", LOG_TEXT("token", request->token));
    struct pending *pending = pending_new(orders, ticket);
    pending->is_retry = true;
    ledger_retry(parts->ledger, slice_text(request->token), deadline_at_ms, ordered, pending);
}

/* The outcome that an operator has found out. */
static void resolve(struct orders *orders, const struct control_request *request,
                    struct control_ticket ticket)
{
    struct outcome outcome = {.status = OUTCOME_SUCCEEDED, .retention = RETENTION_SUCCESS};
    if (request->status == OUTCOME_SUCCEEDED) {
        outcome.request_id = mem_strdup(request->request_id);
        outcome.retry_after_ms = -1;
    } else {
        outcome_of_error(
            &outcome, request->status == OUTCOME_FAILED ? ERROR_RESOLVED : ERROR_NO_DEFINITE_ANSWER,
            request->note);
    }
    LOG_INFO("command_resolved", LOG_TEXT("token", request->token),
             LOG_TEXT("status", outcome_status_text(request->status)),
             LOG_TEXT("request_id", request->request_id), LOG_TEXT("note", request->note));
    ledger_resolve(orders->parts.ledger, slice_text(request->token), &outcome,
                   slice_text(request->note), ordered, pending_new(orders, ticket));
    outcome_fini(&outcome);
}

static void requested(void *arg, const struct control_request *request,
                      struct control_ticket ticket)
{
    static void (*const carry_out[])(struct orders * orders, const struct control_request *request,
                                     struct control_ticket ticket) = {
        [CONTROL_STATUS] = put_status,   [CONTROL_LEVEL] = set_level, [CONTROL_ACK] = acknowledge,
        [CONTROL_RELOAD] = reload,       [CONTROL_RETRY] = retry,     [CONTROL_LEAVE] = leave,
        [CONTROL_SUPPORT] = put_support, [CONTROL_RESOLVE] = resolve,
    };
    struct orders *orders = arg;
    if (shutdown_has_begun(orders->parts.shutdown) && request->order != CONTROL_STATUS) {
        answer(orders, ticket, false, "the bridge is stopping");
        return;
    }
    carry_out[request->order](arg, request, ticket);
}

enum status orders_new(struct loop *loop, const char *path, const struct orders_parts *parts,
                       struct orders **out_orders, struct buf *out_why)
{
    struct orders *orders = mem_zalloc(1, sizeof *orders);
    orders->parts = *parts;
    enum status status = control_new(loop, path, requested, orders, &orders->control, out_why);
    if (status != STATUS_OK) {
        free(orders);
        return status;
    }
    *out_orders = orders;
    return STATUS_OK;
}

void orders_free(struct orders *orders)
{
    if (orders != NULL) {
        struct pending *pending;
        struct pending *next;
        DL_FOREACH_SAFE (orders->pending, pending, next) {
            free(pending);
        }
        control_free(orders->control);
        free(orders);
    }
}
