/*
 * Sends one command as any sender does: it subscribes to the reply topic, publishes the command and
 * recognises its reply by the CorrelationId. It uses the MQTT processes of the bridge, with
 * settings that are changed for this purpose.
 */
#include "base/digest.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "client.h"
#include "intake/command_read.h"
#include "model/message.h"
#include "model/topic.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#define EXIT_FAILED   1
#define EXIT_UNKNOWN  2
#define EXIT_NO_REPLY 3

#define TIMEOUT_S_MAX   86400
#define TIMEOUT_MORE_S  10 /* for the reply, behind the deadline and the last attempt */
#define REPLY_DEPTH_MAX 8
#define REPLY_BYTES_MAX (1 << 20)

struct sender {
    /* the options */
    struct cli_config config;
    const char *region;
    const char *group;
    const char *token;
    const char *not_after;
    const char *action;
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
    struct client client;
    /* what happened */
    struct buf reply;
    struct buf fault; /* why no reply is awaited any more */
    bool is_sent;
    bool is_dropped; /* by the broker: nobody subscribes to the topic */
    bool is_over;
};

static const struct cli_option OPTIONS[] = {
    CLI_CONFIG_OPTIONS(offsetof(struct sender, config),
                       "The bridge's configuration file: broker, route, topics."),
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
    {'a', "action", "NAME", offsetof(struct sender, action),
     "What to do, as StopDiskReplicaGroup; default: the action of the route."},
    {'R', "route", "NAME", offsetof(struct sender, route_name),
     "The route of the command; default: the first one, with --action the first of that action."},
    {'w', "timeout", "SECONDS", offsetof(struct sender, timeout),
     "How long to wait for the reply; default: the time that the bridge tries a command."},
    {0},
};

static const struct cli_usage USAGE = {
    .synopsis = "send --config FILE --region ID --group ID [OPTIONS]",
    .about =
        "Publishes a command, waits for its reply and prints it.\n"
        "Exits 0 for succeeded, 1 for failed, 2 for unknown, 3 for no reply, 64 for a command\n"
        "that the bridge would refuse.",
    .options = OPTIONS,
};

static void render_payload(struct sender *sender)
{
    struct buf *out = &sender->payload;
    json_put_open(out, '{');
    json_put_text_if(out, "RegionId", slice_text(sender->region));
    json_put_text_if(out, "ReplicaGroupId", slice_text(sender->group));
    json_put_text(out, "ClientToken", slice_text(sender->token));
    json_put_text_if(out, "Action", slice_text(sender->action));
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

/* The route of the name, else the first one with the action, else the first one. */
static const struct route *find_route(const struct sender *sender)
{
    const struct settings *settings = sender->settings;
    if (sender->route_name != NULL) {
        return route_of_name(settings->routes, settings->route_count, sender->route_name);
    }
    for (size_t i = 0; i < settings->route_count; i++) {
        if (sender->action == NULL || strcmp(settings->routes[i].action, sender->action) == 0) {
            return &settings->routes[i];
        }
    }
    return NULL;
}

/* The topics of the command and its reply. A command cannot be published to a filter with
 * wildcards. */
static int choose_topics(struct sender *sender)
{
    const struct settings *settings = sender->settings;
    const struct route *route = find_route(sender);
    if (route == NULL) {
        return cli_wrong_call("send", sender->route_name != NULL
                                          ? "the configuration has no route of that name"
                                          : "the configuration has no route with that action");
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

/* What the bridge would refuse is not sent: it is read as the bridge reads it. */
static int check_command(const struct sender *sender)
{
    const struct settings *settings = sender->settings;
    const struct delivery delivery = {.topic = buf_slice(&sender->topic),
                                      .payload = buf_slice(&sender->payload),
                                      .payload_bytes = sender->payload.length,
                                      .qos = 1,
                                      .expiry_s = -1};
    const struct command_limits limits = {
        .payload_bytes = (size_t)settings->limits.payload_bytes,
        .reply_topic_bytes = (size_t)settings->limits.reply_topic_bytes,
        .correlation_bytes = (size_t)settings->limits.correlation_bytes,
        .deadline_s = settings->limits.deadline_s};
    struct request request;
    struct refusal refusal;
    enum status status = request_read(sender->route, &delivery, &limits, &request, &refusal);
    if (status == STATUS_OK) {
        status = request_authorise(sender->route, &request, &refusal);
    }
    request_fini(&request);
    return status == STATUS_OK ? EX_OK : cli_wrong_call("send", refusal.message);
}

/* ---- Hooks of the workers ---- */

/* The result is known: ends the processes. */
static void finish(void *arg)
{
    struct sender *sender = arg;
    sender->is_over = true;
    client_stop(&sender->client);
}

/* Nothing is published before the reply topic is subscribed. */
static void send_when_ready(struct sender *sender)
{
    if (sender->is_over || sender->is_sent || !workers_is_receiving(sender->client.workers) ||
        !workers_may_publish(sender->client.workers)) {
        return;
    }
    struct buf bytes = {0};
    struct message message = {.topic = buf_slice(&sender->topic),
                              .body = buf_slice(&sender->payload),
                              .qos = 1,
                              .is_json = true,
                              .expiry_s = -1};
    message_encode(&message, &bytes);
    workers_publish(sender->client.workers, 1, 0, buf_slice(&bytes));
    sender->is_sent = true;
    buf_fini(&bytes);
}

static void on_publisher_changed(void *arg, bool is_up)
{
    (void)is_up;
    send_when_ready(arg);
}

static void on_receiver_changed(void *arg, bool is_up)
{
    (void)is_up;
    send_when_ready(arg);
}

static void on_delivered(void *arg, const struct delivery *delivery, struct mqtt_ticket ticket)
{
    struct sender *sender = arg;
    struct json_fault fault;
    struct json *reply = json_parse(delivery->payload, REPLY_DEPTH_MAX, &fault);
    struct slice correlation = json_text(json_member(reply, "CorrelationId"));
    workers_ack(sender->client.workers, ticket, true);
    if (!sender->is_over && slice_equals_text(correlation, sender->correlation)) {
        if (slice_equals_text(json_text(json_member(reply, "Status")), "accepted")) {
            fprintf(stderr, "accepted\n");
        } else {
            buf_append(&sender->reply, delivery->payload);
            finish(sender);
        }
    }
    json_free(reply);
}

/* Without a subscriber the broker has dropped the command: a bridge that is away for a moment has a
 * session with its subscription. */
static void on_published(void *arg, int64_t id, bool has_subscriber)
{
    struct sender *sender = arg;
    (void)id;
    if (!sender->is_over && !has_subscriber) {
        sender->is_dropped = true;
        finish(sender);
    }
}

static void on_interrupted(void *arg, int signal_number)
{
    struct sender *sender = arg;
    (void)signal_number;
    if (!sender->is_over) {
        buf_append_text(&sender->fault, "interrupted");
        finish(sender);
    }
}

static void on_unpublished(void *arg, int64_t id, uint32_t code, struct slice why)
{
    struct sender *sender = arg;
    (void)id;
    (void)code;
    if (!sender->is_over) {
        sender->is_sent = false;
        buf_printf(&sender->fault, "the command was not published: %.*s", (int)why.length,
                   why.data);
        finish(sender);
    }
}

static void on_failed(void *arg, const char *reason, const char *text)
{
    struct sender *sender = arg;
    if (!sender->is_over) {
        buf_printf(&sender->fault, "%s: %s", reason, text);
        finish(sender);
    }
}

static void on_stopped(void *arg)
{
    struct sender *sender = arg;
    loop_stop(sender->client.loop);
}

/* ---- The result ---- */

static int report(const struct sender *sender)
{
    if (sender->reply.length > 0) {
        struct json_fault fault;
        struct json *reply = json_parse(buf_slice(&sender->reply), REPLY_DEPTH_MAX, &fault);
        struct slice status = json_text(json_member(reply, "Status"));
        int code = slice_equals_text(status, "succeeded") ? EX_OK
                   : slice_equals_text(status, "failed")  ? EXIT_FAILED
                                                          : EXIT_UNKNOWN;
        json_free(reply);
        printf("%s\n", sender->reply.data);
        return code;
    }
    bool has_fault = sender->fault.length > 0;
    if (!sender->is_sent) {
        fprintf(stderr, "ecs-mqtt-bridge send: %s\n",
                has_fault ? sender->fault.data : "no connection to the broker in time");
        return EX_UNAVAILABLE;
    }
    if (sender->is_dropped) {
        fprintf(stderr,
                "ecs-mqtt-bridge send: nobody subscribes to %s at this broker, so the command is "
                "lost: is the bridge there, with this route? Send it again with --token %s\n",
                sender->topic.data, sender->token);
        return EXIT_NO_REPLY;
    }
    fprintf(stderr,
            "ecs-mqtt-bridge send: no reply (%s); the command may still be executed. Send it "
            "again with --token %s\n",
            has_fault ? sender->fault.data : "in time", sender->token);
    return EXIT_NO_REPLY;
}

/* The reply topic is the only subscription, and no session outlives the connection. */
static void use_client(struct sender *sender)
{
    const struct workers_hooks hooks = {.arg = sender,
                                        .delivered = on_delivered,
                                        .published = on_published,
                                        .unpublished = on_unpublished,
                                        .publisher_changed = on_publisher_changed,
                                        .receiver_changed = on_receiver_changed,
                                        .failed = on_failed,
                                        .stopped = on_stopped};
    struct client *client = &sender->client;
    struct route route = {
        .name = sender->route->name, .topics = {&sender->reply_topic.data, 1}, .qos = 1};
    client->settings.broker.session_expiry_s = 0;
    client->settings.limits.payload_bytes = REPLY_BYTES_MAX;
    client->settings.routes = &route;
    client->settings.route_count = 1;
    struct loop_signal *signals[] = {
        loop_signal_new(client->loop, SIGINT, on_interrupted, sender),
        loop_signal_new(client->loop, SIGTERM, on_interrupted, sender)};
    client_run(client, &hooks, sender->timeout_s * 1000, finish);
    loop_signal_free(signals[0]);
    loop_signal_free(signals[1]);
}

static int exchange(struct sender *sender)
{
    struct buf why = {0};
    enum status status =
        client_init(&sender->client, sender->settings, "send", sender->correlation, &why);
    int code = status == STATUS_INVALID ? EX_CONFIG : EX_UNAVAILABLE;
    if (status == STATUS_OK) {
        use_client(sender);
        code = report(sender);
    } else {
        fprintf(stderr, "ecs-mqtt-bridge send: %s\n", why.data);
    }
    client_fini(&sender->client);
    buf_fini(&why);
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
        code = check_command(sender);
    }
    return code == EX_OK ? exchange(sender) : code;
}

int cli_send(int argc, char **argv)
{
    struct sender sender = {0};
    int code;
    if (!cli_read_options(&USAGE, argc, argv, &sender, &code)) {
        return code;
    }
    char *end = "";
    sender.timeout_s = sender.timeout == NULL ? 1 : strtol(sender.timeout, &end, 10);
    if (*end != '\0' || sender.timeout_s < 1 || sender.timeout_s > TIMEOUT_S_MAX) {
        return cli_wrong_call("send", "--timeout takes 1 to 86400 seconds");
    }
    code = cli_load_settings("send", &sender.config, &sender.settings, NULL);
    if (code == EX_OK) {
        if (sender.timeout == NULL) {
            const struct settings *settings = sender.settings;
            sender.timeout_s =
                (long)(settings->limits.deadline_s +
                       (settings->api.connect_timeout_ms + settings->api.read_timeout_ms) / 1000) +
                TIMEOUT_MORE_S;
        }
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
