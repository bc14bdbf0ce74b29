/*
 * Reading a ledger beside a running bridge: lists, statistics, verification, backup.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "ledger/view.h"
#include "support/ledger_fixture.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void put(void *arg, struct slice text)
{
    buf_append(arg, text);
}

static const char *path_of(const struct fixture *fixture)
{
    return fixture->store + strlen("sqlite:");
}

static void execute(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

/* t1 is READY, t2 CALLING, t3 failed, t4 succeeded; t3 and t4 have the group "other". */
static void fill(struct fixture *fixture)
{
    fixture_claim(fixture, "t1");
    fixture_expect(fixture, "claimed t1 ready\ndone t1 new\n");
    fixture->is_called_at_once = true;
    fixture_claim(fixture, "t2");
    fixture_expect(fixture, "claimed t2 calling\ndone t2 new\n");
    for (int i = 3; i <= 4; i++) {
        char token[8];
        char lines[80];
        snprintf(token, sizeof token, "t%d", i);
        snprintf(lines, sizeof lines, "claimed %s calling\ndone %s new\n", token, token);
        fixture_claim_as(fixture, &(struct fixture_claim){.token = token, .group = "other"});
        fixture_expect(fixture, lines);
    }
    fixture_fail(fixture, "t3", RETENTION_REFUSAL);
    fixture_expect(fixture, "posted failed t3 OperationDenied to replies/t3\n");
    fixture_succeed(fixture, "t4");
    fixture_expect(fixture, "posted succeeded t4 to replies/t4\n");
    ledger_delivered(fixture->ledger, 1, 1);
    fixture_settle(fixture);
}

/* The tokens that are listed, with a blank behind each. */
static void assert_listed(struct fixture *fixture, const struct ledger_filter *filter,
                          const char *tokens)
{
    static const char NAME[] = "{\"ClientToken\":\"";
    struct buf lines = {0};
    struct buf why = {0};
    struct buf found = {0};
    struct slice line;
    assert_int_equal(ledger_list(SOURCE(fixture->store), filter, put, &lines, &why), STATUS_OK);
    struct slice rest = buf_slice(&lines);
    while (slice_take_line(&rest, &line)) {
        assert_memory_equal(line.data, NAME, sizeof NAME - 1);
        const char *token = line.data + sizeof NAME - 1;
        buf_append(&found, slice_of(token, (size_t)(strchr(token, '"') - token)));
        buf_append_char(&found, ' ');
    }
    assert_string_equal(found.length == 0 ? "" : found.data, tokens);
    buf_fini(&lines);
    buf_fini(&why);
    buf_fini(&found);
}

static void test_a_list_has_what_its_filter_says(void **state)
{
    struct fixture *fixture = *state;
    struct ledger_filter filter;
    fill(fixture);
    ledger_filter_init(&filter);
    assert_listed(fixture, &filter, "t1 t2 ");
    filter.has_finished = true;
    assert_listed(fixture, &filter, "t1 t2 t3 t4 ");
    filter.limit = 3;
    assert_listed(fixture, &filter, "t1 t2 t3 ");
    filter.group = "oth*";
    assert_listed(fixture, &filter, "t3 t4 ");
    filter.region = "us-*";
    assert_listed(fixture, &filter, "");
    ledger_filter_init(&filter);
    filter.has_finished = true;
    filter.route = "no-such-route";
    assert_listed(fixture, &filter, "");
    filter.route = "start";
    assert_listed(fixture, &filter, "t1 t2 t3 t4 ");
    filter.until_ms = clock_wall_ms() - 3600000;
    assert_listed(fixture, &filter, "");
    filter.since_ms = filter.until_ms;
    filter.until_ms = INT64_MAX;
    assert_listed(fixture, &filter, "t1 t2 t3 t4 ");
}

static void test_a_filter_by_state_knows_states_and_outcomes(void **state)
{
    static const struct {
        const char *text;
        const char *tokens;
    } CASES[] = {{"ready", "t1 "},   {"calling", "t2 "}, {"unsure", ""},       {"recalling", ""},
                 {"done", "t3 t4 "}, {"failed", "t3 "},  {"succeeded", "t4 "}, {"unknown", ""}};
    struct fixture *fixture = *state;
    struct ledger_filter filter;
    fill(fixture);
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        ledger_filter_init(&filter);
        assert_int_equal(ledger_filter_set_state(&filter, CASES[i].text), STATUS_OK);
        assert_listed(fixture, &filter, CASES[i].tokens);
    }
    assert_int_equal(ledger_filter_set_state(&filter, "none"), STATUS_INVALID);
    assert_int_equal(ledger_filter_set_state(&filter, "Ready"), STATUS_INVALID);
}

/* More than one page. */
static void test_a_long_list_is_complete_and_in_order(void **state)
{
    enum { COUNT = 1200 };
    struct fixture *fixture = *state;
    struct ledger_filter filter;
    struct buf lines = {0};
    struct buf why = {0};
    struct slice line;
    int count = 0;
    fixture_close(fixture, 1000);
    execute(path_of(fixture),
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200)"
            " INSERT INTO command (id, token, state, action, region, grp, route, one_shot,"
            " fingerprint, received_at, deadline_at, attempts, not_before, status, retention,"
            " completed_at, expires_at) SELECT i, printf('t%05d', i), 5, 'StartDiskReplicaGroup',"
            " 'r', 'g', 'start', 1, x'00', i, 2, 1, 0, 0, 0, 3, 9000000000000000 FROM n");
    ledger_filter_init(&filter);
    filter.has_finished = true;
    assert_int_equal(ledger_list(SOURCE(fixture->store), &filter, put, &lines, &why), STATUS_OK);
    struct slice rest = buf_slice(&lines);
    while (slice_take_line(&rest, &line)) {
        char token[16];
        snprintf(token, sizeof token, "\"t%05d\"", ++count);
        assert_non_null(strstr(line.data, token));
    }
    assert_int_equal(count, COUNT);
    buf_fini(&lines);
    buf_fini(&why);
    fixture_open(fixture);
}

static void test_an_export_has_the_histories(void **state)
{
    struct fixture *fixture = *state;
    struct ledger_filter filter;
    struct buf lines = {0};
    struct buf why = {0};
    fill(fixture);
    ledger_filter_init(&filter);
    assert_int_equal(ledger_list(SOURCE(fixture->store), &filter, put, &lines, &why), STATUS_OK);
    assert_null(strstr(lines.data, "\"History\""));
    buf_clear(&lines);
    filter.has_finished = true;
    filter.has_history = true;
    filter.group = "other";
    assert_int_equal(ledger_list(SOURCE(fixture->store), &filter, put, &lines, &why), STATUS_OK);
    assert_non_null(strstr(lines.data, "\"Event\":\"attempt_started\",\"Attempt\":1}"));
    assert_non_null(strstr(lines.data, "\"Event\":\"attempt_ended\",\"Result\":\"failed\","
                                       "\"Attempt\":1,\"RequestId\":"
                                       "\"473469C7-AA6F-4DC5-B3DB-A3DC0DE3C83E\","
                                       "\"Code\":\"OperationDenied\"}"));
    assert_non_null(strstr(lines.data, "\"Event\":\"reply_acknowledged\",\"Reply\":1}]"));
    buf_fini(&lines);
    buf_fini(&why);
}

static void test_the_statistics_count_records_by_state(void **state)
{
    struct fixture *fixture = *state;
    struct buf out = {0};
    struct buf why = {0};
    fill(fixture);
    assert_int_equal(ledger_stats(SOURCE(fixture->store), &out, &why), STATUS_OK);
    assert_non_null(strstr(out.data, "{\"Schema\":9,\"Records\":{\"ready\":1,\"calling\":1,"
                                     "\"unsure\":0,\"recalling\":0,\"done\":2},\"Waiting\":0,"
                                     "\"Outbox\":1,"));
    assert_non_null(strstr(out.data, "\"OldestUnfinished\":\"20"));
    assert_non_null(strstr(out.data, "\"OldestRecord\":\"20"));
    assert_non_null(strstr(out.data, "\"FreePages\":"));
    buf_fini(&out);
    buf_fini(&why);
}

static void add_watch(struct fixture *fixture, int id, const char *token, const char *object)
{
    struct buf sql = {0};
    buf_printf(&sql,
               "INSERT INTO watch (id, token, action, route, region, object, one_shot, outcome,"
               " started_at, ends_at, seq, site, status, recover_point_s, rpo_s, progress,"
               " changed_at, flags) VALUES (%d, '%s', 'StartDiskReplicaGroup', 'start',"
               " 'cn-beijing', '%s', 0, %d, 1767323045123, 1767323046123, 4, 0, 'normal',"
               " 1767323045, 900, -1, 1767323045123, 0)",
               id, token, object, OUTCOME_SUCCEEDED);
    execute(path_of(fixture), sql.data);
    buf_fini(&sql);
}

static void test_a_record_and_the_statistics_have_what_is_watched(void **state)
{
    struct fixture *fixture = *state;
    struct buf out = {0};
    struct buf why = {0};
    fill(fixture);
    add_watch(fixture, 4, "t4", "other"); /* t3 was for the same group */
    add_watch(fixture, 9, "t9", "pg-9");
    assert_int_equal(ledger_show(SOURCE(fixture->store), slice_text("t4"), &out, &why), STATUS_OK);
    assert_non_null(strstr(out.data, "\"Watch\":{\"Seq\":4,\"GroupStatus\":\"normal\","
                                     "\"LastRecoverPoint\":\"2026-01-02T03:04:05.000Z\","
                                     "\"ChangedAt\":\"2026-01-02T03:04:05.123Z\","
                                     "\"StartedAt\":\"2026-01-02T03:04:05.123Z\","
                                     "\"EndsAt\":\"2026-01-02T03:04:06.123Z\"},\"History\":["));
    buf_clear(&out);
    assert_int_equal(ledger_show(SOURCE(fixture->store), slice_text("t3"), &out, &why), STATUS_OK);
    assert_null(strstr(out.data, "\"Watch\""));
    buf_clear(&out);
    assert_int_equal(ledger_stats(SOURCE(fixture->store), &out, &why), STATUS_OK);
    assert_non_null(strstr(out.data, "\"Watches\":2,"));
    buf_fini(&out);
    buf_fini(&why);
}

/* ---- verify ---- */

static int64_t verify(struct fixture *fixture, struct buf *out_lines)
{
    struct buf why = {0};
    int64_t faults = -1;
    int64_t records = -1;
    assert_int_equal(ledger_verify(SOURCE(fixture->store), put, out_lines, &faults, &records, &why),
                     STATUS_OK);
    assert_int_equal(records, 4);
    buf_fini(&why);
    return faults;
}

static void test_a_sound_ledger_has_no_faults(void **state)
{
    struct fixture *fixture = *state;
    struct buf lines = {0};
    fill(fixture);
    assert_int_equal(verify(fixture, &lines), 0);
    assert_int_equal(lines.length, 0);
    fixture_open_again(fixture);
    fixture_expect(fixture, "claimed t1 ready\nclaimed t2 unsure\n");
    assert_int_equal(verify(fixture, &lines), 0);
    fixture_begin(fixture, "t2");
    fixture_expect(fixture, "begun t2\n");
    fixture_claim(fixture, "t2");
    fixture_expect(fixture, "done t2 waits\n");
    fixture_pause(fixture, "t2", MOVE_NO_ANSWER);
    fixture_settle(fixture);
    assert_int_equal(verify(fixture, &lines), 0);
    buf_fini(&lines);
}

static void test_each_contradiction_is_a_fault(void **state)
{
    static const struct {
        const char *sql;
        const char *undo;
        const char *line;
    } CASES[] = {
        {"UPDATE reply_to SET place = 7 WHERE command_id = (SELECT id FROM command WHERE "
         "token = 't1')",
         "UPDATE reply_to SET place = 0", "nobody waits for its outcome"},
        {"INSERT INTO reply_to (command_id, place, has_body_trace) SELECT id, 3, 0 FROM command"
         " WHERE token = 't4'",
         "DELETE FROM reply_to WHERE place = 3", "senders still wait for it"},
        {"INSERT INTO reply_to (command_id, place, has_body_trace) VALUES (77, 3, 0)",
         "DELETE FROM reply_to WHERE place = 3",
         "reply_to of command 77: there is no such command"},
        {"UPDATE command SET completed_at = NULL WHERE token = 't4'",
         "UPDATE command SET completed_at = 5 WHERE token = 't4'", "a part of its outcome"},
        {"UPDATE command SET status = 1 WHERE token = 't1'",
         "UPDATE command SET status = NULL WHERE token = 't1'",
         "is unfinished, but has an outcome"},
        {"UPDATE command SET attempts = 0 WHERE token = 't2'",
         "UPDATE command SET attempts = 1 WHERE token = 't2'", "has no attempt"},
        {"UPDATE outbox SET message = x''", "UPDATE outbox SET message = x'6d'", "it is empty"},
        {"INSERT INTO audit VALUES (5, x'6d'), (7, x'6d')", "DELETE FROM audit", "have a gap"},
        {"UPDATE command SET history = substr(history, 1, 11) WHERE token = 't4'",
         "UPDATE command SET history = NULL WHERE token = 't4'", "cannot be read to its end"},
        {"UPDATE command SET history = substr(history, 1, 9) WHERE token = 't3'",
         "UPDATE command SET history = NULL WHERE token = 't3'", "otherwise than its state"},
    };
    struct fixture *fixture = *state;
    fill(fixture);
    fixture_close(fixture, 1000);
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct buf lines = {0};
        execute(path_of(fixture), CASES[i].sql);
        assert_int_equal(verify(fixture, &lines), 1);
        if (strstr(lines.data, CASES[i].line) == NULL) {
            fail_msg("%s: %s", CASES[i].line, lines.data);
        }
        buf_clear(&lines);
        execute(path_of(fixture), CASES[i].undo);
        assert_int_equal(verify(fixture, &lines), 0);
        buf_fini(&lines);
    }
    fixture_open(fixture);
    fixture_expect(fixture, "claimed t1 ready\nclaimed t2 unsure\n");
}

/* ---- backup ---- */

static void test_a_backup_of_a_ledger_in_use_is_a_ledger(void **state)
{
    struct fixture *fixture = *state;
    struct buf path = {0};
    struct buf store = {0};
    struct buf original = {0};
    struct buf copy = {0};
    struct buf why = {0};
    struct stat about;
    fill(fixture);
    buf_printf(&path, "%s/copy.db", fixture->folder);
    buf_printf(&store, "sqlite:%s", path.data);
    mode_t mask = umask(0);
    enum status status = ledger_backup(SOURCE(fixture->store), path.data, &why);
    assert_string_equal(why.length == 0 ? "" : why.data, "");
    assert_int_equal(status, STATUS_OK);
    umask(mask);
    assert_int_equal(stat(path.data, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0600);
    fixture_fail(fixture, "t2", RETENTION_REFUSAL); /* the bridge works on */
    fixture_expect(fixture, "posted failed t2 OperationDenied to replies/t2\n");
    assert_int_equal(ledger_show(SOURCE(store.data), slice_text("t3"), &copy, &why), STATUS_OK);
    assert_int_equal(ledger_show(SOURCE(fixture->store), slice_text("t3"), &original, &why),
                     STATUS_OK);
    assert_string_equal(copy.data, original.data);
    buf_clear(&copy);
    assert_int_equal(ledger_show(SOURCE(store.data), slice_text("t2"), &copy, &why), STATUS_OK);
    assert_non_null(strstr(copy.data, "\"State\":\"calling\""));
    fixture_close(fixture, 1000);
    assert_int_equal(rename(path.data, path_of(fixture)), 0);
    fixture_open(fixture);
    fixture_expect(fixture, "claimed t1 ready\nclaimed t2 unsure\n");
    buf_fini(&path);
    buf_fini(&store);
    buf_fini(&original);
    buf_fini(&copy);
    buf_fini(&why);
}

static void test_a_backup_replaces_no_file_and_leaves_none_if_it_fails(void **state)
{
    struct fixture *fixture = *state;
    struct buf path = {0};
    struct buf why = {0};
    char byte = 0;
    buf_printf(&path, "%s/copy.db", fixture->folder);
    int fd = open(path.data, O_RDWR | O_CREAT, 0600);
    assert_int_equal(write(fd, "x", 1), 1);
    assert_int_equal(ledger_backup(SOURCE(fixture->store), path.data, &why), STATUS_BUSY);
    assert_non_null(strstr(why.data, "exists already"));
    assert_int_equal(pread(fd, &byte, 1, 0), 1);
    assert_int_equal(byte, 'x');
    close(fd);
    unlink(path.data);
    buf_clear(&path);
    buf_printf(&path, "%s/no/copy.db", fixture->folder);
    buf_clear(&why);
    assert_int_equal(ledger_backup(SOURCE(fixture->store), path.data, &why), STATUS_STORE);
    assert_non_null(strstr(why.data, "No such file or directory"));
    buf_fini(&path);
    buf_fini(&why);
}

#define FIXTURE_TEST(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_a_list_has_what_its_filter_says),
        FIXTURE_TEST(test_a_filter_by_state_knows_states_and_outcomes),
        FIXTURE_TEST(test_a_long_list_is_complete_and_in_order),
        FIXTURE_TEST(test_an_export_has_the_histories),
        FIXTURE_TEST(test_the_statistics_count_records_by_state),
        FIXTURE_TEST(test_a_record_and_the_statistics_have_what_is_watched),
        FIXTURE_TEST(test_a_sound_ledger_has_no_faults),
        FIXTURE_TEST(test_each_contradiction_is_a_fault),
        FIXTURE_TEST(test_a_backup_of_a_ledger_in_use_is_a_ledger),
        FIXTURE_TEST(test_a_backup_replaces_no_file_and_leaves_none_if_it_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
