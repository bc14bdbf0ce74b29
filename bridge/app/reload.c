#include "reload.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"

#include <stdlib.h>

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

/* The MQTT processes read the password themselves; but then it is too late to keep the old
 * connections. */
static void try_password(const struct settings *settings, struct buf *errors)
{
    struct secret password = {0};
    char *path = settings_password_path(settings);
    enum status status = path == NULL ? STATUS_OK : secret_read_file(&password, path);
    if (status != STATUS_OK) {
        buf_printf(errors, "broker.password_file: %s: cannot be read (%s)\n", path,
                   status_text(status));
    }
    secret_fini(&password);
    free(path);
}

enum status tls_reload_try(struct tls_reload *out_fresh, const struct settings *settings,
                           struct buf *out_why)
{
    struct tls_report report = {0};
    (void)load(out_fresh, settings, &report);
    try_password(settings, &report.errors);
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
