/*
 * Sends one command as any sender does: it subscribes to the reply topic, publishes the command and
 * recognises its reply by the CorrelationId. Paho's threads store what happened and wake the main
 * thread, which makes the decisions.
 */
#include "base/clock.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "model/topic.h"
#include "mqtt/connect_params.h"
#include "mqtt/connection.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sysexits.h>
#include <unistd.h>

#define EXIT_FAILED   1
#define EXIT_UNKNOWN  2
#define EXIT_NO_REPLY 3

#define TIMEOUT_S_DEFAULT 60
#define TIMEOUT_S_MAX     86400
#define REPLY_DEPTH_MAX   8

struct sender {
    /* the options */
    const char *config;
    const char *region;
    const char *group;
    const char *token;
    const char *not_after;
    const char *route_name;
    const char *timeout;         /* NULL: the default */
    bool flags[PARAMETER_COUNT]; /* parameters to set to true */
    /* derived from the options */
    long timeout_s;
    struct settings *settings;
    const struct route *route;
    char made_token[DIGEST_NONCE_BYTES];
    char correlation[DIGEST_NONCE_BYTES];
    struct buf topic;
    struct buf reply_topic;
    struct buf payload;
    struct connection *connection;
    int wake_fd;
    /* what happened; written by Paho's threads under the mutex */
    pthread_mutex_t mutex;
    struct buf reply;
    struct buf fault;
    bool is_down;
    bool is_sent;
};

static const struct cli_option OPTIONS[] = {
    {'c', "config", "FILE", offsetof(struct sender, config),
     "The bridge's configuration file: broker, route, topics."},
    {'r', "region", "ID", offsetof(struct sender, region),
     "RegionId; not needed if the route has a default."},
    {'g', "group", "ID", offsetof(struct sender, group),
     "ReplicaGroupId; not needed if the route has a default."},
    {'t', "token", "TEXT", offsetof(struct sender, token), "ClientToken; default: a random one."},
#define ACTION_FLAG(action, parameter, letter, option, help) \
    {letter, option, NULL, offsetof(struct sender, flags[PARAMETER_##action##_##parameter]), help},
#include "tables/actions.def"
    {'n', "not-after", "TIME", offsetof(struct sender, not_after),
     "RFC 3339 time after which the command must not start."},
    {'R', "route", "NAME", offsetof(struct sender, route_name),
     "The route of the command; default: the first one."},
    {'w', "timeout", "SECONDS", offsetof(struct sender, timeout),
     "How long to wait for the reply; default: 60."},
    {0},
};

static const struct cli_usage USAGE = {
    .synopsis = "send --config FILE --region ID --group ID [OPTIONS]",
    .about = "Publishes a command, waits for its reply and prints it.\n"
             "Exits 0 for succeeded, 1 for failed, 2 for unknown, 3 for no reply.",
    .options = OPTIONS,
};

static void render_payload(struct sender *sender)
{
    struct buf *out = &sender->payload;
    json_put_open(out, '{');
    json_put_text_if(out, "RegionId", slice_text(sender->region));
    json_put_text_if(out, "ReplicaGroupId", slice_text(sender->group));
    json_put_text(out, "ClientToken", slice_text(sender->token));
#define ACTION_FLAG(action, parameter, letter, option, help) \
    if (sender->flags[PARAMETER_##action##_##parameter]) {   \
        json_put_bool(out, #parameter, true);                \
    }
#include "tables/actions.def"
    json_put_text_if(out, "NotAfter", slice_text(sender->not_after));
    json_put_text(out, "CorrelationId", slice_text(sender->correlation));
    json_put_close(out, '}');
}

static struct slice or_default(const char *given, const char *otherwise)
{
    return slice_text(given != NULL ? given : otherwise);
}

/* The topics of the command and its reply. A command cannot be published to a filter with
 * wildcards. */
static int choose_topics(struct sender *sender)
{
    const struct settings *settings = sender->settings;
    const struct route *route =
        sender->route_name == NULL
            ? &settings->routes[0]
            : route_of_name(settings->routes, settings->route_count, sender->route_name);
    if (route == NULL) {
        return cli_wrong_call("send", "the configuration has no route of that name");
    }
    sender->route = route;
    for (size_t i = 0; i < route->topics.count && sender->topic.length == 0; i++) {
        if (topic_is_name(slice_text(route->topics.items[i]))) {
            buf_append_text(&sender->topic, route->topics.items[i]);
        }
    }
    if (sender->topic.length == 0) {
        return cli_wrong_call("send", "all topics of the route have wildcards");
    }
    const struct topic_values values = {
        .instance = settings->instance,
        .route = route->name,
        .region = or_default(sender->region, route->default_region),
        .group = or_default(sender->group, route->default_group),
        .token = slice_text(sender->token),
    };
    if (topic_expand(route->reply_topic, &values, &sender->reply_topic) != STATUS_OK) {
        return cli_wrong_call("send", "the route's reply_topic needs --region and --group");
    }
    return EX_OK;
}

/* ---- Paho's threads ---- */

static void wake(struct sender *sender)
{
    uint64_t one = 1;
    if (write(sender->wake_fd, &one, sizeof one) < 0) {
        abort(); /* an eventfd can always be written */
    }
}

static void on_up(void *arg, const struct wire_up *up)
{
    struct sender *sender = arg;
    const char *why = "";
    struct message message = {.topic = buf_slice(&sender->topic),
                              .body = buf_slice(&sender->payload),
                              .qos = 1,
                              .is_json = true,
                              .expiry_s = -1};
    (void)up;
    pthread_mutex_lock(&sender->mutex);
    if (connection_publish(sender->connection, 1, &message, &why) == STATUS_OK) {
        sender->is_sent = true;
    } else {
        sender->is_down = true;
        buf_printf(&sender->fault, "the command cannot be published: %s", why);
        wake(sender);
    }
    pthread_mutex_unlock(&sender->mutex);
}

static void on_arrived(void *arg, const struct delivery *delivery)
{
    struct sender *sender = arg;
    struct json_fault fault;
    struct json *reply = json_parse(delivery->payload, REPLY_DEPTH_MAX, &fault);
    struct slice correlation = json_text(json_member(reply, "CorrelationId"));
    if (slice_equals_text(correlation, sender->correlation)) {
        if (slice_equals_text(json_text(json_member(reply, "Status")), "accepted")) {
            fprintf(stderr, "accepted\n");
        } else {
            pthread_mutex_lock(&sender->mutex);
            buf_clear(&sender->reply);
            buf_append(&sender->reply, delivery->payload);
            wake(sender);
            pthread_mutex_unlock(&sender->mutex);
        }
    }
    json_free(reply);
}

static void on_published(void *arg, int64_t id)
{
    (void)arg;
    (void)id;
}

static void on_refused(void *arg, int64_t id, uint32_t code, struct slice text)
{
    struct sender *sender = arg;
    (void)id;
    pthread_mutex_lock(&sender->mutex);
    sender->is_down = true;
    sender->is_sent = false;
    buf_printf(&sender->fault, "the broker refused the command: %.*s (0x%02x)", (int)text.length,
               text.data, code);
    wake(sender);
    pthread_mutex_unlock(&sender->mutex);
}

static void on_down(void *arg, const struct wire_down *down)
{
    struct sender *sender = arg;
    pthread_mutex_lock(&sender->mutex);
    if (!sender->is_down) {
        sender->is_down = true;
        buf_printf(&sender->fault, "%s: %.*s", wire_down_reason_text(down->reason),
                   (int)down->text.length, down->text.data);
        wake(sender);
    }
    pthread_mutex_unlock(&sender->mutex);
}

/* ---- the main thread ---- */

/* Waits for the reply, the end of the connection or the timeout; the result is in the sender. */
static void wait_for_reply(struct sender *sender)
{
    int64_t end_ms = clock_mono_ms() + sender->timeout_s * 1000;
    bool is_over = false;
    while (!is_over) {
        struct pollfd fds[] = {{.fd = sender->wake_fd, .events = POLLIN},
                               {.fd = connection_wake_fd(sender->connection), .events = POLLIN}};
        int64_t left_ms = end_ms - clock_mono_ms();
        int max_delay_ms = connection_max_delay_ms(sender->connection);
        int64_t wait_ms = max_delay_ms >= 0 && max_delay_ms < left_ms ? max_delay_ms : left_ms;
        (void)poll(fds, 2, wait_ms < 0 ? 0 : (int)wait_ms);
        connection_step(sender->connection);
        pthread_mutex_lock(&sender->mutex);
        is_over = sender->reply.length > 0 || sender->is_down || clock_mono_ms() >= end_ms;
        pthread_mutex_unlock(&sender->mutex);
    }
}

static int report(struct sender *sender)
{
    int code;
    pthread_mutex_lock(&sender->mutex);
    if (sender->reply.length > 0) {
        struct json_fault fault;
        struct json *reply = json_parse(buf_slice(&sender->reply), REPLY_DEPTH_MAX, &fault);
        struct slice status = json_text(json_member(reply, "Status"));
        code = slice_equals_text(status, "succeeded") ? EX_OK
               : slice_equals_text(status, "failed")  ? EXIT_FAILED
                                                      : EXIT_UNKNOWN;
        json_free(reply);
        printf("%s\n", sender->reply.data);
    } else if (!sender->is_sent) {
        fprintf(stderr, "ecs-mqtt-bridge send: %s\n",
                sender->is_down ? sender->fault.data : "no connection to the broker in time");
        code = EX_UNAVAILABLE;
    } else {
        fprintf(stderr,
                "ecs-mqtt-bridge send: no reply (%s); the command may still be executed. Send it "
                "again with --token %s\n",
                sender->is_down ? sender->fault.data : "in time", sender->token);
        code = EXIT_NO_REPLY;
    }
    pthread_mutex_unlock(&sender->mutex);
    return code;
}

static int exchange(struct sender *sender, const struct tls_files *tls)
{
    struct connect_params params;
    struct buf client_id = {0};
    const char *why = "";
    if (connect_params_init(&params, sender->settings, tls, WIRE_PUBLISHER, 0, (struct slice){0},
                            &why) != STATUS_OK) {
        fprintf(stderr, "ecs-mqtt-bridge send: %s\n", why);
        connect_params_fini(&params);
        return EX_CONFIG;
    }
    buf_printf(&client_id, "%s-send-%s", sender->settings->broker.client_id, sender->correlation);
    params.client_id = buf_slice(&client_id);
    params.session_expiry_s = 0;
    params.filters[0] = (struct wire_filter){buf_slice(&sender->reply_topic), 1};
    params.filter_count = 1;
    const struct connection_hooks hooks = {.arg = sender,
                                           .up = on_up,
                                           .arrived = on_arrived,
                                           .published = on_published,
                                           .refused = on_refused,
                                           .down = on_down};
    sender->connection = connection_new(&params, &hooks);
    connection_open(sender->connection);
    wait_for_reply(sender);
    (void)connection_close(sender->connection, 1000);
    int code = report(sender);
    connection_free(sender->connection);
    connect_params_fini(&params);
    buf_fini(&client_id);
    return code;
}

static int exchange_over_tls(struct sender *sender)
{
    struct tls_files tls;
    struct tls_report report = {0};
    int code = EX_CONFIG;
    if (tls_files_load_broker(&tls, sender->settings, clock_wall_ms(), &report) == STATUS_OK) {
        code = exchange(sender, &tls);
    } else {
        fprintf(stderr, "ecs-mqtt-bridge send: %s", report.errors.data);
    }
    tls_report_fini(&report);
    tls_files_fini(&tls);
    return code;
}

static int send_command(struct sender *sender)
{
    digest_nonce(sender->correlation);
    if (sender->token == NULL) {
        digest_nonce(sender->made_token);
        sender->token = sender->made_token;
    }
    int code = choose_topics(sender);
    if (code == EX_OK) {
        render_payload(sender);
        pthread_mutex_init(&sender->mutex, NULL);
        sender->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        code = exchange_over_tls(sender);
        close(sender->wake_fd);
        pthread_mutex_destroy(&sender->mutex);
    }
    return code;
}

int cli_send(const struct cli_context *context, int argc, char **argv)
{
    struct sender sender = {0};
    int code;
    (void)context;
    if (!cli_read_options(&USAGE, argc, argv, &sender, &code)) {
        return code;
    }
    char *end = "";
    sender.timeout_s =
        sender.timeout == NULL ? TIMEOUT_S_DEFAULT : strtol(sender.timeout, &end, 10);
    if (*end != '\0' || sender.timeout_s < 1 || sender.timeout_s > TIMEOUT_S_MAX) {
        return cli_wrong_call("send", "--timeout takes 1 to 86400 seconds");
    }
    code = cli_load_settings("send", sender.config, &sender.settings);
    if (code == EX_OK) {
        code = send_command(&sender);
    }
    buf_fini(&sender.topic);
    buf_fini(&sender.reply_topic);
    buf_fini(&sender.payload);
    buf_fini(&sender.reply);
    buf_fini(&sender.fault);
    settings_free(sender.settings);
    return code;
}
