#include "flow_world.h"

#include "flow_settings.h"

#include <assert.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char default_settings[] = "broker.reconnect_max_s = 1;"
                                       "api.rate_per_s = 5000.0; api.rate_burst = 5000;"
                                       "api.connect_timeout_ms = 3000;"
                                       "limits.deadline_s = 60;"
                                       "admin.listen = \"\";"
                                       "log.level = \"debug\";";

_Noreturn void flow_fail(const char *format, ...)
{
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    print_error("%s\n", text);
    _fail(__FILE__, __LINE__);
    abort();
}

static char *instance_of(const char *settings)
{
    const char *text = strstr(settings, "instance = \"");
    assert(text != NULL);
    text += strlen("instance = \"");
    return strndup(text, strcspn(text, "\""));
}

static void write_config(struct bridge *bridge)
{
    char defaults[1024];
    const struct world *world = bridge->world;
    snprintf(defaults, sizeof defaults,
             "%sinstance = \"test-%d\";"
             "broker.uris = (\"mqtt://127.0.0.1:%d\");"
             "api.endpoint = \"http://127.0.0.1:%d\";",
             default_settings, world->bridge_number, world->broker.port, world->simulator.port);
    char *text = settings_write(defaults, bridge->overrides);
    char *instance = instance_of(text);
    file_write(bridge->config, text);
    snprintf(bridge->status_topic, sizeof bridge->status_topic, "ecs-bridge/v1/status/%s",
             instance);
    free(instance);
    free(text);
}

struct bridge *world_bridge_new(struct world *world, const char *overrides)
{
    struct bridge *bridge = calloc(1, sizeof *bridge);
    assert(bridge != NULL);
    bridge->world = world;
    bridge->overrides = strdup(overrides);
    snprintf(bridge->directory, sizeof bridge->directory, "%s/bridge-%d", world->directory,
             ++world->bridge_number);
    snprintf(bridge->config, sizeof bridge->config, "%s/bridge.conf", bridge->directory);
    snprintf(bridge->log, sizeof bridge->log, "%s/bridge.log", bridge->directory);
    mkdir(bridge->directory, 0700);
    bridge->env[0] = "ALIBABA_CLOUD_ACCESS_KEY_ID=" FLOW_ACCESS_KEY;
    bridge->env[1] = "ALIBABA_CLOUD_ACCESS_KEY_SECRET=" FLOW_ACCESS_SECRET;
    write_config(bridge);
    bridge->next = world->bridges;
    world->bridges = bridge;
    return bridge;
}

static void free_bridge(struct world *world, struct bridge *bridge)
{
    struct bridge **at = &world->bridges;
    while (*at != bridge) {
        at = &(*at)->next;
    }
    *at = bridge->next;
    if (world->shared == bridge) {
        world->shared = NULL;
    }
    process_end(bridge->pid, SIGKILL, FLOW_PATIENCE_MS);
    free(bridge->overrides);
    free(bridge);
}

struct bridge *world_bridge_alone(struct world *world, const char *overrides)
{
    if (world->shared != NULL && world->shared->pid != 0) {
        bridge_stop(world->shared);
    }
    return world_bridge_new(world, overrides);
}

struct bridge *world_bridge(struct world *world, const char *overrides)
{
    struct bridge *bridge = world->shared;
    if (bridge != NULL && bridge->pid != 0 && strcmp(bridge->overrides, overrides) == 0) {
        return bridge;
    }
    bridge = world_bridge_alone(world, overrides);
    world->shared = bridge;
    bridge_start(bridge);
    bridge_wait_online(bridge);
    return bridge;
}

void world_renew_sender(struct world *world)
{
    client_free(world->sender);
    world->sender = NULL;
    world->sender = client_new(world->broker.port, 5);
    client_subscribe(world->sender, FLOW_REPLIES "#");
    client_subscribe(world->sender, FLOW_DEAD_LETTERS);
    client_subscribe(world->sender, "ecs-bridge/v1/status/#");
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
    (void)info;
    (void)kind;
    (void)walk;
    return remove(path);
}

static struct world *new_world(const char *broker_extra)
{
    struct world *world = calloc(1, sizeof *world);
    assert(world != NULL);
    const char *base = getenv("TMPDIR");
    snprintf(world->directory, sizeof world->directory, "%s/ecs-flow-XXXXXX",
             base == NULL ? "/tmp" : base);
    if (mkdtemp(world->directory) == NULL) {
        flow_fail("cannot make a directory");
    }
    broker_init(&world->broker, world->directory, broker_extra);
    broker_start(&world->broker);
    simulator_start(&world->simulator, world->directory, 0);
    world_renew_sender(world);
    return world;
}

static void free_texts(struct world *world)
{
    for (size_t i = 0; i < world->text_count; i++) {
        free(world->texts[i]);
    }
    free(world->texts);
    world->texts = NULL;
    world->text_count = 0;
}

static void free_world(struct world *world)
{
    while (world->bridges != NULL) {
        free_bridge(world, world->bridges);
    }
    client_free(world->sender);
    simulator_stop(&world->simulator);
    broker_fini(&world->broker);
    if (getenv("FLOW_KEEP") == NULL) {
        nftw(world->directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    } else {
        print_message("kept: %s\n", world->directory);
    }
    free_texts(world);
    free(world);
}

static struct world *the_world;
static const char *the_broker_extra;
static bool has_ended; /* the running test, by returning */

static int begin_all(void **state)
{
    (void)state;
    the_world = new_world(the_broker_extra);
    return 0;
}

static int end_all(void **state)
{
    (void)state;
    if (the_world != NULL) {
        if (the_world->shared != NULL && the_world->shared->pid != 0 && !the_world->is_dirty) {
            bridge_stop(the_world->shared);
        }
        free_world(the_world);
        the_world = NULL;
    }
    return 0;
}

static void clean_up(struct world *world)
{
    while (world->bridges != NULL) {
        free_bridge(world, world->bridges);
    }
    if (world->broker.pid == 0) {
        broker_start(&world->broker);
    }
    world_renew_sender(world);
    world->is_dirty = false;
}

static int begin_test(void **state)
{
    struct world *world = the_world;
    (void)state;
    has_ended = false;
    if (world->is_dirty) {
        clean_up(world);
    }
    simulator_reset(&world->simulator);
    client_settle(world->sender);
    client_forget(world->sender, &(struct match){0});
    if (world->shared != NULL) {
        world->shared->log_offset = file_size(world->shared->log);
    }
    return 0;
}

/* A process that crashed is started again and would go unseen. */
static void check_no_crash(const struct world *world)
{
    static const char *const signs[] = {"Assertion `", "Sanitizer", "runtime error: ", " signal=6",
                                        " signal=11"};
    for (const struct bridge *bridge = world->bridges; bridge != NULL; bridge = bridge->next) {
        for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++) {
            if (bridge_log_contains(bridge, signs[i])) {
                flow_fail("a process of the bridge crashed: %s", signs[i]);
            }
        }
    }
}

static void run_one(void **state)
{
    const struct flow_test *test = *state;
    test->run(the_world);
    check_no_crash(the_world);
    has_ended = true;
}

static int end_test(void **state)
{
    struct world *world = the_world;
    struct bridge *next = NULL;
    (void)state;
    world->is_dirty = !has_ended;
    for (struct bridge *bridge = world->bridges; bridge != NULL; bridge = next) {
        next = bridge->next;
        if (!has_ended) {
            bridge_print_log(bridge);
        }
        if (bridge != world->shared) {
            free_bridge(world, bridge);
        }
    }
    free_texts(world);
    return 0;
}

int flow_main(const char *name, const struct flow_test *tests, size_t count,
              const char *broker_extra, int argc, char **argv)
{
    struct CMUnitTest *units = calloc(count, sizeof *units);
    assert(units != NULL);
    for (size_t i = 0; i < count; i++) {
        units[i] = (struct CMUnitTest){.name = tests[i].name,
                                       .test_func = run_one,
                                       .setup_func = begin_test,
                                       .teardown_func = end_test,
                                       .initial_state = (void *)&tests[i]};
    }
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    the_broker_extra = broker_extra;
    /* The macro around this counts an array; here the tests come from a caller. */
    int failed = _cmocka_run_group_tests(name, units, count, begin_all, end_all);
    free(units);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

const char *world_format(struct world *world, const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    assert(length >= 0);
    world->texts = realloc(world->texts, (world->text_count + 1) * sizeof *world->texts);
    assert(world->texts != NULL);
    world->texts[world->text_count++] = text;
    return text;
}

const char *world_name(struct world *world, const char *prefix)
{
    static int number;
    return world_format(world, "%s-%ld-%d", prefix, (long)getpid(), ++number);
}

const char *world_command(struct world *world, const char *token, const char *group,
                          const char *extra)
{
    return world_format(
        world, "{\"RegionId\":\"cn-beijing\",\"ReplicaGroupId\":\"%s\",\"ClientToken\":\"%s\"%s}",
        group, token, extra);
}

void world_send(struct world *world, const char *payload)
{
    client_publish(world->sender,
                   &(struct outgoing){.topic = FLOW_COMMANDS, .payload = payload, .qos = 1});
}

const struct message *world_expect_reply(struct world *world, const char *token)
{
    return client_expect(world->sender,
                         &(struct match){.topic = world_format(world, FLOW_REPLIES "%s", token)});
}

const struct message *world_ask(struct world *world, const char *token, const char *group,
                                const char *extra)
{
    world_send(world, world_command(world, token, group, extra));
    return world_expect_reply(world, token);
}

void world_expect_nothing(struct world *world, const struct match *match)
{
    const char *token = world_name(world, "marker");
    world_send(world, world_format(world, "{\"ClientToken\":\"%s\",\"Marker\":1}", token));
    world_expect_reply(world, token);
    if (client_count(world->sender, match) > 0) {
        client_print(world->sender);
        flow_fail("a message came that must not come");
    }
}

void check_text(const struct message *reply, const char *path, const char *value)
{
    if (strcmp(json_text(reply->json, path), value) != 0) {
        flow_fail("%s is not \"%s\" in: %s", path, value, reply->payload);
    }
}

void check_succeeded(const struct message *reply)
{
    check_text(reply, "Status", "succeeded");
    if (strlen(json_text(reply->json, "RequestId")) != 36 || json_has(reply->json, "Error")) {
        flow_fail("not a success as it should be: %s", reply->payload);
    }
}

void check_error(const struct message *reply, const char *status, const char *code,
                 const char *category, bool is_retryable)
{
    check_text(reply, "Status", status);
    check_text(reply, "Error.Code", code);
    check_text(reply, "Error.Category", category);
    if (json_is_true(reply->json, "Error.Retryable") != is_retryable ||
        json_text(reply->json, "Error.Message")[0] == '\0') {
        flow_fail("Retryable or Message is wrong in: %s", reply->payload);
    }
}
