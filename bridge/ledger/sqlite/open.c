/*
 * Opening checks in this order: does another bridge use the file, does it exist, is it a ledger,
 * which version has it, is it complete. Nothing is changed before. A new ledger is created under
 * another name and renamed when it is complete, so a file with the right name is always a ledger.
 */
#include "base/log.h"
#include "base/mem.h"
#include "sqlite_private.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUSY_TIMEOUT_MS 1000

/* SQLite reports the reason of a failed system call only for some calls, but errno still has it. */
enum status store_sqlite_fail(struct store *store)
{
    int system_errno = errno;
    int code = sqlite3_errcode(store->db) & 0xff;
    bool is_system = code == SQLITE_IOERR || code == SQLITE_CANTOPEN || code == SQLITE_FULL;
    snprintf(store->error, sizeof store->error, "%s: %s (SQLite code %d%s%s)", store->path,
             sqlite3_errmsg(store->db), sqlite3_extended_errcode(store->db), is_system ? ", " : "",
             is_system ? strerror(system_errno) : "");
    return STATUS_STORE;
}

/* A damaged file needs an operator. It is not replaced by a new one: an empty ledger would run
 * commands a second time. */
static enum status cannot_open(struct store *store, struct buf *out_why)
{
    int code = sqlite3_errcode(store->db) & 0xff;
    store_sqlite_fail(store);
    if (code == SQLITE_NOTADB || code == SQLITE_CORRUPT || code == SQLITE_ERROR) {
        return store_sqlite_is_damaged(store->error, out_why);
    }
    bool is_elsewhere =
        code == SQLITE_CANTOPEN && store->path[0] != '/' && access(store->path, F_OK) != 0;
    buf_printf(out_why, "the ledger cannot be opened: %s%s", store->error,
               is_elsewhere
                   ? "; the path is relative: call this in the directory in which the bridge runs"
                   : "");
    return STATUS_STORE;
}

static enum status execute(struct store *store, const char *sql, struct buf *out_why)
{
    return sqlite3_exec(store->db, sql, NULL, NULL, NULL) == SQLITE_OK
               ? STATUS_OK
               : cannot_open(store, out_why);
}

/* Reads the first `count` columns of the first row as numbers. */
static enum status query(struct store *store, const char *sql, int count, int64_t *out_values,
                         struct buf *out_why)
{
    sqlite3_stmt *statement = NULL;
    enum status status = STATUS_OK;
    if (sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL) != SQLITE_OK ||
        sqlite3_step(statement) != SQLITE_ROW) {
        status = cannot_open(store, out_why);
    }
    for (int i = 0; i < count && status == STATUS_OK; i++) {
        out_values[i] = sqlite3_column_int64(statement, i);
    }
    sqlite3_finalize(statement);
    return status;
}

/* For the whole process, before SQLite is used: no memory statistics, which take a lock for every
 * allocation. */
static void configure_library(void)
{
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

/* history_append(history, events) */
static void append_events(sqlite3_context *context, int count, sqlite3_value **values)
{
    struct buf all = {0};
    (void)count;
    const void *old = sqlite3_value_blob(values[0]);
    const void *events = sqlite3_value_blob(values[1]);
    history_append(slice_of(old, (size_t)sqlite3_value_bytes(values[0])),
                   slice_of(events, (size_t)sqlite3_value_bytes(values[1])), &all);
    if (all.length == 0) {
        sqlite3_result_null(context);
        buf_fini(&all);
    } else {
        sqlite3_result_blob(context, all.data, (int)all.length, free);
    }
}

static enum status connect_file(struct store *store, bool is_reader, struct buf *out_why)
{
    static pthread_once_t configured = PTHREAD_ONCE_INIT;
    pthread_once(&configured, configure_library);
    int flags = (is_reader ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE) | SQLITE_OPEN_NOMUTEX |
                SQLITE_OPEN_EXRESCODE;
    if (sqlite3_open_v2(store->path, &store->db, flags, NULL) != SQLITE_OK) {
        return cannot_open(store, out_why);
    }
    if (!is_reader && sqlite3_db_readonly(store->db, "main") == 1) {
        buf_printf(out_why, "the ledger %s may not be written; check its owner and mode",
                   store->path);
        return STATUS_STORE;
    }
    sqlite3_busy_timeout(store->db, BUSY_TIMEOUT_MS);
    int result = sqlite3_create_function(store->db, STORE_SQLITE_APPEND, 2,
                                         SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY,
                                         NULL, append_events, NULL, NULL);
    return result == SQLITE_OK ? STATUS_OK : cannot_open(store, out_why);
}

/* Checks that the file is a ledger, and reads its version; 0: an empty file. */
static enum status identify(struct store *store, int64_t *out_version, struct buf *out_why)
{
    enum { APPLICATION, VERSION, TABLES, COUNT };
    int64_t values[COUNT];
    enum status status =
        query(store,
              "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)"
              " FROM pragma_application_id, pragma_user_version",
              COUNT, values, out_why);
    if (status == STATUS_OK) {
        status = store_sqlite_check_version(store->path, values[APPLICATION], values[VERSION],
                                            values[TABLES] > 0, out_why);
    }
    if (status == STATUS_OK) {
        *out_version = values[VERSION];
    }
    return status;
}

static enum status migrate_step(struct store *store, int64_t version, struct buf *out_why)
{
    struct buf sql = {0};
    buf_printf(&sql,
               "BEGIN IMMEDIATE; %s PRAGMA application_id = %d; PRAGMA user_version = %lld; COMMIT",
               store_sqlite_steps[version], STORE_SQLITE_APPLICATION_ID, (long long)version + 1);
    enum status status = execute(store, sql.data, out_why);
    buf_fini(&sql);
    return status;
}

/* The write-ahead log is written back first, so that the file must contain every page. */
static enum status check_size(struct store *store, struct buf *out_why)
{
    int64_t due_bytes = 0;
    enum status status = execute(store, "PRAGMA wal_checkpoint(TRUNCATE)", out_why);
    if (status == STATUS_OK) {
        status =
            query(store, "SELECT page_size * page_count FROM pragma_page_size, pragma_page_count",
                  1, &due_bytes, out_why);
    }
    int64_t size_bytes = store_file_size(store->path);
    if (status == STATUS_OK && size_bytes < due_bytes) {
        snprintf(store->error, sizeof store->error, "%s: %lld of %lld bytes are there", store->path,
                 (long long)size_bytes, (long long)due_bytes);
        return store_sqlite_is_damaged(store->error, out_why);
    }
    return status;
}

static enum status prepare(struct store *store, struct buf *out_why)
{
    for (int i = 0; i < SQL_COUNT; i++) {
        if (sqlite3_prepare_v3(store->db, store_sqlite_statements[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &store->statements[i], NULL) != SQLITE_OK) {
            return cannot_open(store, out_why);
        }
    }
    return STATUS_OK;
}

/* Reads the first and the last entry of every table and index: this finds a file that was cut off
 * or overwritten. */
static enum status probe(struct store *store, struct buf *out_why)
{
    int64_t edge;
    enum status status = STATUS_OK;
    for (int i = 0; i < STORE_SQLITE_PROBES && status == STATUS_OK; i++) {
        status = query(store, store_sqlite_probes[i], 1, &edge, out_why);
    }
    return status;
}

static enum status migrate(struct store *store, int64_t version, struct buf *out_why)
{
    enum status status = STATUS_OK;
    for (; status == STATUS_OK && version < STORE_SQLITE_VERSION; version++) {
        status = migrate_step(store, version, out_why);
    }
    return status;
}

static enum status open_file(struct store *store, bool is_full, struct buf *out_why)
{
    int64_t version = 0;
    enum status status = connect_file(store, false, out_why);
    if (status == STATUS_OK) {
        status = identify(store, &version, out_why);
    }
    if (status == STATUS_OK) {
        status = execute(store, store_sqlite_pragmas, out_why);
    }
    if (status == STATUS_OK) {
        status = execute(store, store_sqlite_durability(is_full), out_why);
    }
    if (status == STATUS_OK) {
        status = migrate(store, version, out_why);
    }
    if (status == STATUS_OK) {
        status = check_size(store, out_why);
    }
    if (status == STATUS_OK) {
        status = prepare(store, out_why);
    }
    return status == STATUS_OK ? probe(store, out_why) : status;
}

static enum status open_file_to_read(struct store *store, struct buf *out_why)
{
    int64_t version = 0;
    enum status status = connect_file(store, true, out_why);
    if (status == STATUS_OK) {
        status = identify(store, &version, out_why);
    }
    if (status == STATUS_OK && version != STORE_SQLITE_VERSION) {
        buf_printf(out_why,
                   "the ledger %s has an older schema version; start the bridge once to migrate it",
                   store->path);
        return STATUS_INVALID;
    }
    if (status == STATUS_OK) {
        status = prepare(store, out_why);
    }
    return status == STATUS_OK ? probe(store, out_why) : status;
}

enum status store_sqlite_check_place(struct store *store)
{
    bool is_file_there = store_file_is(store->path, store->file);
    if (is_file_there && store_file_is(store->log_path, store->log)) {
        return STATUS_OK;
    }
    snprintf(store->error, sizeof store->error,
             "%s was moved, removed or replaced while the bridge has it open: put it back; until "
             "then nothing can be stored",
             is_file_there ? store->log_path : store->path);
    return STATUS_STORE;
}

void store_sqlite_close(struct store *store)
{
    if (store == NULL) {
        return;
    }
    for (int i = 0; i < SQL_COUNT; i++) {
        sqlite3_finalize(store->statements[i]);
    }
    /* Closing writes the write-ahead log back and removes it. If the file is not there any more,
     * the log must stay, so that the next start reports it instead of creating a new ledger. */
    if (store->lock_fd >= 0 && store->file.inode != 0 &&
        store_sqlite_check_place(store) != STATUS_OK) {
        sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    }
    sqlite3_close(store->db);
    if (store->file_lock_fd >= 0) {
        close(store->file_lock_fd);
    }
    store_file_unlock(store->lock_fd, store->is_started);
    free(store->path);
    free(store->log_path);
    free(store);
}

static struct store *store_new(const char *path)
{
    struct store *store = mem_zalloc(1, sizeof *store);
    struct buf log_path = {0};
    buf_printf(&log_path, "%s-wal", path);
    store->path = mem_strdup(path);
    store->log_path = buf_take(&log_path);
    store->lock_fd = -1;
    store->file_lock_fd = -1;
    return store;
}

/* Creates an empty ledger and syncs it. */
static enum status make_file(const char *path, struct buf *out_why)
{
    struct store *store = store_new(path);
    enum status status = store_file_create(path, out_why);
    if (status == STATUS_OK) {
        status = connect_file(store, false, out_why);
    }
    if (status == STATUS_OK) {
        status = execute(store, store_sqlite_new_pragmas, out_why);
    }
    if (status == STATUS_OK) {
        status = execute(store, store_sqlite_durability(true), out_why);
    }
    if (status == STATUS_OK) {
        status = migrate(store, 0, out_why);
    }
    store_sqlite_close(store);
    return status;
}

/* The name of a file as a URI for SQLite that ignores the write-ahead log. */
static void put_file_alone(const char *path, struct buf *out)
{
    buf_append_text(out, "file:");
    for (; *path != '\0'; path++) {
        buf_printf(out, strchr("?#%", *path) == NULL ? "%c" : "%%%02X", *path);
    }
    buf_append_text(out, "?immutable=1");
}

/* The run in the file without its log; 0: not known. */
static int64_t run_in_file(const char *path)
{
    struct buf uri = {0};
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    int64_t run = 0;
    put_file_alone(path, &uri);
    if (sqlite3_open_v2(uri.data, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(db, "SELECT value FROM meta WHERE key = '" RUN_META "'", -1, &statement,
                           NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW) {
        run = sqlite3_column_int64(statement, 0);
    }
    sqlite3_finalize(statement);
    sqlite3_close(db);
    buf_fini(&uri);
    return run;
}

/*
 * A write-ahead log has only the pages that its run changed. SQLite would put them into whatever
 * file has the name, also into a backup that was restored beside the log, and damage it.
 */
static enum status check_log_belongs(const struct store *store, struct buf *out_why)
{
    const struct store_runs *runs = &store->runs;
    int64_t run = 0;
    if (runs->ids[0] != 0 && store_file_size(store->log_path) > 0) {
        run = run_in_file(store->path);
    }
    if (run == 0 || run == runs->ids[0] || run == runs->ids[1]) {
        return STATUS_OK;
    }
    buf_printf(out_why,
               "the ledger %s is not the file that its write-ahead log %s belongs to: it was "
               "replaced after the last bridge was killed, for example by a backup. To use this "
               "file, move the log and %s-shm away; else put the former file back",
               store->path, store->log_path, store->path);
    return STATUS_INVALID;
}

/* The bridge creates the file with mode 0600; one that was restored often has another. */
static void warn_of_mode(const struct store *store)
{
    struct stat about;
    char mode[8];
    if (fstat(store->file_lock_fd, &about) == 0 && (about.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        snprintf(mode, sizeof mode, "%04o", (unsigned)about.st_mode & 07777U);
        LOG_WARN("ledger_open_to_others", LOG_TEXT("path", store->path), LOG_TEXT("mode", mode));
    }
}

static enum status create(const char *location, struct buf *out_why)
{
    struct buf made = {0};
    buf_printf(&made, "%s.new", location);
    enum status status = make_file(made.data, out_why);
    if (status == STATUS_OK) {
        status = store_file_rename(made.data, location, out_why);
    }
    if (status == STATUS_OK) {
        LOG_INFO("ledger_created", LOG_TEXT("path", location));
    }
    buf_fini(&made);
    return status;
}

enum status store_sqlite_open(const struct store_place *place, bool is_full,
                              struct store **out_store, struct buf *out_why)
{
    /* SQLite puts its write-ahead log beside the file itself, not beside a symbolic link to it. */
    char *path = store_file_resolve(place->location);
    struct store *store = store_new(path);
    enum status status = store_file_lock(path, &store->lock_fd, &store->runs, out_why);
    if (status == STATUS_OK) {
        status = store_file_check(path, out_why);
        status = status == STATUS_NOT_FOUND ? create(path, out_why) : status;
    }
    free(path);
    if (status == STATUS_OK) {
        status = store_file_lock_itself(store->path, &store->file_lock_fd, out_why);
    }
    if (status == STATUS_OK) {
        status = check_log_belongs(store, out_why);
    }
    if (status == STATUS_OK) {
        status = open_file(store, is_full, out_why);
    }
    if (status != STATUS_OK) {
        store_sqlite_close(store);
        return status;
    }
    file_io_begin(&store->io, store->db);
    store->file = store_file_identify(store->path);
    store->log = store_file_identify(store->log_path);
    warn_of_mode(store);
    *out_store = store;
    return STATUS_OK;
}

enum status store_sqlite_open_to_read(const struct store_place *place, struct store **out_store,
                                      struct buf *out_why)
{
    struct store *store = store_new(place->location);
    enum status status = open_file_to_read(store, out_why);
    if (status != STATUS_OK) {
        store_sqlite_close(store);
        return status;
    }
    *out_store = store;
    return STATUS_OK;
}
