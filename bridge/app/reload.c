#include "reload.h"

#include "base/clock.h"
#include "base/log.h"
#include "mqtt/broker_login.h"

#include <stddef.h>

static enum status load(struct tls_reload *out, const struct settings *settings,
                        struct tls_report *report)
{
    int64_t now_ms = clock_wall_ms();
    enum status broker = tls_files_load_broker(&out->broker, settings, now_ms, report);
    enum status api = tls_files_load_api(&out->api, settings, now_ms, report);
    return broker == STATUS_OK ? api : broker;
}

enum status tls_reload_load(struct tls_reload *tls_reload, const struct settings *settings)
{
    struct tls_report report = {0};
    enum status status = load(tls_reload, settings, &report);
    log_lines(LOG_LEVEL_ERROR, "cannot_start", buf_slice(&report.errors));
    log_lines(LOG_LEVEL_ERROR, "certificate_outdated", buf_slice(&report.outdated));
    log_lines(LOG_LEVEL_WARN, "certificate_expires_soon", buf_slice(&report.warnings));
    if (!settings->broker.tls.verify) {
        LOG_WARN("broker_not_verified", LOG_TEXT("setting", "broker.tls.verify"));
    }
    tls_report_fini(&report);
    return status;
}

/* Each MQTT process gets a login that is made at its start; but then it is too late to keep the old
 * connections. */
static void try_login(const struct settings *settings, struct buf *errors)
{
    static const char *const ends[] = {"-in", "-out"};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        struct broker_login login = {0};
        struct broker_login_fault fault = {0};
        struct buf id = {0};
        size_t length = errors->length;
        buf_printf(&id, "%s%s", settings->broker.client_id, ends[i]);
        if (broker_login_make(settings, buf_slice(&id), &login, &fault) != STATUS_OK) {
            buf_printf(errors, "%s: %s: %s\n", fault.setting, fault.file, fault.text.data);
        }
        buf_fini(&id);
        broker_login_fini(&login);
        broker_login_fault_fini(&fault);
        if (errors->length > length) {
            return; /* the other one has the same fault, mostly */
        }
    }
}

enum status tls_reload_try(struct tls_reload *out_fresh, const struct settings *settings,
                           struct buf *out_why)
{
    struct tls_report report = {0};
    (void)load(out_fresh, settings, &report);
    try_login(settings, &report.errors);
    bool is_usable = report.errors.length == 0 && report.outdated.length == 0;
    buf_append(out_why, buf_slice(&report.errors));
    buf_append(out_why, buf_slice(&report.outdated));
    log_lines(LOG_LEVEL_WARN, "certificate_expires_soon", buf_slice(&report.warnings));
    tls_report_fini(&report);
    return is_usable ? STATUS_OK : STATUS_INVALID;
}

void tls_reload_use(struct tls_reload *tls_reload, struct tls_reload *fresh_take)
{
    tls_reload_fini(tls_reload);
    *tls_reload = *fresh_take;
    *fresh_take = (struct tls_reload){0};
}

void tls_reload_publish(const struct tls_reload *tls_reload, struct counters *counters)
{
    counter_set(counters, COUNTER_BROKER_CA_EXPIRY, tls_reload->broker.ca_expires_ms);
    counter_set(counters, COUNTER_BROKER_CERT_EXPIRY, tls_reload->broker.cert_expires_ms);
    counter_set(counters, COUNTER_API_CA_EXPIRY, tls_reload->api.ca_expires_ms);
    counter_set(counters, COUNTER_API_CERT_EXPIRY, tls_reload->api.cert_expires_ms);
}

void tls_reload_fini(struct tls_reload *tls_reload)
{
    tls_files_fini(&tls_reload->broker);
    tls_files_fini(&tls_reload->api);
}
