/*
 * The subcommands as main calls them, without the daemon itself: their options, their output and
 * their exit codes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/bridge.h"
#include "base/buf.h"
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define ARGUMENTS_MAX 8
#define EXIT_STORE    73

typedef int subcommand_fn(int argc, char **argv);

struct subcommand {
    const char *name;
    subcommand_fn *run;
};

static const struct subcommand SUBCOMMANDS[] = {
    {"run", cli_run}, {"check", cli_check},   {"send", cli_send},
    {"ctl", cli_ctl}, {"ledger", cli_ledger}, {"version", cli_version},
};
#define SUBCOMMAND_COUNT (sizeof SUBCOMMANDS / sizeof SUBCOMMANDS[0])

static struct {
    struct buf out;
    struct buf err;
    int bridge_runs;
    char store[128];
} fixture;

/* ---- the daemon of this test ---- */

int bridge_run(struct settings *settings, const struct settings_source *source, bool is_leaving)
{
    (void)source;
    (void)is_leaving;
    fixture.bridge_runs++;
    snprintf(fixture.store, sizeof fixture.store, "%s", settings->ledger.store);
    return EXIT_STORE;
}

/* ---- verbs ---- */

/* Redirects the output of a descriptor to a file until give_back(). */
struct caught {
    int fd;
    int kept;
    FILE *file;
};

static struct caught catch_output(int fd)
{
    struct caught caught = {.fd = fd, .kept = dup(fd), .file = tmpfile()};
    assert_true(caught.kept >= 0);
    assert_non_null(caught.file);
    assert_int_equal(dup2(fileno(caught.file), fd), fd);
    return caught;
}

static void give_back(struct caught *caught, struct buf *out)
{
    char bytes[4096];
    size_t length;
    buf_clear(out);
    buf_append_text(out, "");
    dup2(caught->kept, caught->fd);
    close(caught->kept);
    rewind(caught->file);
    while ((length = fread(bytes, 1, sizeof bytes, caught->file)) > 0) {
        buf_append(out, slice_of(bytes, length));
    }
    fclose(caught->file);
}

/* Runs a subcommand with the words of `line` as its arguments; returns its exit code. */
static int call(const struct subcommand *subcommand, const char *line)
{
    char words[256];
    char name[16];
    char *argv[ARGUMENTS_MAX + 2] = {name};
    char *rest = NULL;
    int argc = 1;
    snprintf(name, sizeof name, "%s", subcommand->name);
    snprintf(words, sizeof words, "%s", line);
    for (char *word = strtok_r(words, " ", &rest); word != NULL;
         word = strtok_r(NULL, " ", &rest)) {
        assert_true(argc <= ARGUMENTS_MAX);
        argv[argc++] = word;
    }
    fflush(stdout);
    struct caught out = catch_output(STDOUT_FILENO);
    struct caught err = catch_output(STDERR_FILENO);
    optind = 0; /* getopt begins anew */
    int code = subcommand->run(argc, argv);
    fflush(stdout);
    give_back(&err, &fixture.err);
    give_back(&out, &fixture.out);
    return code;
}

static int call_by_name(const char *name, const char *line)
{
    for (size_t i = 0; i < SUBCOMMAND_COUNT; i++) {
        if (strcmp(SUBCOMMANDS[i].name, name) == 0) {
            return call(&SUBCOMMANDS[i], line);
        }
    }
    fail_msg("no subcommand %s", name);
    return -1;
}

static void assert_contains(const struct buf *said, const char *text)
{
    if (strstr(said->data, text) == NULL) {
        fail_msg("\"%s\" is not in: %s", text, said->data);
    }
}

/* A wrong call exits with 64 and prints only this message and how to get help. */
static void assert_wrong(const char *name, const char *line, const char *what)
{
    char help[64];
    snprintf(help, sizeof help, "Try: ecs-mqtt-bridge %s --help\n", name);
    assert_int_equal(call_by_name(name, line), EX_USAGE);
    assert_contains(&fixture.err, what);
    assert_contains(&fixture.err, help);
    assert_string_equal(fixture.out.data, "");
}

static int set_up(void **state)
{
    (void)state;
    memset(&fixture, 0, sizeof fixture);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buf_fini(&fixture.out);
    buf_fini(&fixture.err);
    return 0;
}

/* ---- tests ---- */

static void test_help_goes_to_standard_output_and_exits_0(void **state)
{
    (void)state;
    static const char *const WAYS[] = {"--help", "-h", "--hel", "operand --help"};
    for (size_t i = 0; i < SUBCOMMAND_COUNT; i++) {
        char usage[64];
        snprintf(usage, sizeof usage, "Usage: ecs-mqtt-bridge %s", SUBCOMMANDS[i].name);
        for (size_t way = 0; way < sizeof WAYS / sizeof WAYS[0]; way++) {
            assert_int_equal(call(&SUBCOMMANDS[i], WAYS[way]), EX_OK);
            assert_contains(&fixture.out, usage);
            assert_contains(&fixture.out, "-h, --help");
            assert_string_equal(fixture.err.data, "");
        }
    }
}

static void test_help_lists_every_option_with_its_value(void **state)
{
    (void)state;
    static const char *const LISTED[] = {
        "-c, --config FILE", "-r, --region ID",      "-g, --group ID",   "-t, --token TEXT",
        "-o, --one-shot ",   "-n, --not-after TIME", "-R, --route NAME", "-w, --timeout SECONDS"};
    assert_int_equal(call_by_name("send", "--help"), EX_OK);
    for (size_t i = 0; i < sizeof LISTED / sizeof LISTED[0]; i++) {
        assert_contains(&fixture.out, LISTED[i]);
    }
}

static void test_an_unknown_option_is_named_and_exits_64(void **state)
{
    (void)state;
    for (size_t i = 0; i < SUBCOMMAND_COUNT; i++) {
        const char *name = SUBCOMMANDS[i].name;
        assert_wrong(name, "--nonsense", "unknown option --nonsense\n");
        assert_wrong(name, "--nonsense=1", "unknown option --nonsense=1\n");
        assert_wrong(name, "-x", "unknown option -x\n");
    }
    assert_wrong("check", "-px", "unknown option -x\n");
    assert_wrong("check", "-xp", "unknown option -x\n");
}

static void test_an_option_without_its_value_exits_64(void **state)
{
    (void)state;
    static const char *const OPTIONS[] = {"--config", "-c"};
    static const char *const NAMES[] = {"run", "check", "send", "ledger"};
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        for (size_t option = 0; option < sizeof OPTIONS / sizeof OPTIONS[0]; option++) {
            char what[64];
            snprintf(what, sizeof what, "%s needs a value\n", OPTIONS[option]);
            assert_wrong(NAMES[i], OPTIONS[option], what);
        }
    }
    assert_wrong("send", "--region cn-a --group", "--group needs a value\n");
}

static void test_a_flag_with_a_value_exits_64(void **state)
{
    (void)state;
    assert_wrong("check", "--print=all", "--print=all takes no value\n");
    assert_wrong("run", "--help=me", "--help=me takes no value\n");
}

static void test_too_many_operands_exit_64(void **state)
{
    (void)state;
    static const char *const NAMES[] = {"run", "check", "send", "version"};
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        assert_wrong(NAMES[i], "one", "unexpected argument one\n");
    }
    assert_wrong("ledger", "show t-1 more", "unexpected argument more\n");
    assert_wrong("check", "--config config/minimal.conf -- --print",
                 "unexpected argument --print\n");
}

static void test_a_call_without_configuration_exits_64(void **state)
{
    (void)state;
    assert_wrong("run", "", "--config FILE is needed\n");
    assert_wrong("check", "--print", "--config FILE is needed\n");
    assert_wrong("send", "--region cn-a", "--config FILE is needed\n");
    assert_wrong("ledger", "list", "--config FILE is needed\n");
    assert_int_equal(fixture.bridge_runs, 0);
}

static void test_a_configuration_that_is_not_there_exits_78(void **state)
{
    (void)state;
    static const char *const NAMES[] = {"run", "check", "send", "ledger"};
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        assert_int_equal(call_by_name(NAMES[i], "--config no/such/file.conf"), EX_CONFIG);
        assert_contains(&fixture.err, "no/such/file.conf");
    }
    assert_int_equal(fixture.bridge_runs, 0);
}

static void test_a_faulty_configuration_is_reported_by_line_and_exits_78(void **state)
{
    (void)state;
    assert_int_equal(call_by_name("check", "-c tests/vectors/settings/faults.conf"), EX_CONFIG);
    assert_contains(&fixture.err, "tests/vectors/settings/faults.conf:");
    assert_string_equal(fixture.out.data, "");
    assert_int_equal(call_by_name("run", "-c tests/vectors/settings/faults.conf"), EX_CONFIG);
    assert_int_equal(fixture.bridge_runs, 0);
}

static void test_check_reports_that_a_good_configuration_has_no_errors(void **state)
{
    (void)state;
    assert_int_equal(call_by_name("check", "--config=config/minimal.conf"), EX_OK);
    assert_string_equal(fixture.out.data, "config/minimal.conf: no errors\n");
}

static void test_check_prints_the_complete_settings(void **state)
{
    (void)state;
    assert_int_equal(call_by_name("check", "-pc config/minimal.conf"), EX_OK);
    assert_contains(&fixture.out, "sqlite:ledger.db");
    assert_contains(&fixture.out, "success_ttl_s");
}

static void test_run_hands_the_settings_to_the_bridge_and_exits_with_its_code(void **state)
{
    (void)state;
    assert_int_equal(call_by_name("run", "--config config/minimal.conf"), EXIT_STORE);
    assert_int_equal(fixture.bridge_runs, 1);
    assert_string_equal(fixture.store, "sqlite:ledger.db");
}

static void test_a_timeout_is_a_number_of_seconds_in_its_range(void **state)
{
    (void)state;
    static const char *const WRONG[] = {"-w 0",  "-w -1",  "-w 86401",
                                        "-w 5s", "-w ten", "-w 99999999999999999999"};
    for (size_t i = 0; i < sizeof WRONG / sizeof WRONG[0]; i++) {
        assert_wrong("send", WRONG[i], "--timeout takes 1 to 86400 seconds\n");
    }
    assert_wrong("send", "-w 86400", "--config FILE is needed\n");
}

static void test_send_accepts_a_route_of_the_configuration_only(void **state)
{
    (void)state;
    assert_wrong("send", "--config config/minimal.conf --route nowhere", "no route of that name");
}

static void test_ledger_accepts_its_verbs_only(void **state)
{
    (void)state;
    static const char *const WRONG[] = {"",          "show",   "list all", "count all",
                                        "stats all", "backup", "verify x", "drop",
                                        "drop t-1",  "copy",   "copy a",   "migrate x"};
    for (size_t i = 0; i < sizeof WRONG / sizeof WRONG[0]; i++) {
        char line[128];
        snprintf(line, sizeof line, "--config config/minimal.conf %s", WRONG[i]);
        assert_wrong("ledger", line,
                     "show TOKEN, list, count, stats, export, backup FILE, verify, verify-audit, "
                     "migrate or copy FROM TO is needed\n");
    }
    assert_wrong("ledger", "--config config/minimal.conf --exclusive list",
                 "--exclusive is for migrate only\n");
}

static void test_a_version_is_printed_with_those_of_the_libraries(void **state)
{
    (void)state;
    static const char *const LIBRARIES[] = {"paho-mqtt ", "libcurl ", "openssl ",
                                            "libuv ",     "sqlite ",  "libmicrohttpd "};
    assert_int_equal(call_by_name("version", ""), EX_OK);
    assert_contains(&fixture.out, "ecs-mqtt-bridge " BRIDGE_VERSION "\n");
    for (size_t i = 0; i < sizeof LIBRARIES / sizeof LIBRARIES[0]; i++) {
        assert_contains(&fixture.out, LIBRARIES[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(test_help_goes_to_standard_output_and_exits_0),
        TEST(test_help_lists_every_option_with_its_value),
        TEST(test_an_unknown_option_is_named_and_exits_64),
        TEST(test_an_option_without_its_value_exits_64),
        TEST(test_a_flag_with_a_value_exits_64),
        TEST(test_too_many_operands_exit_64),
        TEST(test_a_call_without_configuration_exits_64),
        TEST(test_a_configuration_that_is_not_there_exits_78),
        TEST(test_a_faulty_configuration_is_reported_by_line_and_exits_78),
        TEST(test_check_reports_that_a_good_configuration_has_no_errors),
        TEST(test_check_prints_the_complete_settings),
        TEST(test_run_hands_the_settings_to_the_bridge_and_exits_with_its_code),
        TEST(test_a_timeout_is_a_number_of_seconds_in_its_range),
        TEST(test_send_accepts_a_route_of_the_configuration_only),
        TEST(test_ledger_accepts_its_verbs_only),
        TEST(test_a_version_is_printed_with_those_of_the_libraries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
