/*
 * Connects to the broker as the bridge's publisher does, with a client id of its own, and
 * disconnects again. Nothing is subscribed and nothing published.
 */
#include "check_online.h"

#include "base/digest.h"
#include "client.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#define TIMEOUT_MS 30000

struct probe {
    struct client client;
    bool is_over;
    int code;
};

static void finish(struct probe *probe, int code)
{
    if (!probe->is_over) {
        probe->is_over = true;
        probe->code = code;
        client_stop(&probe->client);
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
    loop_stop(((struct probe *)arg)->client.loop);
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

int check_broker(const struct settings *settings)
{
    struct probe probe = {.code = EX_UNAVAILABLE};
    const struct workers_hooks hooks = {.arg = &probe,
                                        .published = on_published,
                                        .unpublished = on_unpublished,
                                        .publisher_changed = on_publisher_changed,
                                        .failed = on_failed,
                                        .stopped = on_stopped};
    struct buf why = {0};
    char nonce[DIGEST_NONCE_BYTES];
    digest_nonce(nonce);
    if (client_init(&probe.client, settings, "check", nonce, &why) == STATUS_OK) {
        client_run(&probe.client, &hooks, TIMEOUT_MS, on_timeout);
    } else {
        fprintf(stderr, "broker: %s\n", why.data);
    }
    client_fini(&probe.client);
    buf_fini(&why);
    return probe.code;
}
