/*
 * The PostgreSQL connection, the schema and the statements, on a real server that the program
 * starts for itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "ledger/postgres/hosts.h"
#include "support/postgres_server.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TIMEOUT_MS 30000

static struct postgres_connection *open_it(bool prepares)
{
    struct postgres_connection *connection = NULL;
    struct buf why = {0};
    if (postgres_open(postgres_server_uri(), NULL, true, prepares, TIMEOUT_MS, &connection, &why) !=
        STATUS_OK) {
        fail_msg("%s", why.data);
    }
    buf_fini(&why);
    return connection;
}

static void migrate(struct postgres_connection *connection)
{
    struct buf why = {0};
    if (postgres_migrate(connection, TIMEOUT_MS, &why) != STATUS_OK) {
        fail_msg("%s", why.data);
    }
    buf_fini(&why);
}

/* An empty database with two registered runs, 1 and 2. */
static int setup(void **state)
{
    postgres_server_clear(postgres_server_uri(), true);
    struct postgres_connection *connection = open_it(false);
    migrate(connection);
    assert_int_equal(postgres_run(connection, TIMEOUT_MS,
                                  "INSERT INTO bridge (id, instance, lease_ms, place) VALUES"
                                  " (1, 'a', 10000, 'here'), (2, 'b', 10000, 'here')"),
                     STATUS_OK);
    postgres_close(connection);
    *state = open_it(true);
    return 0;
}

static int teardown(void **state)
{
    postgres_close(*state);
    return 0;
}

/* ---- statements ---- */

struct rows {
    char counts[16]; /* rows of each statement: returned or changed; '-' for BEGIN and COMMIT */
};

static void count_rows(void *arg, size_t index, const PGresult *result)
{
    struct rows *rows = arg;
    const char *changed = PQcmdTuples((PGresult *)result);
    assert_true(index + 1 < sizeof rows->counts);
    rows->counts[index] = (char)(changed[0] == '\0' ? '-' : changed[0]);
}

#define NUMBER(n) postgres_number(n)
#define TEXT(t)   postgres_bytes(slice_text(t))
#define NULL_OF   postgres_bytes((struct slice){0})

static void send_claim(struct postgres_connection *connection,
                       enum store_postgres_statement statement, int64_t run, const char *token,
                       const char *group, int64_t seq)
{
    const struct postgres_value values[] = {TEXT(token),
                                            NUMBER(run),
                                            NUMBER(seq),
                                            NUMBER(1000),
                                            NUMBER(2000),
                                            NUMBER(0),
                                            NUMBER(1),
                                            NUMBER(2),
                                            TEXT("StartDiskReplicaGroup"),
                                            TEXT("cn-beijing"),
                                            TEXT(group),
                                            TEXT("start"),
                                            TEXT("{}"),
                                            TEXT("fingerprint"),
                                            TEXT("replies/a"),
                                            NULL_OF,
                                            NULL_OF,
                                            NULL_OF,
                                            NULL_OF,
                                            postgres_bool(false),
                                            NUMBER(0),
                                            NULL_OF};
    postgres_send(connection, statement, values, sizeof values / sizeof values[0]);
}

static void send_finish(struct postgres_connection *connection,
                        enum store_postgres_statement statement, int64_t run, const char *token)
{
    const struct postgres_value values[] = {
        TEXT(token), NUMBER(run), NUMBER(1), NUMBER(0),    NUMBER(1), TEXT("r"),
        NULL_OF,     NULL_OF,     NUMBER(3), NUMBER(9000), NULL_OF,   postgres_bool(false),
        NULL_OF};
    postgres_send(connection, statement, values, sizeof values / sizeof values[0]);
}

static void send_guard(struct postgres_connection *connection, int64_t run)
{
    const struct postgres_value values[] = {NUMBER(run), NUMBER(0)};
    postgres_send_text(connection, "BEGIN");
    postgres_send(connection, PG_GUARD, values, 2);
}

static void expect(struct postgres_connection *connection, const char *counts)
{
    struct rows rows = {{0}};
    enum status status = postgres_exchange(connection, TIMEOUT_MS, count_rows, &rows);
    if (status != STATUS_OK) {
        fail_msg("%s %s", postgres_sqlstate(connection), postgres_error(connection));
    }
    assert_string_equal(rows.counts, counts);
}

static void claim_one(struct postgres_connection *connection, int64_t run, const char *token,
                      int64_t seq)
{
    send_guard(connection, run);
    send_claim(connection, PG_INSERT, run, token, "pg-1", seq);
    postgres_send_text(connection, "COMMIT");
    expect(connection, "-11-");
}

static void test_a_claim_is_the_head_of_its_group_and_the_next_one_is_not_inserted(void **state)
{
    claim_one(*state, 1, "t1", 1);
    send_guard(*state, 2);
    send_claim(*state, PG_INSERT, 2, "t2", "pg-1", 2); /* the group has a head */
    send_claim(*state, PG_INSERT, 2, "t1", "pg-2", 3); /* the token has a row */
    postgres_send_text(*state, "COMMIT");
    expect(*state, "-100-");
}

static void test_a_finish_promotes_the_first_in_line(void **state)
{
    const struct postgres_value promote[] = {NUMBER(1), TEXT("pg-1")};
    claim_one(*state, 1, "t1", 1);
    send_guard(*state, 2);
    send_claim(*state, PG_LINE_UP, 2, "t3", "pg-1", 3);
    send_claim(*state, PG_LINE_UP, 2, "t2", "pg-1", 2);
    postgres_send_text(*state, "COMMIT");
    expect(*state, "-111-");

    send_guard(*state, 1);
    send_finish(*state, PG_FINISH, 1, "t1");
    postgres_send(*state, PG_PROMOTE, promote, 2);
    postgres_send(*state, PG_PROMOTE, promote, 2); /* the group has a head again */
    postgres_send_text(*state, "COMMIT");
    expect(*state, "-1110-");

    send_guard(*state, 1);
    send_finish(*state, PG_FINISH, 1, "t3"); /* it still waits */
    send_finish(*state, PG_FINISH, 1, "t2");
    postgres_send_text(*state, "COMMIT");
    expect(*state, "-101-");
}

static void test_a_fast_finish_leaves_a_command_with_waiters_alone(void **state)
{
    const struct postgres_value token[] = {TEXT("t1")};
    const struct postgres_value waiter[] = {
        TEXT("t1"), NUMBER(2), NUMBER(7), TEXT("replies/b"),    NULL_OF,
        NULL_OF,    NULL_OF,   NULL_OF,   postgres_bool(false), NUMBER(0)};
    const struct postgres_value joined[] = {TEXT("t1"), TEXT("history")};
    claim_one(*state, 1, "t1", 1);
    send_guard(*state, 2);
    postgres_send(*state, PG_SET_WAITERS, joined, 2);
    postgres_send(*state, PG_ADD_WAITER, waiter, 10);
    postgres_send(*state, PG_ADD_WAITER, waiter, 10); /* sent again */
    postgres_send_text(*state, "COMMIT");
    expect(*state, "-1110-");

    send_guard(*state, 1);
    send_finish(*state, PG_FINISH, 1, "t1");
    send_finish(*state, PG_FINISH_ALL, 1, "t1");
    postgres_send(*state, PG_REMOVE_WAITERS, token, 1);
    postgres_send_text(*state, "COMMIT");
    expect(*state, "-1011-");
}

static void test_an_expelled_run_writes_nothing(void **state)
{
    const struct postgres_value expel[] = {NUMBER(1), NUMBER(0)};
    postgres_send(*state, PG_EXPEL, expel, 2);
    expect(*state, "1");
    send_guard(*state, 1);
    send_claim(*state, PG_INSERT, 1, "t1", "pg-1", 1);
    postgres_send_text(*state, "COMMIT");
    assert_int_equal(postgres_exchange(*state, TIMEOUT_MS, NULL, NULL), STATUS_STORE);
    assert_string_equal(postgres_sqlstate(*state), "22012");
    /* The connection can be used again, and nothing was written. */
    claim_one(*state, 2, "t1", 1);
}

static void test_heads_of_an_expelled_run_are_adopted_with_their_calls_unsure(void **state)
{
    const struct postgres_value expel[] = {NUMBER(1), NUMBER(0)};
    const struct postgres_value reset[] = {NUMBER(1), NUMBER(1), TEXT("event")};
    const struct postgres_value adopt[] = {NUMBER(2), postgres_array(slice_text("{1}")),
                                           postgres_array(slice_text("{start}")), NUMBER(0)};
    claim_one(*state, 1, "t1", 1);
    postgres_send_text(*state, "BEGIN");
    postgres_send(*state, PG_EXPEL, expel, 2);
    postgres_send(*state, PG_RESET_CALLS, reset, 3);
    postgres_send_text(*state, "COMMIT");
    expect(*state, "-11-");
    postgres_send(*state, PG_LIST_DEAD, NULL, 0);
    expect(*state, "1");
    send_guard(*state, 2);
    postgres_send(*state, PG_ADOPT, adopt, 4);
    postgres_send_text(*state, "COMMIT");
    expect(*state, "-11-");
}

static void test_a_second_program_migrates_nothing(void **state)
{
    migrate(*state);
    claim_one(*state, 1, "t1", 1);
    migrate(*state);
    send_guard(*state, 1);
    send_finish(*state, PG_FINISH, 1, "t1"); /* the row is still there */
    postgres_send_text(*state, "COMMIT");
    expect(*state, "-11-");
}

static void test_a_database_of_a_newer_program_is_refused(void **state)
{
    struct buf why = {0};
    assert_int_equal(
        postgres_run(*state, TIMEOUT_MS, "UPDATE schema_version SET version = version + 1"),
        STATUS_OK);
    assert_int_equal(postgres_migrate(*state, TIMEOUT_MS, &why), STATUS_INVALID);
    assert_non_null(strstr(why.data, "schema version 2"));
    buf_fini(&why);
}

static void test_a_connection_that_the_server_ends_is_unavailable(void **state)
{
    struct postgres_connection *other = open_it(false);
    send_guard(*state, 1);
    send_claim(*state, PG_INSERT, 1, "t1", "pg-1", 1);
    assert_int_equal(postgres_exchange(*state, TIMEOUT_MS, NULL, NULL), STATUS_OK);
    assert_int_equal(postgres_run(other, TIMEOUT_MS,
                                  "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                                  " WHERE state = 'idle in transaction'"),
                     STATUS_OK);
    postgres_send_text(*state, "COMMIT");
    assert_int_equal(postgres_exchange(*state, TIMEOUT_MS, NULL, NULL), STATUS_UNAVAILABLE);
    postgres_close(other);
}

/* The old primary after a fail-over: another host of the URI takes writes. */
static void test_a_server_that_takes_no_writes_any_more_is_left(void **state)
{
    assert_int_equal(postgres_run(*state, TIMEOUT_MS, "SET default_transaction_read_only = on"),
                     STATUS_OK);
    send_guard(*state, 1);
    send_claim(*state, PG_INSERT, 1, "t1", "pg-1", 1);
    postgres_send_text(*state, "COMMIT");
    assert_int_equal(postgres_exchange(*state, TIMEOUT_MS, NULL, NULL), STATUS_UNAVAILABLE);
    assert_true(postgres_is_lost(*state));
}

static void take_count(void *arg, size_t index, const PGresult *result)
{
    (void)index;
    *(int *)arg = PQntuples(result);
}

/* Cancels the commit that waits for a standby. */
static void *cancel_wait(void *arg)
{
    struct postgres_connection *other = arg;
    int64_t end_ms = clock_mono_ms() + TIMEOUT_MS;
    int count = 0;
    while (count == 0 && clock_mono_ms() < end_ms) {
        postgres_send_text(other, "SELECT pg_cancel_backend(pid) FROM pg_stat_activity"
                                  " WHERE wait_event = 'SyncRep'");
        postgres_exchange(other, TIMEOUT_MS, take_count, &count);
    }
    return NULL;
}

static void test_a_commit_that_did_not_wait_for_the_standby_is_unknown(void **state)
{
    pthread_t thread;
    struct postgres_connection *other = open_it(false);
    (void)state;
    assert_int_equal(postgres_run(other, TIMEOUT_MS,
                                  "ALTER SYSTEM SET synchronous_standby_names = 'nobody';"
                                  "SELECT pg_reload_conf()"),
                     STATUS_OK);
    struct postgres_connection *writer = open_it(true); /* it has the setting */
    assert_int_equal(pthread_create(&thread, NULL, cancel_wait, other), 0);
    enum status status = STATUS_OK;
    int64_t end_ms = clock_mono_ms() + TIMEOUT_MS;
    /* Commits do not wait before the server's checkpointer has the setting, too. */
    for (int i = 1; status == STATUS_OK && clock_mono_ms() < end_ms; i++) {
        char name[16];
        snprintf(name, sizeof name, "t%d", i);
        send_guard(writer, 1);
        send_claim(writer, PG_INSERT, 1, name, name, i);
        postgres_send_text(writer, "COMMIT");
        status = postgres_exchange(writer, TIMEOUT_MS, NULL, NULL);
    }
    pthread_join(thread, NULL);
    assert_int_equal(postgres_run(other, TIMEOUT_MS,
                                  "ALTER SYSTEM RESET synchronous_standby_names;"
                                  "SELECT pg_reload_conf()"),
                     STATUS_OK);
    assert_int_equal(status, STATUS_UNAVAILABLE);
    assert_non_null(strstr(postgres_error(writer), "synchronous standby"));
    postgres_close(writer);
    postgres_close(other);
}

/* Whether the plan of a prepared statement reads a table from end to end, or the index of heads. */
struct plan {
    bool is_scan;
    bool reads_heads;
};

static void read_plan(void *arg, size_t index, const PGresult *result)
{
    struct plan *plan = arg;
    (void)index;
    for (int i = 0; i < PQntuples(result); i++) {
        const char *line = PQgetvalue(result, i, 0);
        plan->is_scan = plan->is_scan || strstr(line, "Seq Scan") != NULL;
        plan->reads_heads = plan->reads_heads || strstr(line, "command_head") != NULL;
    }
}

/* The dangerous statistics: taken in an idle moment, when the index of heads was empty. */
static void test_no_plan_reads_a_whole_table_or_looks_for_a_token_among_all_heads(void **state)
{
    static const struct {
        const char *call;
        bool is_of_heads; /* it looks for heads */
    } CASES[] = {
        {"finish('t', 1, 1, 0, 1, '', '', '', 1, 1, '', false, '')", false},
        {"finish_replying('t', 1, 1, 0, 1, '', '', '', 1, 1, '', false, '', 1, '')", false},
        {"finish_all('t', 1, 1, 0, 1, '', '', '', 1, 1, '', false, '')", false},
        {"set_state('t', 1, 1, 1, 1, 1, '')", false},
        {"lock_row('t')", false},
        {"set_waiters('t', '')", false},
        {"unpost(1, 1, '')", false},
        {"find_success('', 1, 'g')", false},
        {"list_all(1, 500)", false},
        {"list_outcomes(1, 100)", false},
        {"list_unfinished(1, 100)", true},
        {"lock_head('g')", true},
        {"promote(1, 'g')", true},
        {"own_heads(1)", true},
        {"adopt(1, '{2}', '{start}', 1)", true},
        {"list_left('{2}', '{start}')", true},
        {"list_overdue(1, 16)", false},
        {"list_headless(64)", true},
        {"count_line(100000)", false},
        {"adopt_outbox(1, '{2}', 1)", false},
        {"reset_calls(1, 1, '')", true},
        {"take_heads(1, 2)", true},
        {"list_dead", true},
        {"expire(1, 64)", false},
    };
    assert_int_equal(
        postgres_run(
            *state, TIMEOUT_MS,
            "INSERT INTO command (token, seq, claimed_by, received_at, deadline_at, due_at,"
            " state, action, region, grp, route, params, fingerprint)"
            " SELECT 't' || i, i, 1, 0, 0, i, 5, 'a', 'r', 'g' || i, 'r', '{}', ''"
            " FROM generate_series(1, 20000) i"),
        STATUS_OK);
    assert_int_equal(postgres_run(*state, TIMEOUT_MS, store_postgres_effect_index), STATUS_OK);
    assert_int_equal(postgres_run(*state, TIMEOUT_MS, "ANALYZE command"), STATUS_OK);
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct plan plan = {0};
        struct buf text = {0};
        buf_printf(&text, "EXPLAIN EXECUTE %s", CASES[i].call);
        postgres_send_text(*state, text.data);
        assert_int_equal(postgres_exchange(*state, TIMEOUT_MS, read_plan, &plan), STATUS_OK);
        if (plan.is_scan || plan.reads_heads != CASES[i].is_of_heads) {
            fail_msg("%s: %s", text.data, plan.is_scan ? "reads a whole table" : "the wrong index");
        }
        buf_fini(&text);
    }
}

/* After a vacuum of an empty table the planner knows that there is nothing to read. */
static void test_no_plan_reads_a_whole_table_that_was_empty(void **state)
{
    struct plan plan = {0};
    assert_int_equal(postgres_run(*state, TIMEOUT_MS, "VACUUM ANALYZE waiter"), STATUS_OK);
    postgres_send_text(*state, "EXPLAIN EXECUTE count_waiters('t')");
    assert_int_equal(postgres_exchange(*state, TIMEOUT_MS, read_plan, &plan), STATUS_OK);
    assert_false(plan.is_scan);
}

static void test_the_next_host_is_asked_when_one_does_not_answer(void **state)
{
    struct postgres_connection *connection = NULL;
    struct buf why = {0};
    struct buf hosts = {0};
    (void)state;
    buf_printf(&hosts, "postgresql://bridge@/postgres?host=/nonexistent,%s",
               postgres_server_folder());
    assert_int_equal(postgres_open(hosts.data, NULL, true, false, TIMEOUT_MS, &connection, &why),
                     STATUS_OK);
    postgres_close(connection);
    assert_int_equal(postgres_open("postgresql://bridge@/postgres?host=/nonexistent", NULL, true,
                                   false, TIMEOUT_MS, &connection, &why),
                     STATUS_UNAVAILABLE);
    assert_non_null(strstr(why.data, "/nonexistent"));
    buf_fini(&hosts);
    buf_fini(&why);
}

static void test_a_server_that_does_not_verify_is_refused_off_loopback(void **state)
{
    static const struct {
        const char *uri;
        enum status status;
    } CASES[] = {
        {"postgresql://b@db.example.com/l?sslmode=require", STATUS_INVALID},
        {"postgresql://b@db.example.com/l?sslmode=verify-full", STATUS_OK},
        {"postgresql://b@db.example.com/l", STATUS_OK},
        {"postgresql://b@127.0.0.1/l?sslmode=disable", STATUS_OK},
        {"postgresql://b@[::1]/l?sslmode=disable", STATUS_OK},
        {"postgresql://b@/l?host=/run/postgresql&sslmode=disable", STATUS_OK},
        {"postgresql://b@localhost,db.example.com/l?sslmode=disable", STATUS_INVALID},
        {"postgresql://b@localhost/l?hostaddr=192.0.2.1&sslmode=disable", STATUS_INVALID},
        {"postgresql://b:secret@h/l?nonsense=1", STATUS_INVALID},
    };
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct buf why = {0};
        assert_int_equal(postgres_check_uri(CASES[i].uri, &why), CASES[i].status);
        assert_true(CASES[i].status == STATUS_OK || why.length > 0);
        assert_true(why.length == 0 || strstr(why.data, "secret") == NULL);
        buf_fini(&why);
    }
}

static void test_the_hosts_of_a_uri_are_told_apart(void **state)
{
    static const struct {
        const char *uri;
        const char *hosts; /* "" where the URI is refused; of a single one the URI says it */
    } CASES[] = {
        {"postgresql://b@h1,h2/l", "h1//5432 h2//5432 "},
        {"postgresql://b@127.0.0.1:5433,127.0.0.1/l", "127.0.0.1//5433 127.0.0.1//5432 "},
        {"postgresql://b@/l?host=/a,/b&port=6000", "/a//6000 /b//6000 "},
        {"postgresql://b@/l?host=h1,h2&hostaddr=127.0.0.1,127.0.0.2&port=1,2",
         "h1/127.0.0.1/1 h2/127.0.0.2/2 "},
        {"postgresql://b@/l?hostaddr=127.0.0.1,127.0.0.2", "/127.0.0.1/5432 /127.0.0.2/5432 "},
        {"postgresql://b@h1:5433/l", "// "},
        {"postgresql://b@/l", "// "},
        {"postgresql://b@/l?host=/a,,/b", ""},
        {"postgresql://b@/l?host=/a,/b&port=1,2,3", ""},
        {"postgresql://b@/l?host=h1,h2&hostaddr=127.0.0.1", "// "},
    };
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct postgres_hosts hosts;
        struct buf why = {0};
        struct buf text = {0};
        buf_append_text(&text, "");
        enum status status = postgres_read_hosts(CASES[i].uri, &hosts, &why);
        for (size_t k = 0; status == STATUS_OK && k < hosts.count; k++) {
            buf_printf(&text, "%s/%s/%s ", hosts.hosts[k].name, hosts.hosts[k].address,
                       hosts.hosts[k].port);
        }
        assert_string_equal(text.data, CASES[i].hosts);
        assert_true(status == STATUS_OK || why.length > 0);
        buf_fini(&text);
        buf_fini(&why);
    }
}

#define WITH_TABLES(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_TABLES(test_a_claim_is_the_head_of_its_group_and_the_next_one_is_not_inserted),
        WITH_TABLES(test_a_finish_promotes_the_first_in_line),
        WITH_TABLES(test_a_fast_finish_leaves_a_command_with_waiters_alone),
        WITH_TABLES(test_an_expelled_run_writes_nothing),
        WITH_TABLES(test_heads_of_an_expelled_run_are_adopted_with_their_calls_unsure),
        WITH_TABLES(test_a_second_program_migrates_nothing),
        WITH_TABLES(test_a_database_of_a_newer_program_is_refused),
        WITH_TABLES(test_a_connection_that_the_server_ends_is_unavailable),
        WITH_TABLES(test_a_server_that_takes_no_writes_any_more_is_left),
        WITH_TABLES(test_a_commit_that_did_not_wait_for_the_standby_is_unknown),
        WITH_TABLES(test_no_plan_reads_a_whole_table_or_looks_for_a_token_among_all_heads),
        WITH_TABLES(test_no_plan_reads_a_whole_table_that_was_empty),
        cmocka_unit_test(test_the_next_host_is_asked_when_one_does_not_answer),
        cmocka_unit_test(test_the_hosts_of_a_uri_are_told_apart),
        cmocka_unit_test(test_a_server_that_does_not_verify_is_refused_off_loopback),
    };
    return cmocka_run_group_tests(tests, postgres_server_start, postgres_server_stop);
}
