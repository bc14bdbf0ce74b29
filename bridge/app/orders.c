#include "orders.h"

#include "base/log.h"
#include "base/mem.h"
#include "control.h"

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
    (void)request;
    bool was_lost = sessions_acknowledge_loss(orders->parts.sessions);
    answer(orders, ticket, was_lost,
           was_lost ? "the reason session_lost has ended\n" : "no session is reported as lost");
}

/* A request that is answered later. */
struct pending {
    struct pending *prev;
    struct pending *next;
    struct orders *orders;
    struct control_ticket ticket;
};

static void reloaded(void *arg, bool is_done, struct slice text)
{
    struct pending *pending = arg;
    control_answer(pending->orders->control, pending->ticket, is_done, text);
    DL_DELETE(pending->orders->pending, pending);
    free(pending);
}

static void reload(struct orders *orders, const struct control_request *request,
                   struct control_ticket ticket)
{
    struct pending *pending = mem_zalloc(1, sizeof *pending);
    (void)request;
    *pending = (struct pending){.orders = orders, .ticket = ticket};
    DL_APPEND(orders->pending, pending);
    exporter_reopen(orders->parts.exporter);
    if (settings_reload_begin(orders->parts.reload, reloaded, pending) != STATUS_OK) {
        reloaded(pending, false, slice_text("a reload is under way and another one waits for it"));
    }
}

static void requested(void *arg, const struct control_request *request,
                      struct control_ticket ticket)
{
    static void (*const carry_out[])(struct orders * orders, const struct control_request *request,
                                     struct control_ticket ticket) = {
        [CONTROL_STATUS] = put_status,
        [CONTROL_LEVEL] = set_level,
        [CONTROL_ACK] = acknowledge,
        [CONTROL_RELOAD] = reload,
    };
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
