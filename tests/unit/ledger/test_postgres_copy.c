/*
 * The copy of a SQLite ledger into PostgreSQL, and the making of its tables, on a real server that
 * the program starts for itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ledger/move.h"
#include "ledger/postgres/hosts.h"
#include "ledger/postgres/postgres.h"
#include "ledger/sqlite/sqlite.h"
#include "ledger/view.h"
#include "support/postgres_server.h"
#include "support/store_batch.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define TIMEOUT_MS 30000

struct fixture {
    char folder[64];
    char path[96];
    char from[112];
    struct postgres_connection *connection;
    struct buf out;
    struct buf why;
};

/* ---- the source ---- */

/* Texts and bytes that need care on the way, and a command of before a column was there. */
static const char ODD[] =
    "UPDATE command SET error = '{\"Message\":\"a\tb\\n' || char(10, 13, 8, 11, 12) || 'üñ\\."
    "\"}', observed = '{\"Conclusion\":\"not_seen\"}' WHERE token = 't-6';"
    "UPDATE reply_to SET correlation_data = x'00ff5c0a0978', correlation_id = '' WHERE place = 0;"
    "UPDATE command SET params = NULL WHERE token = 't-2';"
    "UPDATE command SET history = NULL WHERE token = 't-3'";

static void make_rows(struct store_batch *batch)
{
    batch->limits.is_audited = true;
    batch->group = "pg-1";
    store_batch_claim(batch, "t-1");
    store_batch_claim(batch, "t-2");
    store_batch_claim(batch, "t-3");
    batch->group = NULL;
    store_batch_claim(batch, "t-4");
    store_batch_claim(batch, "t-4"); /* a duplicate, which waits */
    store_batch_claim(batch, "t-5");
    store_batch_claim(batch, "t-6");
    store_batch_claim(batch, "t-6");
    store_batch_post(batch, slice_of("a\0message\\", 10));
    store_batch_remember(batch, "session.lost_at_ms", 77);
    assert_int_equal(store_batch_run(batch), STATUS_OK);
    store_batch_begin(batch);
    struct ledger_request *move = store_batch_move(batch, "t-1", 1, STATE_CALLING);
    move->move.attempts = 1;
    move->command_id = 1;
    history_put_start(&move->events, INT64_C(1767322800000), 1);
    struct ledger_request *finish = store_batch_finish(batch, "t-5", 6, INT64_C(1867322800000));
    finish->finish.watch = (struct watch_start){.started_at_ms = 5000, .ends_at_ms = 9000};
    finish = store_batch_finish(batch, "t-6", 7, INT64_C(1867322800000));
    finish->finish.outcome.status = OUTCOME_UNKNOWN;
    finish->finish.outcome.retention = RETENTION_UNSURE;
    assert_int_equal(store_batch_run(batch), STATUS_OK);
}

/* In a process that ends without closing it, as one that is killed. */
static void make_source(const struct fixture *f)
{
    pid_t child = fork();
    if (child == 0) {
        struct store *store = NULL;
        struct store_batch batch;
        struct buf why = {0};
        sqlite3 *db = NULL;
        struct ledger_limits limits = {0};
        struct ledger_batch first = {.limits = &limits};
        assert_int_equal(store_sqlite_ops.open(STORE_AT(f->path), true, &store, &why), STATUS_OK);
        assert_int_equal(store_sqlite_ops.start(store, &first), STATUS_OK);
        store_batch_init(&batch, &store_sqlite_ops, store);
        make_rows(&batch);
        sqlite3_open(f->path, &db);
        bool is_done = sqlite3_exec(db, ODD, NULL, NULL, NULL) == SQLITE_OK;
        _exit(is_done ? 0 : 1);
    }
    int state;
    assert_int_equal(waitpid(child, &state, 0), child);
    assert_int_equal(state, 0);
}

static int setup(void **state)
{
    static struct fixture f;
    f = (struct fixture){.folder = "/tmp/test-copy-XXXXXX"};
    assert_non_null(mkdtemp(f.folder));
    snprintf(f.path, sizeof f.path, "%s/ledger.db", f.folder);
    snprintf(f.from, sizeof f.from, "sqlite:%s", f.path);
    postgres_server_clear(postgres_server_uri(), true);
    assert_int_equal(
        postgres_open(postgres_server_uri(), NULL, true, false, TIMEOUT_MS, &f.connection, &f.why),
        STATUS_OK);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    struct buf command = {0};
    buf_printf(&command, "rm -r %s", f->folder);
    int code = system(command.data);
    postgres_close(f->connection);
    buf_fini(&command);
    buf_fini(&f->out);
    buf_fini(&f->why);
    return code;
}

static enum status copy(struct fixture *f)
{
    const struct ledger_copy order = {
        .from = f->from, .to = postgres_server_uri(), .instance = "bridge-a"};
    buf_clear(&f->out);
    buf_clear(&f->why);
    return ledger_copy(&order, &f->out, &f->why);
}

static void assert_refused(struct fixture *f, enum status status, const char *why)
{
    assert_int_equal(copy(f), status);
    assert_int_equal(f->out.length, 0);
    if (strstr(f->why.data, why) == NULL) {
        fail_msg("%s", f->why.data);
    }
}

/* ---- the target ---- */

static void put_value(void *arg, size_t index, const PGresult *result)
{
    (void)index;
    for (int row = 0; row < PQntuples(result); row++) {
        buf_printf(arg, "%s\n", PQgetvalue(result, row, 0));
    }
}

/* The first column of the rows, a line each. */
static void assert_rows(struct fixture *f, const char *sql, const char *lines)
{
    struct buf found = {0};
    postgres_send_text(f->connection, sql);
    if (postgres_exchange(f->connection, TIMEOUT_MS, put_value, &found) != STATUS_OK) {
        fail_msg("%s", postgres_error(f->connection));
    }
    assert_string_equal(found.length == 0 ? "" : found.data, lines);
    buf_fini(&found);
}

static void execute(struct fixture *f, const char *sql)
{
    if (postgres_run(f->connection, TIMEOUT_MS, sql) != STATUS_OK) {
        fail_msg("%s", postgres_error(f->connection));
    }
}

static void test_a_killed_ledger_is_copied_with_its_heads_lines_and_waiters(void **state)
{
    struct fixture *f = *state;
    make_source(f);
    if (copy(f) != STATUS_OK) {
        fail_msg("%s", f->why.data);
    }
    assert_non_null(strstr(f->out.data, "6 command, 2 waiter, 4 outbox"));
    /* State 2 became 3: the call of t-1 may have had an effect. */
    assert_rows(f,
                "SELECT token || ' ' || state || ' ' || (owner IS NOT NULL)::text || ' '"
                " || coalesce(line::text, '-') || ' ' || has_waiters::text || ' ' || crashes"
                " FROM command ORDER BY seq",
                "t-1 3 true - false 1\nt-2 1 false 2 false 0\nt-3 1 false 3 false 0\n"
                "t-4 1 true - true 0\nt-5 5 false - false 0\nt-6 5 false - false 0\n");
    assert_rows(f,
                "SELECT count(DISTINCT o)::text FROM (SELECT owner AS o FROM command UNION"
                " SELECT bridge FROM waiter UNION SELECT owner FROM outbox UNION SELECT value"
                " FROM meta WHERE instance = 'bridge-a' AND key = 'ledger.run') x"
                " WHERE o IS NOT NULL",
                "1\n");
    assert_rows(f,
                "SELECT token || ' ' || n || ' ' || topic || ' ' || is_kept::text FROM waiter"
                " ORDER BY token",
                "t-4 1 replies/a false\nt-6 1 replies/a true\n");
    assert_rows(f, "SELECT params FROM command WHERE token = 't-2'", "{\"OneShot\":false}\n");
    assert_rows(f,
                "SELECT (error LIKE E'%a\\tb\\\\\\\\n\\n\\r\\b\\x0b\\f\\u00fc%')::text"
                " FROM command WHERE token = 't-6'",
                "true\n");
    assert_rows(f, "SELECT correlation_data::text FROM command WHERE token = 't-1'",
                "\\x00ff5c0a0978\n");
    assert_rows(f, "SELECT message::text FROM outbox WHERE token IS NULL ORDER BY id LIMIT 1",
                "\\x61006d6573736167655c\n");
    assert_rows(f, "SELECT object || ' ' || started_at || ' ' || ends_at FROM watch",
                "pg-t-5 5000 9000\n");
    assert_rows(f,
                "SELECT value::text FROM meta WHERE key IN ('session.lost_at_ms',"
                " 'ledger.is_closed') ORDER BY key",
                "1\n77\n");
    assert_rows(f, "SELECT (count(*) > 5)::text FROM audit WHERE instance = 'bridge-a'", "true\n");
}

static void put(void *arg, struct slice text)
{
    buf_append(arg, text);
}

/* All records with their histories, as JSON. */
static void export_all(struct fixture *f, const char *store, struct buf *out)
{
    struct ledger_filter filter;
    ledger_filter_init(&filter);
    filter.has_finished = true;
    filter.has_history = true;
    if (ledger_list(&(const struct ledger_source){.store = store}, &filter, put, out, &f->why) !=
        STATUS_OK) {
        fail_msg("%s", f->why.data);
    }
}

static void test_the_copy_is_read_and_resumed_as_its_source(void **state)
{
    struct fixture *f = *state;
    struct buf source = {0};
    struct buf target = {0};
    struct store *store = NULL;
    const struct store_place place = {.location = postgres_server_uri(), .instance = "bridge-a"};
    struct ledger_limits limits = {0};
    struct ledger_batch *first = calloc(1, sizeof *first);
    make_source(f);
    assert_int_equal(copy(f), STATUS_OK);
    export_all(f, f->from, &source);
    export_all(f, postgres_server_uri(), &target);
    assert_non_null(strstr(source.data, "t-6"));
    assert_string_equal(target.data, source.data);
    assert_int_equal(store_postgres_ops.open(&place, true, &store, &f->why), STATUS_OK);
    first->limits = &limits;
    assert_int_equal(store_postgres_ops.start(store, first), STATUS_OK);
    assert_int_equal(first->command_count, 2);
    assert_string_equal(first->commands[0]->token, "t-1");
    assert_int_equal(first->commands[0]->state, STATE_UNSURE);
    assert_string_equal(first->commands[1]->token, "t-4");
    assert_int_equal(first->watched_count, 1);
    ledger_batch_free(first);
    store_postgres_ops.close(store);
    assert_rows(f, "SELECT count(*)::text FROM command WHERE state < 5", "4\n");
    buf_fini(&source);
    buf_fini(&target);
}

/* What `ledger list`, `show`, `count`, `stats` and `verify` print. */
static void print_all(struct fixture *f, const struct ledger_source *source, struct buf *out)
{
    int64_t faults = -1;
    int64_t records = 0;
    struct ledger_filter filter;
    ledger_filter_init(&filter);
    if (ledger_list(source, &filter, put, out, &f->why) != STATUS_OK ||
        ledger_show(source, slice_text("t-6"), out, &f->why) != STATUS_OK ||
        ledger_count(source, out, &f->why) != STATUS_OK ||
        ledger_stats(source, out, &f->why) != STATUS_OK ||
        ledger_verify(source, put, out, &faults, &records, &f->why) != STATUS_OK) {
        fail_msg("%s", f->why.data);
    }
    assert_int_equal(faults, 0);
    assert_int_equal(records, 6);
}

static void script(const char *verb, const char *folder, const char *more)
{
    struct buf command = {0};
    buf_printf(&command, "tests/support/postgres %s %s %s", verb, folder, more);
    assert_int_equal(system(command.data), 0);
    buf_fini(&command);
}

static void test_a_ledger_is_read_from_a_standby_and_by_a_role_that_may_only_read(void **state)
{
    struct fixture *f = *state;
    char standby[80];
    char follower_uri[160];
    char reader_uri[160];
    char more[96];
    struct buf by_owner = {0};
    struct buf by_follower = {0};
    struct buf by_reader = {0};
    snprintf(standby, sizeof standby, "%s-standby", postgres_server_folder());
    snprintf(more, sizeof more, "%s asynchronous", postgres_server_folder());
    snprintf(follower_uri, sizeof follower_uri,
             "postgresql://bridge@/postgres?host=/nonexistent,%s", standby);
    snprintf(reader_uri, sizeof reader_uri, "postgresql://reader@/postgres?host=%s",
             postgres_server_folder());
    make_source(f);
    assert_int_equal(copy(f), STATUS_OK);
    execute(f, "CREATE ROLE reader LOGIN; GRANT USAGE ON SCHEMA public TO reader;"
               "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader");
    script("standby", standby, more);
    print_all(f, &(const struct ledger_source){.store = postgres_server_uri()}, &by_owner);
    print_all(f, &(const struct ledger_source){.store = follower_uri}, &by_follower);
    print_all(f, &(const struct ledger_source){.store = reader_uri}, &by_reader);
    script("stop", standby, "");
    execute(f, "DROP OWNED BY reader; DROP ROLE reader");
    assert_non_null(strstr(by_owner.data, "\"Unfinished\":4"));
    assert_string_equal(by_follower.data, by_owner.data);
    assert_string_equal(by_reader.data, by_owner.data);
    buf_fini(&by_owner);
    buf_fini(&by_follower);
    buf_fini(&by_reader);
}

/* A new column must come into sqlite/dump.c and postgres/load.c, too; then change the number. */
static void test_every_column_is_copied(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(ledger_migrate(postgres_server_uri(), NULL, false, &f->out, &f->why),
                     STATUS_OK);
    assert_rows(f,
                "SELECT table_name || ' ' || count(*) FROM information_schema.columns"
                " WHERE table_name IN ('command', 'waiter', 'outbox', 'audit', 'watch', 'meta')"
                " GROUP BY table_name ORDER BY table_name",
                "audit 3\ncommand 34\nmeta 3\noutbox 4\nwaiter 11\nwatch 19\n");
}

static void test_a_target_that_has_rows_or_a_bridge_is_refused(void **state)
{
    struct fixture *f = *state;
    make_source(f);
    assert_int_equal(copy(f), STATUS_OK);
    assert_refused(f, STATUS_BUSY, "its table command has rows");
    execute(f, "DELETE FROM command; DELETE FROM outbox; DELETE FROM waiter; DELETE FROM watch;"
               "DELETE FROM audit");
    assert_refused(f, STATUS_BUSY, "its table meta has rows");
    execute(f, "DELETE FROM meta;"
               "INSERT INTO bridge (id, instance, lease_ms, place) VALUES (1, 'b', 1, 'x')");
    assert_refused(f, STATUS_BUSY, "its table bridge has rows");
    execute(f, "DELETE FROM bridge");
    assert_int_equal(copy(f), STATUS_OK);
}

static void test_a_source_that_is_in_use_or_not_there_is_refused(void **state)
{
    struct fixture *f = *state;
    struct store *store = NULL;
    assert_refused(f, STATUS_NOT_FOUND, "there is no ledger");
    assert_int_not_equal(access(f->path, F_OK), 0);
    assert_int_equal(store_sqlite_ops.open(STORE_AT(f->path), true, &store, &f->why), STATUS_OK);
    assert_refused(f, STATUS_BUSY, "in use by");
    store_sqlite_ops.close(store);
}

static void test_a_row_that_is_another_one_in_the_database_ends_the_copy(void **state)
{
    struct fixture *f = *state;
    make_source(f);
    assert_int_equal(ledger_migrate(postgres_server_uri(), NULL, false, &f->out, &f->why),
                     STATUS_OK);
    postgres_send_text(f->connection,
                       "CREATE FUNCTION change() RETURNS trigger LANGUAGE plpgsql AS"
                       " $$ BEGIN IF NEW.token = 't-5' THEN NEW.attempts := 7; END IF;"
                       " RETURN NEW; END $$");
    assert_int_equal(postgres_exchange(f->connection, TIMEOUT_MS, NULL, NULL), STATUS_OK);
    execute(f, "CREATE TRIGGER t BEFORE INSERT ON command FOR EACH ROW EXECUTE FUNCTION change()");
    assert_refused(f, STATUS_STORE, "row 5 of the table command");
    execute(f, "DROP TRIGGER t ON command;"
               "ALTER TABLE meta ADD CONSTRAINT c CHECK (key <> 'session.lost_at_ms')");
    assert_refused(f, STATUS_STORE, "violates check constraint");
    assert_rows(f, "SELECT token FROM command", "");
    execute(f, "ALTER TABLE meta DROP CONSTRAINT c");
    assert_int_equal(copy(f), STATUS_OK);
}

static void test_tables_are_made_once_and_not_while_a_bridge_is_registered(void **state)
{
    struct fixture *f = *state;
    const char *uri = postgres_server_uri();
    if (ledger_migrate(uri, NULL, false, &f->out, &f->why) != STATUS_OK) {
        fail_msg("%s", f->why.data);
    }
    assert_non_null(strstr(f->out.data, "(before: 0)"));
    buf_clear(&f->out);
    assert_int_equal(ledger_migrate(uri, "", true, &f->out, &f->why), STATUS_OK);
    assert_non_null(strstr(f->out.data, "nothing was changed"));
    execute(f, "INSERT INTO bridge (id, instance, lease_ms, place) VALUES (1, 'b', 1, 'x')");
    assert_int_equal(ledger_migrate(uri, NULL, false, &f->out, &f->why), STATUS_OK);
    assert_int_equal(ledger_migrate(uri, NULL, true, &f->out, &f->why), STATUS_BUSY);
    assert_non_null(strstr(f->why.data, "1 bridges are registered"));
}

static void test_a_file_is_migrated_only_where_there_is_one(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(ledger_migrate(f->from, "", false, &f->out, &f->why), STATUS_NOT_FOUND);
    make_source(f);
    assert_int_equal(ledger_migrate(f->from, "", true, &f->out, &f->why), STATUS_OK);
}

static void test_a_copy_is_from_a_file_into_a_database(void **state)
{
    struct fixture *f = *state;
    const struct ledger_copy back = {
        .from = postgres_server_uri(), .to = f->from, .instance = "bridge-a"};
    assert_int_equal(ledger_copy(&back, &f->out, &f->why), STATUS_INVALID);
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(test_a_killed_ledger_is_copied_with_its_heads_lines_and_waiters),
        WITH_FOLDER(test_the_copy_is_read_and_resumed_as_its_source),
        WITH_FOLDER(test_a_ledger_is_read_from_a_standby_and_by_a_role_that_may_only_read),
        WITH_FOLDER(test_every_column_is_copied),
        WITH_FOLDER(test_a_target_that_has_rows_or_a_bridge_is_refused),
        WITH_FOLDER(test_a_source_that_is_in_use_or_not_there_is_refused),
        WITH_FOLDER(test_a_row_that_is_another_one_in_the_database_ends_the_copy),
        WITH_FOLDER(test_tables_are_made_once_and_not_while_a_bridge_is_registered),
        WITH_FOLDER(test_a_file_is_migrated_only_where_there_is_one),
        WITH_FOLDER(test_a_copy_is_from_a_file_into_a_database),
    };
    return cmocka_run_group_tests(tests, postgres_server_start, postgres_server_stop);
}
