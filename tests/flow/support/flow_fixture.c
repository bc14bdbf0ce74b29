#include "flow_fixture.h"

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
    char store[512] = "";
    const char *given = getenv("LEDGER_STORE");
    const struct fixture *fixture = bridge->fixture;
    /* Each route needs a share, because several bridges may share the ledger. It is a bridge's own:
     * the broker would send messages to the sessions of earlier bridges of the test. */
    if (given != NULL && strstr(bridge->overrides, "routes = (") != NULL) {
        snprintf(store, sizeof store, "ledger.store = \"%s\";", given);
    } else if (given != NULL) {
        snprintf(store, sizeof store, "ledger.store = \"%s\"; routes.share = \"test-%d\";", given,
                 bridge->number);
    }
    snprintf(defaults, sizeof defaults,
             "%s%sinstance = \"test-%d\";"
             "broker.uris = (\"mqtt://127.0.0.1:%d\");"
             "api.endpoint = \"http://127.0.0.1:%d\";",
             default_settings, store, bridge->number, fixture->broker.port,
             fixture->simulator.port);
    char *text = settings_write(defaults, bridge->overrides);
    char *instance = instance_of(text);
    file_write(bridge->config, text);
    snprintf(bridge->status_topic, sizeof bridge->status_topic, "ecs-bridge/v1/status/%s",
             instance);
    free(instance);
    free(text);
}

struct bridge *fixture_bridge_new(struct fixture *fixture, const char *overrides)
{
    struct bridge *bridge = calloc(1, sizeof *bridge);
    assert(bridge != NULL);
    bridge->fixture = fixture;
    bridge->overrides = strdup(overrides);
    bridge->number = ++fixture->bridge_number;
    snprintf(bridge->directory, sizeof bridge->directory, "%s/bridge-%d", fixture->directory,
             bridge->number);
    snprintf(bridge->config, sizeof bridge->config, "%s/bridge.conf", bridge->directory);
    snprintf(bridge->log, sizeof bridge->log, "%s/bridge.log", bridge->directory);
    mkdir(bridge->directory, 0700);
    bridge->env[0] = "ALIBABA_CLOUD_ACCESS_KEY_ID=" FLOW_ACCESS_KEY;
    bridge->env[1] = "ALIBABA_CLOUD_ACCESS_KEY_SECRET=" FLOW_ACCESS_SECRET;
    write_config(bridge);
    bridge->next = fixture->bridges;
    fixture->bridges = bridge;
    return bridge;
}

void fixture_set(struct bridge *bridge, const char *overrides)
{
    free(bridge->overrides);
    bridge->overrides = strdup(overrides);
    write_config(bridge);
}

static void free_bridge(struct fixture *fixture, struct bridge *bridge)
{
    struct bridge **at = &fixture->bridges;
    while (*at != bridge) {
        at = &(*at)->next;
    }
    *at = bridge->next;
    if (fixture->shared == bridge) {
        fixture->shared = NULL;
    }
    process_end(bridge->pid, SIGKILL, FLOW_TIMEOUT_MS);
    free(bridge->overrides);
    free(bridge);
}

struct bridge *fixture_bridge_alone(struct fixture *fixture, const char *overrides)
{
    if (fixture->shared != NULL && fixture->shared->pid != 0) {
        bridge_stop(fixture->shared);
    }
    return fixture_bridge_new(fixture, overrides);
}

struct bridge *fixture_bridge(struct fixture *fixture, const char *overrides)
{
    struct bridge *bridge = fixture->shared;
    if (bridge != NULL && bridge->pid != 0 && strcmp(bridge->overrides, overrides) == 0) {
        return bridge;
    }
    bridge = fixture_bridge_alone(fixture, overrides);
    fixture->shared = bridge;
    bridge_start(bridge);
    bridge_wait_online(bridge);
    return bridge;
}

void fixture_renew_sender(struct fixture *fixture)
{
    client_free(fixture->sender);
    fixture->sender = NULL;
    fixture->sender = client_new(fixture->broker.port, 5);
    client_subscribe(fixture->sender, FLOW_REPLIES "#");
    client_subscribe(fixture->sender, FLOW_DEAD_LETTERS);
    client_subscribe(fixture->sender, "ecs-bridge/v1/status/#");
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
    (void)info;
    (void)kind;
    (void)walk;
    return remove(path);
}

static struct fixture *new_fixture(const char *broker_extra)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert(fixture != NULL);
    const char *base = getenv("TMPDIR");
    snprintf(fixture->directory, sizeof fixture->directory, "%s/ecs-flow-XXXXXX",
             base == NULL ? "/tmp" : base);
    if (mkdtemp(fixture->directory) == NULL) {
        flow_fail("cannot make a directory");
    }
    broker_init(&fixture->broker, fixture->directory, broker_extra);
    broker_start(&fixture->broker);
    simulator_start(&fixture->simulator, fixture->directory, 0);
    fixture_renew_sender(fixture);
    return fixture;
}

static void free_texts(struct fixture *fixture)
{
    for (size_t i = 0; i < fixture->text_count; i++) {
        free(fixture->texts[i]);
    }
    free(fixture->texts);
    fixture->texts = NULL;
    fixture->text_count = 0;
}

static void free_fixture(struct fixture *fixture)
{
    while (fixture->bridges != NULL) {
        free_bridge(fixture, fixture->bridges);
    }
    client_free(fixture->sender);
    simulator_stop(&fixture->simulator);
    broker_fini(&fixture->broker);
    if (getenv("FLOW_KEEP") == NULL) {
        nftw(fixture->directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    } else {
        print_message("kept: %s\n", fixture->directory);
    }
    free_texts(fixture);
    free(fixture);
}

static struct fixture *the_fixture;
static const char *the_broker_extra;
static bool has_ended; /* ends the running test by returning */

static int begin_all(void **state)
{
    (void)state;
    the_fixture = new_fixture(the_broker_extra);
    return 0;
}

static int end_all(void **state)
{
    (void)state;
    if (the_fixture != NULL) {
        if (the_fixture->shared != NULL && the_fixture->shared->pid != 0 &&
            !the_fixture->is_dirty) {
            bridge_stop(the_fixture->shared);
        }
        free_fixture(the_fixture);
        the_fixture = NULL;
    }
    return 0;
}

static void clean_up(struct fixture *fixture)
{
    while (fixture->bridges != NULL) {
        free_bridge(fixture, fixture->bridges);
    }
    if (fixture->broker.pid == 0) {
        broker_start(&fixture->broker);
    }
    fixture_renew_sender(fixture);
    fixture->is_dirty = false;
}

static int begin_test(void **state)
{
    struct fixture *fixture = the_fixture;
    (void)state;
    has_ended = false;
    if (fixture->is_dirty) {
        clean_up(fixture);
    }
    simulator_reset(&fixture->simulator);
    client_sync(fixture->sender);
    client_forget(fixture->sender, &(struct match){0});
    if (fixture->shared != NULL) {
        fixture->shared->log_offset = file_size(fixture->shared->log);
    }
    return 0;
}

/* The bridge restarts a crashed process, so a crash would stay undetected. */
static void check_no_crash(const struct fixture *fixture)
{
    static const char *const signs[] = {"Assertion `", "Sanitizer", "runtime error: ", " signal=6",
                                        " signal=11"};
    for (const struct bridge *bridge = fixture->bridges; bridge != NULL; bridge = bridge->next) {
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
    test->run(the_fixture);
    check_no_crash(the_fixture);
    has_ended = true;
}

static int end_test(void **state)
{
    struct fixture *fixture = the_fixture;
    struct bridge *next = NULL;
    (void)state;
    fixture->is_dirty = !has_ended;
    for (struct bridge *bridge = fixture->bridges; bridge != NULL; bridge = next) {
        next = bridge->next;
        if (!has_ended) {
            bridge_print_log(bridge);
        }
        if (bridge != fixture->shared) {
            free_bridge(fixture, bridge);
        }
    }
    free_texts(fixture);
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
    /* The cmocka macro needs an array of known size; here the tests come from a caller. */
    int failed = _cmocka_run_group_tests(name, units, count, begin_all, end_all);
    free(units);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

const char *fixture_format(struct fixture *fixture, const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    assert(length >= 0);
    fixture->texts = realloc(fixture->texts, (fixture->text_count + 1) * sizeof *fixture->texts);
    assert(fixture->texts != NULL);
    fixture->texts[fixture->text_count++] = text;
    return text;
}

const char *fixture_name(struct fixture *fixture, const char *prefix)
{
    static int number;
    return fixture_format(fixture, "%s-%ld-%d", prefix, (long)getpid(), ++number);
}

const char *fixture_command(struct fixture *fixture, const char *token, const char *group,
                            const char *extra)
{
    return fixture_format(
        fixture, "{\"RegionId\":\"cn-beijing\",\"ReplicaGroupId\":\"%s\",\"ClientToken\":\"%s\"%s}",
        group, token, extra);
}

void fixture_send(struct fixture *fixture, const char *payload)
{
    client_publish(fixture->sender,
                   &(struct outgoing){.topic = FLOW_COMMANDS, .payload = payload, .qos = 1});
}

void fixture_send_hanging(struct fixture *fixture, const char *token, const char *group)
{
    simulator_fault(&fixture->simulator, "\"hang\",\"Count\":1,\"Match\":{\"ClientToken\":\"%s\"}",
                    token);
    fixture_send(fixture, fixture_command(fixture, token, group, ""));
    simulator_wait_token(&fixture->simulator, token, 1);
}

const struct message *fixture_expect_reply(struct fixture *fixture, const char *token)
{
    return client_expect(fixture->sender, &(struct match){.topic = fixture_format(
                                                              fixture, FLOW_REPLIES "%s", token)});
}

const struct message *fixture_request(struct fixture *fixture, const char *token, const char *group,
                                      const char *extra)
{
    fixture_send(fixture, fixture_command(fixture, token, group, extra));
    return fixture_expect_reply(fixture, token);
}

void fixture_expect_nothing(struct fixture *fixture, const struct match *match)
{
    const char *token = fixture_name(fixture, "marker");
    fixture_send(fixture, fixture_format(fixture, "{\"ClientToken\":\"%s\",\"Marker\":1}", token));
    fixture_expect_reply(fixture, token);
    if (client_count(fixture->sender, match) > 0) {
        client_print(fixture->sender);
        flow_fail("an unexpected message arrived");
    }
}

void fixture_check_has_left(struct fixture *fixture, struct bridge *bridge)
{
    const char *late = fixture_name(fixture, "late");
    fixture_send(fixture, fixture_command(fixture, late, fixture_name(fixture, "pg"), ""));
    bridge->is_leaving = false;
    bridge_start(bridge);
    bridge_wait_online(bridge);
    check_succeeded(
        fixture_request(fixture, fixture_name(fixture, "token"), fixture_name(fixture, "pg"), ""));
    assert_int_equal(simulator_token(&fixture->simulator, late, "Requests"), 0);
    assert_false(bridge_log_contains(bridge, "event=session_lost"));
    bridge_stop(bridge);
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
