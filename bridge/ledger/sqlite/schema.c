/*
 * There is no index of unfinished commands: they are the ones with a reply_to at place 0, because
 * an outcome deletes the reply_tos. One that is not definite keeps them, at the places -1, -2, ...
 * in place of 0, 1, ... Finished commands are found by their time of expiry.
 */
#include "schema.h"

#include "ledger/batch.h"
#include "model/outcome.h"
#include "model/state.h"

#include <inttypes.h>

#define QUOTE(text)    #text
#define TEXT_OF(macro) QUOTE(macro)

const char *const store_sqlite_steps[STORE_SQLITE_VERSION] = {
    "CREATE TABLE command ("
    " id INTEGER PRIMARY KEY,"
    " token TEXT NOT NULL,"
    " state INTEGER NOT NULL,"
    " action TEXT NOT NULL,"
    " region TEXT NOT NULL,"
    " grp TEXT NOT NULL,"
    " route TEXT NOT NULL,"
    " one_shot INTEGER NOT NULL,"
    " fingerprint BLOB NOT NULL,"
    " received_at INTEGER NOT NULL,"
    " deadline_at INTEGER NOT NULL,"
    " attempts INTEGER NOT NULL,"
    " not_before INTEGER NOT NULL,"
    " status INTEGER,"
    " keep INTEGER,"
    " request_id TEXT,"
    " code TEXT,"
    " error TEXT,"
    " completed_at INTEGER,"
    " expires_at INTEGER"
    ") STRICT;"
    "CREATE UNIQUE INDEX command_token ON command (token);"
    "CREATE INDEX command_expiry ON command (expires_at) WHERE expires_at IS NOT NULL;"
    "CREATE TABLE asker ("
    " command_id INTEGER NOT NULL,"
    " place INTEGER NOT NULL,"
    " topic TEXT,"
    " correlation_data BLOB,"
    " correlation_id TEXT,"
    " traceparent TEXT,"
    " tracestate TEXT,"
    " has_body_trace INTEGER NOT NULL,"
    " PRIMARY KEY (command_id, place)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE outbox ("
    " id INTEGER PRIMARY KEY,"
    " message BLOB NOT NULL"
    ") STRICT;",

    "CREATE TABLE fact ("
    " key TEXT PRIMARY KEY,"
    " value INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;",

    ("ALTER TABLE command ADD COLUMN crashes INTEGER NOT NULL DEFAULT 0;"
     "ALTER TABLE command ADD COLUMN crashes_alone INTEGER NOT NULL DEFAULT 0;"),

    ("ALTER TABLE asker RENAME TO reply_to;"
     "ALTER TABLE fact RENAME TO meta;"
     "ALTER TABLE command RENAME COLUMN keep TO retention;"
     /* one_shot stays for the rows of before, all of which are of StartDiskReplicaGroup. */
     "ALTER TABLE command ADD COLUMN params TEXT;"
     "CREATE TABLE audit ("
     " seq INTEGER PRIMARY KEY,"
     " record BLOB NOT NULL"
     ") STRICT;"
     /* Of the crashes with other calls in flight only one is counted: model/crash_limit.h. */
     "UPDATE command SET crashes = min(crashes, crashes_alone + 1) WHERE crashes > 0;"
     "ALTER TABLE command DROP COLUMN crashes_alone;"),

    /* No table changes: messages may be of version 2 from now on (model/message.h), which an
     * earlier program cannot publish. */
    "",

    /* Messages from before this schema belong to no command, and such commands have no history. */
    ("ALTER TABLE command ADD COLUMN history BLOB;"
     "ALTER TABLE outbox ADD COLUMN command_id INTEGER;"),

    /* Of replies to commands that were made of an element of a message. The index is the
     * store_sqlite_effect_index. */
    ("ALTER TABLE reply_to ADD COLUMN element INTEGER;"
     "CREATE INDEX command_effect ON command (grp, received_at) WHERE status <> 1;"),
    /* The id is that of the command. Times are those of the API's clock, in ms. */
    "CREATE TABLE watch ("
    " id INTEGER PRIMARY KEY,"
    " token TEXT NOT NULL,"
    " action TEXT NOT NULL,"
    " route TEXT NOT NULL,"
    " region TEXT NOT NULL,"
    " object TEXT NOT NULL UNIQUE,"
    " one_shot INTEGER NOT NULL,"
    " outcome INTEGER NOT NULL,"
    " started_at INTEGER NOT NULL,"
    " ends_at INTEGER NOT NULL,"
    " traceparent TEXT,"
    " seq INTEGER NOT NULL,"
    " site INTEGER NOT NULL,"
    " status TEXT NOT NULL,"
    " recover_point_s INTEGER NOT NULL,"
    " rpo_s INTEGER NOT NULL,"
    " progress INTEGER NOT NULL,"
    " changed_at INTEGER NOT NULL,"
    " flags INTEGER NOT NULL"
    ") STRICT;",

    "ALTER TABLE command ADD COLUMN observed TEXT;",
};

const char store_sqlite_effect_index[] =
    "CREATE INDEX IF NOT EXISTS command_effect ON command (grp, received_at) WHERE status <> 1";
const char store_sqlite_no_effect_index[] = "DROP INDEX IF EXISTS command_effect";

#define COMMAND_PARAMS \
    "coalesce(c.params, iif(c.one_shot, '{\"OneShot\":true}', '{\"OneShot\":false}'))"
#define COMMAND_COLUMNS                                                                   \
    "c.id, c.state, c.action, c.region, c.grp, c.token, c.route, " COMMAND_PARAMS         \
    ", c.fingerprint,"                                                                    \
    " c.received_at, c.deadline_at, c.attempts, c.not_before, c.status, c.retention,"     \
    " c.request_id, c.code, c.error, c.completed_at, c.expires_at, c.crashes, c.history," \
    " c.observed "

#define WATCH_COLUMNS                                                                   \
    "id, token, action, route, region, object, one_shot, outcome, started_at, ends_at," \
    " traceparent, seq, site, status, recover_point_s, rpo_s, progress, changed_at, flags "

const char *const store_sqlite_statements[SQL_COUNT] = {
    [SQL_BEGIN] = "BEGIN IMMEDIATE",
    [SQL_COMMIT] = "COMMIT",
    [SQL_ROLLBACK] = "ROLLBACK",
    [SQL_FIND] = "SELECT " COMMAND_COLUMNS ", CASE WHEN c.state = 5 THEN 0 ELSE"
                 " (SELECT coalesce(max(place) + 1, 0) FROM reply_to WHERE command_id = c.id) END"
                 " FROM command c WHERE c.token = ?1",
    /* One that was not called has the success of another command. */
    [SQL_FIND_SUCCESS] =
        "SELECT " COMMAND_COLUMNS "FROM command c WHERE c.grp = ?3 AND c.status <> 1"
        " AND c.received_at >= ?2 AND c.status = 0 AND c.fingerprint = ?1 AND c.attempts > 0"
        " AND NOT EXISTS (SELECT 1 FROM command d WHERE d.grp = c.grp AND d.status <> 1"
        " AND d.received_at >= c.received_at AND d.action <> c.action AND d.attempts > 0)"
        " ORDER BY c.received_at DESC LIMIT 1",
    [SQL_INSERT] =
        "INSERT INTO command (id, token, state, action, region, grp, route, params,"
        " fingerprint, received_at, deadline_at, attempts, not_before, one_shot, history)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, 0, ?14)"
        " ON CONFLICT (token) DO NOTHING",
    [SQL_SET_STATE] = "UPDATE command SET state = ?2, attempts = ?3, not_before = ?4,"
                      " crashes = ?5, history = " STORE_SQLITE_APPEND "(history, ?6) WHERE id = ?1",
    [SQL_FINISH] = "UPDATE command SET state = 5, attempts = ?2, status = ?3, retention = ?4,"
                   " request_id = ?5, code = ?6, error = ?7, completed_at = ?8, expires_at = ?9,"
                   " history = " STORE_SQLITE_APPEND "(history, ?10), observed = ?11 WHERE id = ?1",
    [SQL_RETRY] = "UPDATE command SET state = ?2, deadline_at = ?3, not_before = 0, crashes = 0,"
                  " status = NULL, retention = NULL, request_id = NULL, code = NULL, error = NULL,"
                  " observed = NULL, completed_at = NULL, expires_at = NULL WHERE id = ?1",
    [SQL_SET_HISTORY] = "UPDATE command SET history = ?2 WHERE id = ?1",
    [SQL_ADD_HISTORY] = "UPDATE command SET history = " STORE_SQLITE_APPEND "(history, ?2)"
                        " WHERE id = ?1",
    [SQL_FORGET] = "DELETE FROM command WHERE id = ?1",
    [SQL_ADD_REPLY_TO] =
        "INSERT INTO reply_to (command_id, place, topic, correlation_data, correlation_id,"
        " traceparent, tracestate, has_body_trace, element)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, nullif(?9, 0))",
    [SQL_LIST_REPLY_TOS] =
        "SELECT topic, correlation_data, correlation_id, traceparent, tracestate,"
        " has_body_trace, coalesce(element, 0) FROM reply_to WHERE command_id = ?1 ORDER BY place",
    [SQL_REMOVE_REPLY_TOS] = "DELETE FROM reply_to WHERE command_id = ?1",
    [SQL_TURN_REPLY_TOS] = "UPDATE reply_to SET place = -1 - place WHERE command_id = ?1",
    [SQL_EXPIRE_REPLY_TOS] =
        "DELETE FROM reply_to WHERE command_id IN (SELECT id FROM (SELECT id, retention"
        " FROM command WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)"
        " WHERE retention IN (3, 6))",
    [SQL_POST] = "INSERT INTO outbox (id, message, command_id) VALUES (?1, ?2, ?3)",
    [SQL_NOTE_MESSAGE] = "UPDATE command SET history = " STORE_SQLITE_APPEND "(history, ?2)"
                         " WHERE id = (SELECT command_id FROM outbox WHERE id = ?1)",
    [SQL_FIND_MESSAGE] = "SELECT coalesce(command_id, 0) FROM outbox WHERE id = ?1",
    [SQL_UNPOST] = "DELETE FROM outbox WHERE id = ?1",
    [SQL_READ_OUTBOX] = "SELECT id, message FROM outbox WHERE id >= ?1 ORDER BY id LIMIT ?2",
    [SQL_ADD_AUDIT] = "INSERT INTO audit (seq, record) VALUES (?1, ?2)",
    [SQL_READ_AUDIT] = "SELECT seq, record FROM audit WHERE seq >= ?1 ORDER BY seq LIMIT ?2",
    [SQL_FORGET_AUDIT] = "DELETE FROM audit WHERE seq <= ?1",
    [SQL_LIST_ALL] = "SELECT " COMMAND_COLUMNS "FROM command c WHERE c.id > ?1"
                     " ORDER BY c.id LIMIT ?2",
    [SQL_LIST_UNFINISHED] =
        "SELECT " COMMAND_COLUMNS "FROM reply_to r CROSS JOIN command c ON c.id = r.command_id"
        " WHERE r.place = 0 AND c.state <> 5 AND r.command_id > ?1"
        " ORDER BY r.command_id LIMIT ?2",
    /* Few rows are read, so that a bridge has time for it. */
    [SQL_LIST_OUTCOMES] =
        "SELECT " COMMAND_COLUMNS "FROM command c WHERE c.id IN"
        " (SELECT id FROM command WHERE state = 5 AND id > ?1 AND id >="
        " (SELECT min(id) FROM (SELECT id FROM command ORDER BY id DESC LIMIT " TEXT_OF(
            STORE_RECENT_MAX) "))"
                              " ORDER BY completed_at DESC LIMIT ?2) ORDER BY c.completed_at DESC",
    [SQL_RESET_CALLS] = "UPDATE command SET state = 3, crashes = crashes + ?1,"
                        " history = " STORE_SQLITE_APPEND "(history, ?2) WHERE state IN (2, 4)"
                        " AND id IN (SELECT command_id FROM reply_to WHERE place = 0)",
    [SQL_COUNT_AFTER] = "SELECT count(*) FROM command WHERE id > ?1",
    [SQL_SUMMARISE] = "SELECT (SELECT count(*) FROM reply_to WHERE place > 0),"
                      " (SELECT count(*) FROM outbox),"
                      " (SELECT coalesce(sum(length(message)), 0) FROM outbox),"
                      " (SELECT coalesce(max(id), 0) FROM command),"
                      " (SELECT coalesce(max(id), 0) FROM outbox),"
                      " (SELECT coalesce(max(seq), 0) FROM audit),"
                      " (SELECT page_count * page_size FROM pragma_page_count, pragma_page_size)",
    [SQL_EXPIRE] = "DELETE FROM command WHERE id IN (SELECT id FROM command"
                   " WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
    [SQL_COUNT_FREE] = "SELECT freelist_count, page_count, auto_vacuum, page_size"
                       " FROM pragma_freelist_count, pragma_page_count, pragma_auto_vacuum,"
                       " pragma_page_size",
    [SQL_SHRINK] = "PRAGMA incremental_vacuum(" TEXT_OF(STORE_SQLITE_SHRINK_PAGES) ")",
    [SQL_SET_META] = "INSERT INTO meta (key, value) VALUES (?1, ?2)"
                     " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
    [SQL_GET_META] = "SELECT value FROM meta WHERE key = ?1",
    [SQL_UNSET_META] = "DELETE FROM meta WHERE key = ?1",
    [SQL_LIST_META] = "SELECT key, value FROM meta WHERE substr(key, 1, length(?1)) = ?1"
                      " ORDER BY key",
    [SQL_FIND_WATCH] = "SELECT " WATCH_COLUMNS "FROM watch WHERE object = ?1",
    [SQL_LIST_WATCHES] = "SELECT " WATCH_COLUMNS "FROM watch ORDER BY id",
    [SQL_PUT_WATCH] = "INSERT OR REPLACE INTO watch (" WATCH_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5,"
                      " ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)",
    [SQL_UPDATE_WATCH] = "UPDATE watch SET seq = ?3, site = ?4, status = ?5, recover_point_s = ?6,"
                         " rpo_s = ?7, progress = ?8, changed_at = ?9, flags = ?10"
                         " WHERE id = ?1 AND seq = ?2",
    [SQL_END_WATCH] = "DELETE FROM watch WHERE id = ?1 AND seq = ?2",
};
_Static_assert(OUTCOME_SUCCEEDED == 0 && OUTCOME_FAILED == 1,
               "a statement and an index name these by number");
_Static_assert(RETENTION_UNSURE == 3 && RETENTION_SET_ASIDE == 6,
               "a statement names these by number");
_Static_assert(STATE_CALLING == 2 && STATE_UNSURE == 3 && STATE_RECALLING == 4 && STATE_DONE == 5,
               "the statements name these states by number");

/* One value in each statement: only then SQLite finds a minimum or maximum without a scan. */
const char *const store_sqlite_probes[STORE_SQLITE_PROBES] = {
    "SELECT min(id) FROM command",
    "SELECT max(id) FROM command",
    "SELECT length(min(token)) FROM command",
    "SELECT length(max(token)) FROM command",
    "SELECT min(expires_at) FROM command WHERE expires_at IS NOT NULL",
    "SELECT max(expires_at) FROM command WHERE expires_at IS NOT NULL",
    "SELECT min(command_id) FROM reply_to",
    "SELECT max(command_id) FROM reply_to",
    "SELECT min(id) FROM outbox",
    "SELECT max(id) FROM outbox",
    "SELECT min(seq) FROM audit",
    "SELECT max(seq) FROM audit",
};

const char store_sqlite_new_pragmas[] = "PRAGMA auto_vacuum = INCREMENTAL";

/*
 * A small page cache (in KiB) is enough, since the kernel caches the file as well: with a million
 * records, 2 MiB and 512 KiB need the same CPU time for a command.
 */
const char store_sqlite_pragmas[] = "PRAGMA cache_size = -512;"
                                    "PRAGMA temp_store = MEMORY;"
                                    "PRAGMA mmap_size = 0;"
                                    "PRAGMA trusted_schema = OFF;"
                                    "PRAGMA cell_size_check = ON;"
                                    "PRAGMA journal_mode = WAL;"
                                    "PRAGMA wal_autocheckpoint = 1000;"
                                    "PRAGMA journal_size_limit = 16777216;";

const char *store_sqlite_durability(bool is_full)
{
    return is_full ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL";
}

enum status store_sqlite_check_version(const char *path, int64_t application_id, int64_t version,
                                       bool has_tables, struct buf *out_why)
{
    bool is_new = application_id == 0 && version == 0 && !has_tables;
    if (application_id != STORE_SQLITE_APPLICATION_ID && !is_new) {
        buf_printf(out_why,
                   "%s is a database of another program; name another file in ledger.store", path);
        return STATUS_INVALID;
    }
    if (version > STORE_SQLITE_VERSION) {
        buf_printf(out_why,
                   "the ledger %s has schema version %" PRId64
                   ", and this bridge knows versions up "
                   "to %d: install the newer bridge again, or name another file in ledger.store",
                   path, version, STORE_SQLITE_VERSION);
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

enum status store_sqlite_is_damaged(const char *error, struct buf *out_why)
{
    buf_printf(
        out_why,
        "the ledger cannot be used: %s; restore it from a backup or repair a copy of it with "
        "sqlite3's .recover. If you move it away, the bridge creates an empty ledger, which does "
        "not know any earlier command or token",
        error);
    return STATUS_INVALID;
}
