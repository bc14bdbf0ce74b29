/*
 * Connects to the broker as the bridge's publisher does, with a client id of its own, and
 * disconnects again. Nothing is subscribed and nothing published.
 */
#include "check_online.h"

#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/loop.h"
#include "mqtt/program.h"
#include "mqtt/workers.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#define TIMEOUT_MS      30000
#define STOP_TIMEOUT_MS 1000

struct probe {
    struct loop *loop;
    struct workers *workers;
    bool is_over;
    int code;
};

static void finish(struct probe *probe, int code)
{
    if (!probe->is_over) {
        probe->is_over = true;
        probe->code = code;
        workers_stop(probe->workers, STOP_TIMEOUT_MS);
    }
}

static void on_publisher_changed(void *arg, bool is_up)
{
    struct probe *probe = arg;
    if (is_up && !probe->is_over) {
        printf("broker: connected\n");
        finish(probe, EX_OK);
    }
}

static void on_failed(void *arg, const char *reason, const char *text)
{
    struct probe *probe = arg;
    if (!probe->is_over) {
        fprintf(stderr, "broker: %s: %s\n", reason, text);
        finish(probe, strcmp(reason, "refused") == 0 ? EX_CONFIG : EX_UNAVAILABLE);
    }
}

static void on_timeout(void *arg)
{
    struct probe *probe = arg;
    if (!probe->is_over) {
        fprintf(stderr, "broker: no answer in time\n");
        finish(probe, EX_UNAVAILABLE);
    }
}

static void on_stopped(void *arg)
{
    loop_stop(((struct probe *)arg)->loop);
}

/* Without a message and a receiver these are not called. */
static void on_published(void *arg, int64_t id, bool has_subscriber)
{
    (void)arg;
    (void)id;
    (void)has_subscriber;
}

static void on_unpublished(void *arg, int64_t id, uint32_t code, struct slice why)
{
    (void)arg;
    (void)id;
    (void)code;
    (void)why;
}

static int connect_once(const struct settings *settings, const struct tls_files *tls,
                        const char *program)
{
    struct probe probe = {.loop = loop_new(), .code = EX_UNAVAILABLE};
    const struct workers_hooks hooks = {.arg = &probe,
                                        .published = on_published,
                                        .unpublished = on_unpublished,
                                        .publisher_changed = on_publisher_changed,
                                        .failed = on_failed,
                                        .stopped = on_stopped};
    struct counters counters = {0};
    struct settings own = *settings;
    struct buf client_id = {0};
    char nonce[DIGEST_NONCE_BYTES];
    digest_nonce(nonce);
    buf_printf(&client_id, "%s-check-%s", settings->broker.client_id, nonce);
    own.broker.client_id = client_id.data;
    struct loop_timer *timeout = loop_timer_new(probe.loop, on_timeout, &probe);
    probe.workers =
        workers_new(probe.loop, &own, tls, program, (struct slice){0}, &counters, &hooks);
    loop_timer_start(timeout, TIMEOUT_MS);
    workers_start_publisher(probe.workers);
    loop_run(probe.loop);
    workers_free(probe.workers);
    loop_timer_free(timeout);
    loop_free(probe.loop);
    buf_fini(&client_id);
    return probe.code;
}

int check_broker(const struct settings *settings)
{
    struct tls_files tls;
    struct tls_report report = {0};
    struct mqtt_program program = MQTT_PROGRAM_CLOSED;
    struct buf why = {0};
    int code = EX_UNAVAILABLE;
    log_setup(LOG_LEVEL_ERROR, false, "check");
    /* The check before has reported what is wrong with these files. */
    (void)tls_files_load_broker(&tls, settings, clock_wall_ms(), &report);
    if (mqtt_program_open(&program, &why) == STATUS_OK) {
        code = connect_once(settings, &tls, program.path);
    } else {
        fprintf(stderr, "broker: %s\n", why.data);
    }
    mqtt_program_close(&program);
    tls_report_fini(&report);
    tls_files_fini(&tls);
    buf_fini(&why);
    return code;
}
