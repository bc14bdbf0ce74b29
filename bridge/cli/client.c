#include "client.h"

#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"

enum status client_init(struct client *client, const struct settings *settings, const char *purpose,
                        const char *nonce, struct buf *out_why)
{
    struct tls_report report = {0};
    *client =
        (struct client){.settings = *settings, .loop = loop_new(), .program = MQTT_PROGRAM_CLOSED};
    bool is_apsaramq = settings->broker.apsaramq.instance_id[0] != '\0';
    bool is_device = is_apsaramq && strcmp(settings->broker.apsaramq.mode, "device") == 0;
    /* ApsaraMQ takes 64 bytes, and a device's credential belongs to one client id. */
    buf_printf(&client->client_id, "%s-%s", settings->broker.client_id, purpose);
    if (!is_device) {
        buf_printf(&client->client_id, "-%.*s", is_apsaramq ? 8 : DIGEST_NONCE_BYTES, nonce);
    }
    client->settings.broker.client_id = client->client_id.data;
    enum status status = tls_files_load_broker(&client->tls, settings, clock_wall_ms(), &report);
    if (status != STATUS_OK) {
        size_t length = report.errors.length; /* of lines */
        buf_append(out_why, slice_of(report.errors.data, length > 0 ? length - 1 : 0));
        status = STATUS_INVALID;
    } else {
        status = mqtt_program_open(&client->program, out_why);
    }
    tls_report_fini(&report);
    log_setup(LOG_LEVEL_ERROR, LOG_LOGFMT, purpose); /* the subcommand itself says what is wrong */
    return status;
}

void client_run(struct client *client, const struct workers_hooks *hooks, int64_t timeout_ms,
                void (*on_timeout)(void *arg))
{
    struct loop_timer *timeout = loop_timer_new(client->loop, on_timeout, hooks->arg);
    client->workers =
        workers_new(client->loop, &client->settings, &client->tls, client->program.path,
                    (struct slice){0}, &client->counters, hooks);
    loop_timer_start(timeout, timeout_ms);
    if (hooks->delivered != NULL) {
        workers_start(client->workers);
    } else {
        workers_start_publisher(client->workers);
    }
    loop_run(client->loop);
    workers_free(client->workers);
    client->workers = NULL;
    loop_timer_free(timeout);
}

void client_stop(struct client *client)
{
    workers_stop(client->workers, CLIENT_STOP_TIMEOUT_MS);
}

void client_fini(struct client *client)
{
    mqtt_program_close(&client->program);
    tls_files_fini(&client->tls);
    buf_fini(&client->client_id);
    loop_free(client->loop);
}
