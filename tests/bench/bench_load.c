/*
 * bench_load - a sender that measures the time from command to reply, with its own MQTT client.
 *
 * libmosquitto, MQTT 5, QoS 1, one connection with TCP_NODELAY, one thread. Three modes:
 *
 *   commands     publish commands with a Response Topic and Correlation Data, at most --window of
 *                them unanswered, each with its own ClientToken, spread over --groups groups of
 *                one region and over the topics of --routes routes; the time of each runs from its
 *                publish to its reply
 *   echo         publish to itself through the broker, twice in a row: the cost of broker and MQTT
 *                for a command without a bridge
 *   wait-online  exit as soon as the retained status at --status-topic is "online"
 *
 * --gap-ms makes pauses of that time to twice that time, at random, between two commands.
 * --payload-bytes makes the commands longer with blanks between two fields. With --replays every
 * second measured command is a copy of one of the warm-up, so the bridge knows its outcome.
 *
 * One line of JSON on standard output (not for wait-online). With --watch-pid it also holds what
 * that process and its descendants used between the first publish and the last reply, with
 * --broker-pid and --responder-pid the CPU time of those; --threads-file gets what each thread
 * used.
 *
 * Exits with 0; 1 if a reply was no success or a watched process was replaced; 3 if a reply is
 * missing after --idle-timeout-s seconds without any reply; 69 without a broker.
 */
#include "bench.h"
#include "bench_cost.h"
#include "bench_load_options.h"

#include <inttypes.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define REPLY_TOPIC_PREFIX "ecs-bridge/v1/replies/bench-"
#define ECHO_TOPIC_PREFIX  "ecs-bench/echo-"

enum {
    TOPIC_MAX_BYTES = 128,
    TOKEN_BYTES = 37,
    CORRELATION_BYTES = 16,
    TURN_MS = 1000,
};

/* One command, by its number; the number is its Correlation Data. */
struct slot {
    uint64_t sent_ns;
    bool is_answered;
};

struct load {
    struct load_options options;
    struct mosquitto *mosq;
    uint64_t seed;
    char *payload;                     /* payload_bytes or more */
    char first_topic[TOPIC_MAX_BYTES]; /* topic of commands or of the first echo */
    char last_topic[TOPIC_MAX_BYTES];  /* topic of replies or of the second echo */
    unsigned subscriptions_open;       /* requested and not acknowledged yet */
    bool is_online;
    struct slot *slots;
    size_t slots_count;
    size_t *relayed; /* numbers that were echoed once and must be echoed again */
    size_t relayed_count;
    size_t sent;
    size_t answered;
    size_t failed;
    size_t duplicates;
    size_t strangers; /* messages that belong to no command of this run */
    uint64_t progress_ns;
    uint64_t next_ns; /* no command is sent before */
    struct bench_samples latencies;
};

static void require(int rc, const char *what)
{
    if (rc != MOSQ_ERR_SUCCESS) {
        bench_die(EX_UNAVAILABLE, "%s: %s", what, mosquitto_strerror(rc));
    }
}

static void token_write(const struct load *load, size_t number, char token[TOKEN_BYTES])
{
    uint64_t high = bench_mix(load->seed + number);
    uint64_t low = bench_mix(high);

    snprintf(token, TOKEN_BYTES,
             "%08" PRIx64 "-%04" PRIx64 "-4%03" PRIx64 "-%04" PRIx64 "-%012" PRIx64, high >> 32,
             (high >> 16) & 0xffffU, high & 0xfffU, low >> 48, low & 0xffffffffffffU);
}

static bool is_replay(const struct load *load, size_t number)
{
    const struct load_options *options = &load->options;

    return options->has_replays && number >= options->warmup && number % 2 == 1;
}

/* The command whose token, group and route this one has: its own number, or one of the warm-up. */
static size_t original_of(const struct load *load, size_t number)
{
    size_t warmup = load->options.warmup;

    return is_replay(load, number) ? (number - warmup) / 2 % warmup : number;
}

/* Blanks are the only filling: an unknown field is refused, and every known one has a limit. */
static size_t command_write(struct load *load, size_t number)
{
    char token[TOKEN_BYTES];
    size_t original = original_of(load, number);

    token_write(load, original, token);
    int head = snprintf(load->payload, LOAD_PAYLOAD_MAX_BYTES,
                        "{\"RegionId\":\"cn-beijing\",\"ReplicaGroupId\":\"pg-bench-%05zu\","
                        "\"ClientToken\":\"%s\",",
                        original % load->options.groups, token);
    size_t bytes = (size_t)head;
    char tail[] = "\"OneShot\":false}";
    size_t tail_bytes = sizeof(tail) - 1;
    if (bytes + tail_bytes < load->options.payload_bytes) {
        memset(load->payload + bytes, ' ', load->options.payload_bytes - tail_bytes - bytes);
        bytes = load->options.payload_bytes - tail_bytes;
    }
    memcpy(load->payload + bytes, tail, tail_bytes);
    return bytes + tail_bytes;
}

static void publish(struct load *load, const char *topic, size_t number)
{
    mosquitto_property *properties = NULL;
    char correlation[CORRELATION_BYTES + 1];
    size_t payload_bytes = command_write(load, number);

    snprintf(correlation, sizeof(correlation), "%016zx", number);
    require(mosquitto_property_add_binary(&properties, MQTT_PROP_CORRELATION_DATA, correlation,
                                          CORRELATION_BYTES),
            "correlation data");
    require(mosquitto_property_add_string(&properties, MQTT_PROP_RESPONSE_TOPIC, load->last_topic),
            "response topic");
    require(mosquitto_publish_v5(load->mosq, NULL, topic, (int)payload_bytes, load->payload, 1,
                                 false, properties),
            "publish");
    mosquitto_property_free_all(&properties);
}

/* The number in the Correlation Data; `slots_count` if it belongs to no command of this run. */
static size_t number_of(const struct load *load, const mosquitto_property *properties)
{
    void *data = NULL;
    uint16_t bytes = 0;
    char text[CORRELATION_BYTES + 1] = "";
    size_t number = load->slots_count;

    if (mosquitto_property_read_binary(properties, MQTT_PROP_CORRELATION_DATA, &data, &bytes,
                                       false) == NULL) {
        return number;
    }
    if (bytes == CORRELATION_BYTES) {
        memcpy(text, data, bytes);
        number = strtoull(text, NULL, 16);
    }
    free(data);
    return number < load->sent ? number : load->slots_count;
}

static bool holds(const struct mosquitto_message *message, const char *text)
{
    return memmem(message->payload, (size_t)message->payloadlen, text, strlen(text)) != NULL;
}

static bool is_success(const struct load *load, const struct mosquitto_message *message,
                       size_t number)
{
    char token[TOKEN_BYTES];

    token_write(load, original_of(load, number), token);
    return holds(message, token) &&
           (load->options.mode == MODE_ECHO || holds(message, "\"Status\":\"succeeded\""));
}

static void take_answer(struct load *load, const struct mosquitto_message *message, size_t number)
{
    uint64_t now_ns = bench_now_ns();
    struct slot *slot = &load->slots[number];

    if (slot->is_answered) {
        load->duplicates++;
        return;
    }
    slot->is_answered = true;
    load->answered++;
    load->progress_ns = now_ns;
    bench_samples_add(&load->latencies, now_ns - slot->sent_ns);
    if (!is_success(load, message, number)) {
        if (load->failed++ == 0) {
            fprintf(stderr, "bench_load: the first reply that is no success: %.*s\n",
                    message->payloadlen, (const char *)message->payload);
        }
    }
}

static void take_status(struct load *load, const struct mosquitto_message *message)
{
    load->is_online = holds(message, "\"State\":\"online\"");
    if (!load->is_online) {
        fprintf(stderr, "bench_load: not online yet: %.*s\n", message->payloadlen,
                (const char *)message->payload);
    }
}

static void on_message(struct mosquitto *mosq, void *arg, const struct mosquitto_message *message,
                       const mosquitto_property *properties)
{
    struct load *load = arg;

    (void)mosq;
    if (load->options.mode == MODE_WAIT_ONLINE) {
        take_status(load, message);
        return;
    }
    size_t number = number_of(load, properties);
    if (number == load->slots_count) {
        load->strangers++;
    } else if (strcmp(message->topic, load->last_topic) == 0) {
        take_answer(load, message, number);
    } else {
        load->relayed[load->relayed_count++] = number;
    }
}

static void on_connect(struct mosquitto *mosq, void *arg, int code, int flags,
                       const mosquitto_property *properties)
{
    struct load *load = arg;

    (void)flags;
    (void)properties;
    if (code != 0) {
        bench_die(EX_UNAVAILABLE, "the broker refused: %s", mosquitto_reason_string(code));
    }
    if (load->options.mode == MODE_ECHO) {
        require(mosquitto_subscribe(mosq, NULL, load->first_topic, 1), "subscribe");
    }
    require(mosquitto_subscribe(mosq, NULL, load->last_topic, 1), "subscribe");
}

static void on_subscribe(struct mosquitto *mosq, void *arg, int mid, int count, const int *granted)
{
    struct load *load = arg;

    (void)mosq;
    (void)mid;
    if (count < 1 || granted[0] >= 128) {
        bench_die(EX_UNAVAILABLE, "the broker refused a subscription");
    }
    load->subscriptions_open--;
}

static void topics_make(struct load *load)
{
    const struct load_options *options = &load->options;

    if (options->mode == MODE_COMMANDS) {
        snprintf(load->first_topic, TOPIC_MAX_BYTES, "%s", options->command_topic);
        snprintf(load->last_topic, TOPIC_MAX_BYTES, REPLY_TOPIC_PREFIX "%016" PRIx64, load->seed);
    } else if (options->mode == MODE_ECHO) {
        snprintf(load->first_topic, TOPIC_MAX_BYTES, ECHO_TOPIC_PREFIX "%016" PRIx64 "/1",
                 load->seed);
        snprintf(load->last_topic, TOPIC_MAX_BYTES, ECHO_TOPIC_PREFIX "%016" PRIx64 "/2",
                 load->seed);
    } else {
        snprintf(load->last_topic, TOPIC_MAX_BYTES, "%s", options->status_topic);
    }
}

static void load_init(struct load *load)
{
    load->seed = bench_random();
    load->payload = bench_alloc(1, LOAD_PAYLOAD_MAX_BYTES);
    load->slots_count = load->options.warmup + load->options.count;
    load->slots = bench_alloc(load->slots_count, sizeof(*load->slots));
    load->relayed = bench_alloc(load->slots_count, sizeof(*load->relayed));
    bench_samples_init(&load->latencies, load->slots_count);
    topics_make(load);
    load->subscriptions_open = load->options.mode == MODE_ECHO ? 2 : 1;
    mosquitto_lib_init();
    load->mosq = mosquitto_new(NULL, true, load);
    if (load->mosq == NULL) {
        bench_die(EX_OSERR, "mosquitto_new failed");
    }
    mosquitto_int_option(load->mosq, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5);
    mosquitto_int_option(load->mosq, MOSQ_OPT_TCP_NODELAY, 1);
    mosquitto_int_option(load->mosq, MOSQ_OPT_SEND_MAXIMUM, 65535);
    mosquitto_int_option(load->mosq, MOSQ_OPT_RECEIVE_MAXIMUM, 65535);
    mosquitto_connect_v5_callback_set(load->mosq, on_connect);
    mosquitto_subscribe_callback_set(load->mosq, on_subscribe);
    mosquitto_message_v5_callback_set(load->mosq, on_message);
}

static void load_fini(struct load *load)
{
    mosquitto_disconnect(load->mosq);
    mosquitto_destroy(load->mosq);
    mosquitto_lib_cleanup();
    bench_samples_fini(&load->latencies);
    free(load->relayed);
    free(load->slots);
    free(load->payload);
}

static void turn(struct load *load, int longest_ms)
{
    require(mosquitto_loop(load->mosq, longest_ms, 1), "the broker's connection");
}

static bool is_idle_too_long(const struct load *load)
{
    return bench_now_ns() - load->progress_ns > load->options.idle_timeout_s * 1000000000U;
}

static void connect_and_subscribe(struct load *load)
{
    require(mosquitto_connect_bind_v5(load->mosq, load->options.host, (int)load->options.port, 60,
                                      NULL, NULL),
            "connect");
    load->progress_ns = bench_now_ns();
    while (load->subscriptions_open > 0) {
        turn(load, TURN_MS);
        if (is_idle_too_long(load)) {
            bench_die(EX_UNAVAILABLE, "the broker does not answer");
        }
    }
}

static void send_next(struct load *load)
{
    size_t number = load->sent++;
    char topic[TOPIC_MAX_BYTES + 24];

    uint64_t gap_ns = load->options.gap_ms * 1000000U;
    load->slots[number].sent_ns = bench_now_ns();
    if (gap_ns > 0) {
        load->next_ns =
            load->slots[number].sent_ns + gap_ns + bench_mix(load->seed + number) % gap_ns;
    }
    if (load->options.routes > 1) {
        snprintf(topic, sizeof(topic), "%s-%zu", load->first_topic,
                 original_of(load, number) % load->options.routes);
        publish(load, topic, number);
    } else {
        publish(load, load->first_topic, number);
    }
}

static bool may_send(const struct load *load, size_t end)
{
    return load->sent < end && load->sent - load->answered < load->options.window;
}

/* Sends until `end` commands have been sent, then waits for their replies. False: some are missing.
 * Publishes nothing in a callback, because libmosquitto only queues there. */
static bool run_until(struct load *load, size_t end)
{
    load->progress_ns = bench_now_ns();
    while (load->answered < end) {
        uint64_t now_ns = bench_now_ns();
        while (may_send(load, end) && load->next_ns <= now_ns) {
            send_next(load);
        }
        int wait_ms = TURN_MS;
        if (may_send(load, end) && load->next_ns < now_ns + TURN_MS * 1000000U) {
            wait_ms = (int)((load->next_ns - now_ns) / 1000000U) + 1;
        }
        turn(load, wait_ms);
        for (size_t i = 0; i < load->relayed_count; i++) {
            publish(load, load->last_topic, load->relayed[i]);
        }
        load->relayed_count = 0;
        if (is_idle_too_long(load)) {
            return false;
        }
    }
    return true;
}

static size_t replays_of(const struct load *load)
{
    size_t replays = 0;

    for (size_t number = 0; number < load->sent; number++) {
        replays += is_replay(load, number);
    }
    return replays;
}

static void print_result(struct load *load, const struct bench_cost *cost)
{
    size_t count = load->latencies.count;

    bench_samples_sort(&load->latencies);
    printf(
        "{\"mode\":\"%s\",\"commands\":%zu,\"window\":%zu,\"groups\":%zu,\"routes\":%zu,"
        "\"replays\":%zu,\"missing\":%zu,\"failed\":%zu,\"duplicates\":%zu,\"strangers\":%zu,"
        "\"commands_per_s\":%.0f,\"p50_us\":%.1f,\"p90_us\":%.1f,\"p99_us\":%.1f,\"max_us\":%.1f",
        load->options.mode == MODE_ECHO ? "echo" : "commands", count, load->options.window,
        load->options.groups, load->options.routes, replays_of(load), load->sent - load->answered,
        load->failed, load->duplicates, load->strangers, (double)count / bench_cost_seconds(cost),
        bench_samples_percentile_us(&load->latencies, 50.0),
        bench_samples_percentile_us(&load->latencies, 90.0),
        bench_samples_percentile_us(&load->latencies, 99.0),
        bench_samples_percentile_us(&load->latencies, 100.0));
    bench_cost_print(cost, count);
    printf("}\n");
    if (load->options.threads_file != NULL) {
        bench_cost_write_threads(cost, count, load->options.threads_file);
    }
}

/* Prints the token, to search for in the logs and the ledger. */
static void print_missing(const struct load *load)
{
    char token[TOKEN_BYTES];
    size_t number = 0;

    while (number < load->sent && load->slots[number].is_answered) {
        number++;
    }
    token_write(load, number, token);
    fprintf(stderr, "bench_load: %zu replies are missing, the first one that of ClientToken %s\n",
            load->sent - load->answered, token);
}

static int measure(struct load *load)
{
    if (!run_until(load, load->options.warmup)) {
        print_missing(load);
        return BENCH_EXIT_MISSING;
    }
    load->latencies.count = 0;
    struct bench_cost *cost = bench_cost_begin(&load->options.watch);
    bool is_complete = run_until(load, load->slots_count);
    bench_cost_end(cost);
    print_result(load, cost);
    bool is_spoiled = bench_cost_is_spoiled(cost);
    bench_cost_free(cost);
    if (!is_complete) {
        print_missing(load);
        return BENCH_EXIT_MISSING;
    }
    return load->failed > 0 || is_spoiled ? BENCH_EXIT_FAILED : BENCH_EXIT_OK;
}

static int wait_online(struct load *load)
{
    load->progress_ns = bench_now_ns();
    while (!load->is_online) {
        turn(load, TURN_MS);
        if (is_idle_too_long(load)) {
            bench_die(BENCH_EXIT_MISSING, "%s: no \"online\" was published", load->last_topic);
        }
    }
    return BENCH_EXIT_OK;
}

int main(int argc, char **argv)
{
    struct load load = {0};

    load_options_read(&load.options, argc, argv);
    load_init(&load);
    connect_and_subscribe(&load);
    int code = load.options.mode == MODE_WAIT_ONLINE ? wait_online(&load) : measure(&load);
    load_fini(&load);
    return code;
}
