/*
 * What an operator asks of a file: numbers, whether it is sound, a copy. These statements may read
 * the whole file, so they are not among those of a running bridge (schema.c).
 */
#include "base/digest.h"
#include "base/file.h"
#include "rows.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define FAULTS_MAX     100 /* of a kind */
#define QUOTE(text)    #text
#define TEXT_OF(macro) QUOTE(macro)

/* Calls `each` for every row. */
static enum status each_row(struct store *store, const char *sql,
                            void (*each)(void *arg, sqlite3_stmt *row), void *arg)
{
    sqlite3_stmt *statement = NULL;
    rows_release(store);
    int result = sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL);
    if (result == SQLITE_OK) {
        while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
            each(arg, statement);
        }
    }
    enum status status = result == SQLITE_DONE ? STATUS_OK : store_sqlite_fail(store);
    sqlite3_finalize(statement);
    return status;
}

/* ---- statistics ---- */

static void read_statistics(void *arg, sqlite3_stmt *row)
{
    int64_t *const *places = arg;
    for (int i = 0; places[i] != NULL; i++) {
        *places[i] = sqlite3_column_int64(row, i);
    }
}

enum status store_sqlite_get_statistics(struct store *store,
                                        struct store_statistics *out_statistics)
{
    struct store_statistics *out = out_statistics;
    int64_t *places[] = {&out->schema,
                         &out->page_bytes,
                         &out->pages,
                         &out->free_pages,
                         &out->records,
                         &out->audit_records,
                         &out->oldest_received_at_ms,
                         NULL};
    *out = (struct store_statistics){0};
    enum status status = each_row(
        store,
        "SELECT user_version, page_size, page_count, freelist_count,"
        " (SELECT count(*) FROM command), (SELECT count(*) FROM audit),"
        " (SELECT coalesce(min(received_at), 0) FROM command"
        "  WHERE id = (SELECT min(id) FROM command))"
        " FROM pragma_user_version, pragma_page_size, pragma_page_count, pragma_freelist_count",
        read_statistics, (void *)places);
    int64_t log_bytes = store_file_size(store->log_path);
    out->file_bytes = store_file_size(store->path);
    out->log_bytes = log_bytes < 0 ? 0 : log_bytes;
    return status;
}

/* ---- verify ---- */

struct faults {
    store_fault_fn *fault;
    void *arg;
    const char *text; /* what is wrong; NULL: the first column says it */
};

static void report_fault(void *arg, sqlite3_stmt *row)
{
    const struct faults *faults = arg;
    const char *value = (const char *)sqlite3_column_text(row, 0);
    struct buf line = {0};
    if (value == NULL || (faults->text == NULL && strcmp(value, "ok") == 0)) {
        return;
    }
    if (faults->text == NULL) {
        buf_append_text(&line, value);
    } else {
        buf_printf(&line, "%s: %s", value, faults->text);
    }
    faults->fault(faults->arg, line.data);
    buf_fini(&line);
}

/* Each statement finds rows that contradict another one: what they are, and what is wrong. */
static const struct invariant {
    const char *sql;
    const char *text;
} INVARIANTS[] = {
    {"SELECT 'command ' || id FROM command WHERE state NOT BETWEEN 1 AND 5", "it has no state"},
    {"SELECT 'command ' || id FROM command c WHERE state < 5 AND NOT EXISTS"
     " (SELECT 1 FROM reply_to WHERE command_id = c.id AND place = 0)",
     "it is unfinished, but nobody waits for its outcome, so it is never resumed"},
    {"SELECT 'command ' || id FROM command c WHERE state = 5 AND EXISTS"
     " (SELECT 1 FROM reply_to WHERE command_id = c.id AND place >= 0)",
     "it has its outcome, but senders still wait for it"},
    {"SELECT 'command ' || id FROM command c WHERE (state <> 5 OR retention NOT IN (3, 6)) AND"
     " EXISTS (SELECT 1 FROM reply_to WHERE command_id = c.id AND place < 0)",
     "it is not unknown, but keeps where its replies went"},
    {"SELECT 'reply_to of command ' || command_id FROM reply_to WHERE command_id NOT IN"
     " (SELECT id FROM command)",
     "there is no such command"},
    {"SELECT 'command ' || id FROM command WHERE state = 5 AND (status IS NULL OR"
     " retention IS NULL OR completed_at IS NULL OR expires_at IS NULL)",
     "it is done, but a part of its outcome is missing"},
    {"SELECT 'command ' || id FROM command WHERE state < 5 AND (status IS NOT NULL OR"
     " expires_at IS NOT NULL)",
     "it is unfinished, but has an outcome"},
    {"SELECT 'command ' || id FROM command WHERE state IN (2, 4) AND attempts = 0",
     "it is being called, but has no attempt"},
    {"SELECT 'message ' || id FROM outbox WHERE length(message) = 0", "it is empty"},
    {"SELECT 'audit records' FROM (SELECT count(*) AS n, max(seq) - min(seq) + 1 AS due FROM audit)"
     " WHERE n <> due",
     "their numbers have a gap"},
};

enum status store_sqlite_verify(struct store *store, store_fault_fn *fault, void *arg)
{
    struct faults faults = {fault, arg, NULL};
    enum status status =
        each_row(store, "PRAGMA integrity_check(" TEXT_OF(FAULTS_MAX) ")", report_fault, &faults);
    for (size_t i = 0; i < sizeof INVARIANTS / sizeof INVARIANTS[0] && status == STATUS_OK; i++) {
        struct buf sql = {0};
        buf_printf(&sql, "%s LIMIT %d", INVARIANTS[i].sql, FAULTS_MAX);
        faults.text = INVARIANTS[i].text;
        status = each_row(store, sql.data, report_fault, &faults);
        buf_fini(&sql);
    }
    return status;
}

/* ---- backup ---- */

static enum status cannot(struct buf *out_why, const char *what, const char *path)
{
    buf_printf(out_why, "cannot %s %s: %s", what, path, strerror(errno));
    return STATUS_STORE;
}

/* Copies what the file has now: one transaction that only reads. The copy has no free pages. */
static enum status copy_into(struct store *store, const char *path)
{
    sqlite3_stmt *statement = NULL;
    rows_release(store);
    int result = sqlite3_prepare_v2(store->db, "VACUUM INTO ?1", -1, &statement, NULL);
    if (result == SQLITE_OK) {
        sqlite3_bind_text(statement, 1, path, -1, SQLITE_STATIC);
        result = sqlite3_step(statement);
    }
    enum status status = result == SQLITE_DONE ? STATUS_OK : store_sqlite_fail(store);
    sqlite3_finalize(statement);
    return status;
}

/* The copy gets a run of its own, so that a write-ahead log of the original is never put into it:
 * see check_log_belongs() in open.c. */
static enum status set_run(const char *path, struct buf *out_why)
{
    sqlite3 *db = NULL;
    struct buf sql = {0};
    buf_printf(&sql, "UPDATE meta SET value = %lld WHERE key = '" RUN_META "'",
               (long long)digest_random_id());
    enum status status = STATUS_OK;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK ||
        sqlite3_exec(db, sql.data, NULL, NULL, NULL) != SQLITE_OK) {
        buf_printf(out_why, "cannot write %s: %s", path, sqlite3_errmsg(db));
        status = STATUS_STORE;
    }
    sqlite3_close(db);
    buf_fini(&sql);
    return status;
}

static enum status sync_file(const char *path, struct buf *out_why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    enum status status = fd >= 0 && fsync(fd) == 0 ? STATUS_OK : cannot(out_why, "sync", path);
    if (fd >= 0) {
        close(fd);
    }
    return status;
}

/* Gives the complete copy its name, unless a file has it. */
static enum status name_copy(const char *made, const char *path, struct buf *out_why)
{
    if (link(made, path) != 0) {
        return cannot(out_why, "create", path);
    }
    return file_sync_directory_of(path) == 0 ? STATUS_OK
                                             : cannot(out_why, "write the directory of", path);
}

enum status store_sqlite_backup(struct store *store, const char *path, struct buf *out_why)
{
    struct buf made = {0};
    if (store_file_size(path) >= 0) {
        buf_printf(out_why, "%s exists already, and a backup replaces no file; name another one",
                   path);
        return STATUS_BUSY;
    }
    buf_printf(&made, "%s.new", path);
    enum status status = store_file_create(made.data, out_why);
    if (status == STATUS_OK) {
        status = copy_into(store, made.data);
        if (status != STATUS_OK) {
            buf_append_text(out_why, store->error);
        }
    }
    if (status == STATUS_OK) {
        status = set_run(made.data, out_why);
    }
    if (status == STATUS_OK) {
        status = sync_file(made.data, out_why);
    }
    if (status == STATUS_OK) {
        status = name_copy(made.data, path, out_why);
    }
    unlink(made.data);
    buf_fini(&made);
    return status;
}
