/*
 * orders - what `ecs-mqtt-bridge ctl` may order of a running bridge, carried out.
 *
 * Thread: the loop's.
 */
#ifndef APP_ORDERS_H
#define APP_ORDERS_H

#include "admin/server.h"
#include "base/buf.h"
#include "base/health.h"
#include "base/loop.h"
#include "sessions.h"
#include "settings_reload.h"
#include "shutdown.h"

struct orders;

/* What orders are carried out with; all of it must outlive the orders. */
struct orders_parts {
    const struct admin_options *admin;
    struct sessions *sessions;
    struct settings_reload *reload;
    struct exporter *exporter; /* NULL: there is no audit file */
    const struct settings *settings;
    struct ledger *ledger;
    struct health *health;
    struct dispatch *dispatch;
    const struct shutdown *shutdown;
    /* False: it is leaving already. */
    bool (*leave)(void *arg);
    void *arg;
};

/* Listens at `path`; fails as control_new(). */
enum status orders_new(struct loop *loop, const char *path, const struct orders_parts *parts,
                       struct orders **out_orders, struct buf *out_why);
/* Takes NULL. */
void orders_free(struct orders *orders);

#endif
