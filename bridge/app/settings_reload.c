#include "settings_reload.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <utlist.h>

/* Settings that were replaced. Commands may refer to their routes until the ledger has answered two
 * reads, one after the other: it answers the first after every claim that was sent before the
 * change, and the second after the outcomes of those commands. */
struct former {
    struct former *prev;
    struct former *next;
    struct settings_reload *reload;
    struct settings *settings;
    bool has_waited;
};

/* One request to read the file again. */
struct reload_request {
    settings_reloaded_fn *done;
    void *arg;
};

struct settings_reload {
    struct settings_reload_parts parts;
    struct reload_request now;
    struct reload_request next;
    bool is_busy;
    bool has_next;
    struct settings *fresh; /* while it waits for the ledger */
    struct settings_changes changes;
    struct tls_reload tls;
    struct former *former;
};

static void begin(struct settings_reload *reload, struct reload_request request);

void settings_reload_ledger_limits(const struct settings *settings, struct ledger_options *out)
{
    out->success_ttl_s = settings->dedup.success_ttl_s;
    out->failure_ttl_s = settings->dedup.failure_ttl_s;
    out->pending_max = settings->limits.pending;
    out->waiters_max = settings->limits.waiters_per_token;
    out->replies = (struct reply_settings){.qos = (uint8_t)settings->replies.qos,
                                           .expiry_s = settings->replies.expiry_s};
    out->routes = settings->routes;
    out->route_count = settings->route_count;
    out->is_audited = settings->audit.file[0] != '\0';
    out->audit_rows_max = settings->limits.outbox_messages;
    out->events = watcher_publishing(settings);
    out->watches_max = settings->watch.max;
    out->rate_per_s = settings->api.rate_per_s;
}

/* ---- The former settings ---- */

static void ignore_message(void *arg, int64_t id, struct slice message)
{
    (void)arg;
    (void)id;
    (void)message;
}

static void free_former(struct former *former)
{
    DL_DELETE(former->reload->former, former);
    settings_free(former->settings);
    free(former);
}

static void ledger_passed(void *arg, size_t count)
{
    struct former *former = arg;
    const struct settings_reload_parts *parts = &former->reload->parts;
    (void)count;
    if (former->has_waited) {
        free_former(former);
        return;
    }
    former->has_waited = true;
    dispatch_settings_changed(parts->dispatch); /* the claims that came meanwhile */
    ledger_read_outbox(parts->ledger, INT64_MAX, 1, ignore_message, ledger_passed, former);
}

static void keep_former(struct settings_reload *reload, struct settings *settings_take)
{
    struct former *former = mem_zalloc(1, sizeof *former);
    former->reload = reload;
    former->settings = settings_take;
    DL_APPEND(reload->former, former);
    ledger_read_outbox(reload->parts.ledger, INT64_MAX, 1, ignore_message, ledger_passed, former);
}

/* ---- The end ---- */

static void end(struct settings_reload *reload, bool is_done, struct slice text)
{
    const struct settings_reload_parts *parts = &reload->parts;
    struct reload_request request = reload->now;
    health_set(parts->health, HEALTH_RELOAD_FAILED, !is_done);
    systemd_notify(parts->systemd, "READY=1");
    settings_changes_fini(&reload->changes);
    tls_reload_fini(&reload->tls);
    reload->tls = (struct tls_reload){0};
    reload->is_busy = false;
    if (request.done != NULL) {
        request.done(request.arg, is_done, text);
    }
    if (reload->has_next) {
        reload->has_next = false;
        begin(reload, reload->next);
    }
}

static void refuse(struct settings_reload *reload, struct slice errors)
{
    log_lines(LOG_LEVEL_ERROR, "reload_refused", errors);
    LOG_ERROR("reload_failed", LOG_TEXT("in_use", "what was loaded before"));
    end(reload, false, errors);
}

static void put_changes(const struct settings_changes *changes, struct buf *out)
{
    if (changes->live.length == 0 && changes->restart.length == 0) {
        buf_append_text(out, "no setting has changed\n");
    }
    if (changes->live.length > 0) {
        buf_printf(out, "changed: %s\n", changes->live.data);
    }
    if (changes->restart.length > 0) {
        buf_printf(out, "changes at the next start only: %s\n", changes->restart.data);
    }
    buf_append_text(out, "certificates, keys and passwords were read again\n");
}

/* ---- The change ---- */

/* Everything at once, in one turn of the loop. */
static void change(void *arg)
{
    struct settings_reload *reload = arg;
    const struct settings_reload_parts *parts = &reload->parts;
    const struct settings *settings = parts->settings;
    struct settings_changes *changes = &reload->changes;
    struct ledger_options limits = {0};
    struct buf text = {0};
    settings_exchange_live(parts->settings, reload->fresh);
    tls_reload_use(parts->tls, &reload->tls);
    tls_reload_publish(parts->tls, parts->counters);
    log_set_level(settings_log_level(settings));
    settings_reload_ledger_limits(settings, &limits);
    ledger_change(parts->ledger, &limits);
    exporter_set_rows_max(parts->exporter, limits.audit_rows_max);
    intake_settings_changed(parts->intake);
    dispatch_settings_changed(parts->dispatch);
    watcher_settings_changed(parts->watcher);
    sessions_settings_changed(parts->sessions);
    ecs_renew(parts->ecs);
    workers_renew(parts->workers);
    keep_former(reload, reload->fresh);
    reload->fresh = NULL;
    LOG_INFO("reloaded", LOG_TEXT("what", "settings, certificates, keys and passwords"),
             LOG_TEXT("changed", changes->live.data),
             LOG_TEXT("needs_restart", changes->restart.data));
    put_changes(changes, &text);
    end(reload, true, buf_slice(&text));
    buf_fini(&text);
}

static void begin(struct settings_reload *reload, struct reload_request request)
{
    const struct settings_reload_parts *parts = &reload->parts;
    struct settings_report report = {0};
    struct buf line = {0};
    struct buf why = {0};
    reload->now = request;
    reload->is_busy = true;
    /* sd_notify(3): the time tells the manager which reload this belongs to. */
    buf_printf(&line, "RELOADING=1\nMONOTONIC_USEC=%" PRId64, clock_mono_us());
    systemd_notify(parts->systemd, line.data);
    enum status status = settings_load_again(parts->source, parts->settings, &reload->fresh,
                                             &reload->changes, &report);
    buf_append(&why, buf_slice(&report.errors));
    if (status == STATUS_OK) {
        log_lines(LOG_LEVEL_WARN, "settings_warning", buf_slice(&report.warnings));
        status = tls_reload_try(&reload->tls, reload->fresh, &why);
    }
    if (status == STATUS_OK) {
        sessions_prepare(parts->sessions, reload->fresh, change, reload);
    } else {
        settings_free(reload->fresh);
        reload->fresh = NULL;
        refuse(reload, buf_slice(&why));
    }
    settings_report_fini(&report);
    buf_fini(&line);
    buf_fini(&why);
}

enum status settings_reload_begin(struct settings_reload *reload, settings_reloaded_fn *done,
                                  void *arg)
{
    struct reload_request request = {done, arg};
    if (!reload->is_busy) {
        begin(reload, request);
    } else if (!reload->has_next || reload->next.done == NULL) {
        reload->has_next = true;
        reload->next = request;
    } else {
        return STATUS_BUSY;
    }
    return STATUS_OK;
}

struct settings_reload *settings_reload_new(const struct settings_reload_parts *parts)
{
    struct settings_reload *reload = mem_zalloc(1, sizeof *reload);
    reload->parts = *parts;
    return reload;
}

void settings_reload_free(struct settings_reload *reload)
{
    if (reload == NULL) {
        return;
    }
    struct former *former;
    struct former *next;
    DL_FOREACH_SAFE (reload->former, former, next) {
        free_former(former);
    }
    settings_free(reload->fresh);
    settings_changes_fini(&reload->changes);
    tls_reload_fini(&reload->tls);
    free(reload);
}
