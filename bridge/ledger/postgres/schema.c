/*
 * A command is held by a run (`owner`: it is its group's head), or waits behind the head (`line`),
 * or is done. The index of heads allows one a group. `state` is in no index, so that a change of it
 * alone does not touch one. `seq` is the command's id, `claimed_by` the run that made the row.
 *
 * The first sender is in the command's row, the duplicates are in `waiter`. An outcome that is not
 * definite keeps both (`is_kept`), because an operator may order a retry.
 */
#include "schema.h"

#include "ledger/ledger.h"

#define TEXT_COLUMN " text COLLATE \"C\""

const char *const store_postgres_steps[STORE_POSTGRES_VERSION] = {
    "CREATE TABLE bridge ("
    " id bigint PRIMARY KEY,"
    " instance" TEXT_COLUMN " NOT NULL UNIQUE,"
    " session integer NOT NULL DEFAULT 0,"
    " n bigint NOT NULL DEFAULT 0,"
    " held bigint NOT NULL DEFAULT 0,"
    " lease_ms integer NOT NULL,"
    " place text NOT NULL"
    ") WITH (fillfactor = 50);"
    /* The last transaction of each run: what a run asks that lost its connection in a commit. */
    "CREATE TABLE step (run bigint PRIMARY KEY, n bigint NOT NULL) WITH (fillfactor = 10);"
    "CREATE TABLE command ("
    " token" TEXT_COLUMN " PRIMARY KEY,"
    " owner bigint,"
    " line bigint,"
    " seq bigint NOT NULL,"
    " claimed_by bigint NOT NULL,"
    " received_at bigint NOT NULL,"
    " deadline_at bigint NOT NULL,"
    " not_before bigint NOT NULL DEFAULT 0,"
    " due_at bigint NOT NULL," /* waiting: its deadline; done: when it is forgotten */
    " completed_at bigint,"
    " attempts integer NOT NULL DEFAULT 0,"
    " state smallint NOT NULL,"
    " status smallint,"
    " retention smallint,"
    " crashes integer NOT NULL DEFAULT 0,"
    " has_waiters boolean NOT NULL DEFAULT false,"
    " has_body_trace boolean NOT NULL DEFAULT false,"
    " element bigint,"
    " action" TEXT_COLUMN " NOT NULL,"
    " region" TEXT_COLUMN " NOT NULL,"
    " grp" TEXT_COLUMN " NOT NULL,"
    " route" TEXT_COLUMN " NOT NULL,"
    " params" TEXT_COLUMN " NOT NULL,"
    " fingerprint bytea NOT NULL,"
    " topic" TEXT_COLUMN ","
    " correlation_data bytea,"
    " correlation_id" TEXT_COLUMN ","
    " traceparent" TEXT_COLUMN ","
    " tracestate" TEXT_COLUMN ","
    " request_id" TEXT_COLUMN ","
    " code" TEXT_COLUMN ","
    " error" TEXT_COLUMN ","
    " observed" TEXT_COLUMN ","
    " history bytea"
    ") WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02,"
    " autovacuum_vacuum_insert_scale_factor = 0.05);"
    "CREATE UNIQUE INDEX command_head ON command (grp) WHERE owner IS NOT NULL;"
    "CREATE INDEX command_line ON command (grp, line) WHERE line IS NOT NULL;"
    "CREATE INDEX command_due ON command (due_at) WHERE owner IS NULL;"
    "CREATE INDEX command_seq ON command (seq);"
    "CREATE TABLE waiter ("
    " token" TEXT_COLUMN ","
    " bridge bigint,"
    " n bigint,"
    " topic" TEXT_COLUMN ","
    " correlation_data bytea,"
    " correlation_id" TEXT_COLUMN ","
    " traceparent" TEXT_COLUMN ","
    " tracestate" TEXT_COLUMN ","
    " has_body_trace boolean NOT NULL,"
    " element bigint,"
    " is_kept boolean NOT NULL DEFAULT false,"
    " PRIMARY KEY (token, bridge, n)"
    ");"
    "CREATE TABLE outbox ("
    " owner bigint,"
    " id bigint,"
    " message bytea NOT NULL,"
    " token" TEXT_COLUMN "," /* of the command to which it belongs, for its history */
    " PRIMARY KEY (owner, id)"
    ") WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);"
    "ALTER TABLE outbox ALTER COLUMN message SET STORAGE EXTERNAL;"
    "CREATE TABLE meta ("
    " instance" TEXT_COLUMN ","
    " key" TEXT_COLUMN ","
    " value bigint NOT NULL,"
    " PRIMARY KEY (instance, key)"
    ");"
    "CREATE TABLE audit ("
    " instance" TEXT_COLUMN ","
    " seq bigint,"
    " record bytea NOT NULL,"
    " PRIMARY KEY (instance, seq)"
    ");"
    /* Times are those of the API's clock, in ms. */
    "CREATE TABLE watch ("
    " object" TEXT_COLUMN " PRIMARY KEY,"
    " id bigint NOT NULL,"
    " token" TEXT_COLUMN " NOT NULL,"
    " action" TEXT_COLUMN " NOT NULL,"
    " route" TEXT_COLUMN " NOT NULL,"
    " region" TEXT_COLUMN " NOT NULL,"
    " one_shot boolean NOT NULL,"
    " outcome smallint NOT NULL,"
    " started_at bigint NOT NULL,"
    " ends_at bigint NOT NULL,"
    " traceparent" TEXT_COLUMN ","
    " seq bigint NOT NULL,"
    " site smallint NOT NULL,"
    " status" TEXT_COLUMN " NOT NULL,"
    " recover_point_s bigint NOT NULL,"
    " rpo_s bigint NOT NULL,"
    " progress integer NOT NULL,"
    " changed_at bigint NOT NULL,"
    " flags bigint NOT NULL"
    ");"
    "CREATE INDEX watch_id ON watch (id);"
    /* The run that reads the groups of a region, as long as it is registered; 0: none does so far.
     * A run that begins a watch where it is not the owner counts `changes` up in the same
     * transaction. */
    "CREATE TABLE poller ("
    " region" TEXT_COLUMN " PRIMARY KEY,"
    " owner bigint NOT NULL,"
    " changes bigint NOT NULL DEFAULT 0"
    ") WITH (fillfactor = 50);"
    /* The rate of calls in a region, on the server's clock in us: up to free_at its tokens are
     * taken. */
    "CREATE TABLE allowance ("
    " region" TEXT_COLUMN " PRIMARY KEY,"
    " free_at bigint NOT NULL,"
    " granted bigint NOT NULL DEFAULT 0,"
    " slow_step bigint NOT NULL DEFAULT 0," /* of a token, after the last throttling */
    " slowed_at bigint NOT NULL DEFAULT 0,"
    " paused_until bigint NOT NULL DEFAULT 0"
    ") WITH (fillfactor = 50);",
};

#define NAME(name)      ", " #name
#define COMMAND_COLUMNS "token" POSTGRES_COMMAND_COLUMNS(NAME)
#define WATCH_COLUMNS   "object" POSTGRES_WATCH_COLUMNS(NAME)
#define REPLY_TO \
    "topic, correlation_data, correlation_id, traceparent, tracestate, has_body_trace, element"

/* $1 token, $2 run, $3 seq, $4 received_at, $5 deadline_at, $6 not_before, $7 attempts, $8 state,
 * then the rest in this order; $22 the history. */
#define CLAIM_COLUMNS                                                                    \
    "token, owner, line, seq, claimed_by, received_at, deadline_at, due_at, not_before," \
    " attempts, state, action, region, grp, route, params, fingerprint, " REPLY_TO ", history"
#define CLAIM_VALUES                                                                             \
    "$3, $2, $4, $5, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20," \
    " $21, $22) ON CONFLICT DO NOTHING"
#define INSERT_HEAD "INSERT INTO command (" CLAIM_COLUMNS ") VALUES ($1, $2, NULL, " CLAIM_VALUES

/* $1 token, $2 run, $3 attempts, then the columns in this order; $11 events, $12 whether the
 * senders are kept, $13 what was observed. */
#define FINISH                                                                             \
    "UPDATE command SET state = 5, owner = NULL, line = NULL, attempts = $3, status = $4," \
    " retention = $5,"                                                                     \
    " request_id = $6, code = $7, error = $8, completed_at = $9, due_at = $10,"            \
    " observed = $13,"                                                                     \
    " history = " APPEND(                                                                  \
        "$11") ", has_waiters = false,"                                                    \
               " topic = CASE WHEN $12::boolean THEN topic END,"                           \
               " correlation_data = CASE WHEN $12::boolean THEN correlation_data END,"     \
               " correlation_id = CASE WHEN $12::boolean THEN correlation_id END,"         \
               " traceparent = CASE WHEN $12::boolean THEN traceparent END,"               \
               " tracestate = CASE WHEN $12::boolean THEN tracestate END"                  \
               " WHERE token = $1 AND owner IS NOT DISTINCT FROM $2::bigint"
#define APPEND(events) "coalesce(history, ''::bytea) || coalesce(" events "::bytea, ''::bytea)"

/* A command to be shown, and the instance that holds it; NULL where none does. */
#define SHOWN_COLUMNS COMMAND_COLUMNS ", (SELECT b.instance FROM bridge b WHERE b.id = owner)"
/* A command that this run gets, and how many duplicates wait for it. */
#define HELD_COLUMNS                                                                             \
    COMMAND_COLUMNS                                                                              \
    ", CASE WHEN has_waiters THEN (SELECT count(*) FROM waiter w WHERE w.token = command.token)" \
    " ELSE 0 END"

const char store_postgres_effect_index[] =
    "SET statement_timeout = 0;"
    "CREATE INDEX IF NOT EXISTS command_effect ON command (grp, received_at) WHERE status <> 1;"
    "SET statement_timeout = '5s'";

/* The run $3 reads the groups of the watch's region. */
#define IS_POLLER "EXISTS (SELECT 1 FROM poller p WHERE p.region = watch.region AND p.owner = $3)"

#define UNFINISHED(condition) \
    "SELECT " SHOWN_COLUMNS " FROM command WHERE " condition " AND seq > $1"

/* The tokens that are there: at most those of a burst. A time in the future is that of a server
 * whose clock was ahead. */
#define TOKENS_FROM "least(greatest(a.free_at, $2 - $4 * $3), $2)"
#define TOKENS \
    "CASE WHEN a.paused_until > $2 THEN 0 ELSE least($5, ($2 - " TOKENS_FROM ") / $3) END"
#define RATE_COLUMNS "granted, free_at, slow_step, slowed_at, paused_until"

const struct store_postgres_text store_postgres_statements[PG_STATEMENT_COUNT] = {
    [PG_GUARD] = {"guard", "SELECT 1 / count(*) FROM (SELECT 1 FROM bridge"
                           " WHERE id = $1 AND session = $2 FOR KEY SHARE) g"},
    [PG_SET_STEP] = {"set_step", "INSERT INTO step VALUES ($1, $2)"
                                 " ON CONFLICT (run) DO UPDATE SET n = excluded.n"},
    [PG_GET_STEP] = {"get_step", "SELECT n FROM step WHERE run = $1"},
    [PG_INSERT] = {"insert", INSERT_HEAD},
    [PG_INSERT_REPLYING] = {"insert_replying",
                            "WITH c AS (" INSERT_HEAD " RETURNING token)"
                            " INSERT INTO outbox SELECT $2, $23, $24, token FROM c"},
    [PG_LINE_UP] = {"line_up",
                    "INSERT INTO command (" CLAIM_COLUMNS ") VALUES ($1, NULL, $3, " CLAIM_VALUES},
    [PG_BEGIN_AGAIN] =
        {"begin_again",
         "UPDATE command SET owner = CASE WHEN $23::boolean THEN $2::bigint END,"
         " line = CASE WHEN NOT $23::boolean THEN $3::bigint END, seq = $3, claimed_by = $2,"
         " received_at = $4, deadline_at = $5, due_at = $5, not_before = $6, attempts = $7,"
         " state = $8, action = $9, region = $10, grp = $11, route = $12, params = $13,"
         " fingerprint = $14, topic = $15, correlation_data = $16, correlation_id = $17,"
         " traceparent = $18, tracestate = $19, has_body_trace = $20, element = $21,"
         " history = $22, crashes = 0, has_waiters = false, status = NULL, retention = NULL,"
         " request_id = NULL, code = NULL, error = NULL, observed = NULL, completed_at = NULL"
         " WHERE token = $1"},
    [PG_RETRY] =
        {"retry",
         "UPDATE command SET owner = CASE WHEN $5::boolean THEN $2::bigint END,"
         " line = CASE WHEN NOT $5::boolean THEN seq END, state = $3, deadline_at = $4,"
         " due_at = $4, not_before = 0, crashes = 0, history = $6, status = NULL,"
         " retention = NULL, request_id = NULL, code = NULL, error = NULL,"
         " observed = NULL, completed_at = NULL, has_waiters = EXISTS (SELECT 1 FROM waiter w"
         " WHERE w.token = $1) WHERE token = $1"},
    [PG_LOCK_HEAD] = {"lock_head", "SELECT token, owner FROM command WHERE grp = $1"
                                   " AND owner IS NOT NULL FOR NO KEY UPDATE"},
    [PG_LOCK_ROW] = {"lock_row",
                     "SELECT " COMMAND_COLUMNS " FROM command WHERE token = $1 FOR NO KEY UPDATE"},
    [PG_COUNT_WAITERS] = {"count_waiters", "SELECT count(*) FROM waiter WHERE token = $1"},
    [PG_SET_WAITERS] = {"set_waiters", "UPDATE command SET has_waiters = true, history = $2"
                                       " WHERE token = $1"},
    [PG_ADD_WAITER] = {"add_waiter", "INSERT INTO waiter (token, bridge, n, " REPLY_TO ") VALUES"
                                     " ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
                                     " ON CONFLICT DO NOTHING"},
    [PG_RESTORE_WAITER] = {"restore_waiter",
                           "WITH c AS (UPDATE command SET has_waiters = true WHERE token = $1"
                           " AND owner IS NOT DISTINCT FROM $2::bigint RETURNING token)"
                           " INSERT INTO waiter (token, bridge, n, " REPLY_TO ")"
                           " SELECT token, $2, $3, $4, $5, $6, $7, $8, $9, $10 FROM c"
                           " ON CONFLICT DO NOTHING"},
    [PG_LIST_WAITERS] = {"list_waiters", "SELECT " REPLY_TO ", bridge FROM waiter"
                                         " WHERE token = $1 ORDER BY n, bridge"},
    [PG_KEEP_WAITERS] = {"keep_waiters", "UPDATE waiter SET is_kept = $2::boolean"
                                         " WHERE token = $1"},
    [PG_REMOVE_WAITERS] = {"remove_waiters", "DELETE FROM waiter WHERE token = $1"},
    [PG_FINISH] = {"finish", FINISH " AND NOT has_waiters"},
    [PG_FINISH_REPLYING] = {"finish_replying",
                            "WITH f AS (" FINISH " AND NOT has_waiters RETURNING token)"
                            " INSERT INTO outbox SELECT $2, $14, $15, token FROM f"},
    [PG_FINISH_ALL] = {"finish_all", FINISH},
    [PG_PROMOTE] = {"promote",
                    "UPDATE command SET owner = $1, line = NULL WHERE token = (SELECT w.token"
                    " FROM command w WHERE w.grp = $2 AND w.line IS NOT NULL ORDER BY w.line"
                    " LIMIT 1) AND coalesce(owner, 0) = 0 AND NOT EXISTS (SELECT 1 FROM command h"
                    " WHERE h.grp = $2 AND h.owner IS NOT NULL) RETURNING " HELD_COLUMNS},
    [PG_SET_STATE] =
        {"set_state",
         "UPDATE command SET state = $3, attempts = $4, not_before = $5, crashes = $6,"
         " history = " APPEND(
             "$7") " WHERE token = $1"
                   " AND owner IS NOT DISTINCT FROM $2::bigint RETURNING octet_length(history)"},
    [PG_ADD_HISTORY] = {"add_history",
                        "UPDATE command SET history = " APPEND(
                            "$2") " WHERE token = $1 RETURNING octet_length(history)"},
    [PG_SET_HISTORY] = {"set_history", "UPDATE command SET history = $2 WHERE token = $1"},
    [PG_POST] = {"post", "INSERT INTO outbox VALUES ($1, $2, $3, $4)"},
    [PG_POST_FOR] = {"post_for", "INSERT INTO outbox VALUES ($1, $2, $3, (SELECT o.token"
                                 " FROM outbox o WHERE o.owner = $1 AND o.id = $4))"},
    [PG_UNPOST] = {"unpost",
                   "WITH d AS (DELETE FROM outbox WHERE owner = $1 AND id = $2"
                   " RETURNING token), h AS (UPDATE command SET history = " APPEND(
                       "$3") " WHERE token = (SELECT d.token FROM d)) SELECT token FROM d"},
    [PG_READ_OUTBOX] = {"read_outbox", "SELECT id, message FROM outbox WHERE owner = $1"
                                       " AND id >= $2 AND NOT id = ANY ($4::bigint[])"
                                       " ORDER BY id LIMIT $3"},
    [PG_ADD_AUDIT] = {"add_audit", "INSERT INTO audit VALUES ($1, $2, $3)"},
    [PG_READ_AUDIT] = {"read_audit", "SELECT seq, record FROM audit WHERE instance = $1"
                                     " AND seq >= $2 ORDER BY seq LIMIT $3"},
    [PG_FORGET_AUDIT] = {"forget_audit", "DELETE FROM audit WHERE instance = $1 AND seq <= $2"},
    [PG_SET_META] = {"set_meta", "INSERT INTO meta VALUES ($1, $2, $3) ON CONFLICT (instance, key)"
                                 " DO UPDATE SET value = excluded.value"},
    [PG_GET_META] = {"get_meta", "SELECT value FROM meta WHERE instance = $1 AND key = $2"},
    [PG_UNSET_META] = {"unset_meta", "DELETE FROM meta WHERE instance = $1 AND key = $2"},
    [PG_LIST_META] = {"list_meta", "SELECT key, value FROM meta WHERE instance = $1"
                                   " AND key >= $2 AND starts_with(key, $2) ORDER BY key"},
    [PG_LIST_OTHER_RATES] = {"list_other_rates",
                             "SELECT o.instance, o.value FROM bridge b JOIN meta o"
                             " ON o.instance = b.instance AND o.key = $2 JOIN meta m"
                             " ON m.instance = $1 AND m.key = $2 AND m.value <> o.value"},
    [PG_FIND_WATCH] = {"find_watch", "SELECT " WATCH_COLUMNS " FROM watch WHERE object = $1"},
    [PG_LOCK_WATCH] = {"lock_watch",
                       "SELECT " WATCH_COLUMNS " FROM watch WHERE object = $1 FOR UPDATE"},
    [PG_LIST_WATCHES] = {"list_watches", "SELECT " WATCH_COLUMNS " FROM watch ORDER BY id"},
    [PG_REMOVE_WATCH] = {"remove_watch", "DELETE FROM watch WHERE object = $1"},
    [PG_PUT_WATCH] = {"put_watch", "INSERT INTO watch (" WATCH_COLUMNS ") VALUES ($1, $2, $3, $4,"
                                   " $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,"
                                   " $18, $19)"},
    [PG_UPDATE_WATCH] = {"update_watch",
                         "UPDATE watch SET seq = $4, site = $5, status = $6, recover_point_s = $7,"
                         " rpo_s = $8, progress = $9, changed_at = $10, flags = $11"
                         " WHERE id = $1 AND seq = $2 AND " IS_POLLER},
    [PG_END_WATCH] = {"end_watch", "DELETE FROM watch WHERE id = $1 AND seq = $2 AND " IS_POLLER},
    [PG_COUNT_WATCHES] = {"count_watches", "SELECT count(*) FROM (SELECT 1 FROM watch LIMIT $1) w"},
    [PG_ADD_POLLERS] = {"add_pollers", "INSERT INTO poller (region, owner) SELECT DISTINCT region,"
                                       " 0 FROM watch ON CONFLICT DO NOTHING"},
    [PG_NOTE_WATCH] = {"note_watch",
                       "INSERT INTO poller AS p (region, owner) VALUES ($1, $2)"
                       " ON CONFLICT (region) DO UPDATE SET changes ="
                       " p.changes + (p.owner <> excluded.owner)::integer RETURNING owner"},
    [PG_LIST_LOST_POLLERS] = {"list_lost_pollers",
                              "SELECT DISTINCT p.owner FROM poller p WHERE NOT EXISTS"
                              " (SELECT 1 FROM bridge b WHERE b.id = p.owner)"},
    [PG_TAKE_POLLERS] = {"take_pollers", "UPDATE poller SET owner = $1"
                                         " WHERE owner = ANY ($2::bigint[])"},
    [PG_LIST_POLLED] = {"list_polled", "SELECT region, changes FROM poller WHERE owner = $1"
                                       " ORDER BY region"},
    [PG_SUM_CHANGES] = {"sum_changes", "SELECT coalesce(sum(changes), 0)::bigint FROM poller"
                                       " WHERE owner = $1"},
    [PG_LIST_REGION_WATCHES] = {"list_region_watches", "SELECT " WATCH_COLUMNS " FROM watch"
                                                       " WHERE region = $1 ORDER BY id"},
    [PG_FIND] = {"find", "SELECT " SHOWN_COLUMNS " FROM command WHERE token = $1"},
    /* One that was not called has the success of another command. */
    [PG_FIND_SUCCESS] =
        {"find_success",
         "SELECT " SHOWN_COLUMNS " FROM command c WHERE c.grp = $3 AND c.status <> 1"
         " AND c.received_at >= $2 AND c.status = 0 AND c.fingerprint = $1 AND c.attempts > 0"
         " AND NOT EXISTS (SELECT 1 FROM command d WHERE d.grp = c.grp AND d.status <> 1"
         " AND d.received_at >= c.received_at AND d.action <> c.action AND d.attempts > 0)"
         " ORDER BY c.received_at DESC LIMIT 1"},
    [PG_LIST_ALL] = {"list_all", "SELECT " SHOWN_COLUMNS " FROM command WHERE seq > $1"
                                 " ORDER BY seq LIMIT $2"},
    [PG_LIST_UNFINISHED] = {"list_unfinished",
                            UNFINISHED("owner IS NOT NULL") " UNION ALL " UNFINISHED(
                                "line IS NOT NULL") " ORDER BY seq LIMIT $2"},
    [PG_LIST_OUTCOMES] = {"list_outcomes",
                          "SELECT " SHOWN_COLUMNS " FROM (SELECT * FROM command WHERE seq > $1"
                          " ORDER BY seq DESC LIMIT 1000) c WHERE state = 5"
                          " ORDER BY completed_at DESC LIMIT $2"},
    /* All of a large table are not counted: that would take longer than a start may. */
    [PG_COUNT_AFTER] = {"count_after",
                        "SELECT CASE WHEN $1::bigint = 0 AND c.reltuples > 1000000"
                        " THEN c.reltuples::bigint ELSE (SELECT count(*) FROM (SELECT 1"
                        " FROM command WHERE seq > $1::bigint LIMIT 10000000) n) END"
                        " FROM pg_class c WHERE c.oid = 'command'::regclass"},
    [PG_SUMMARISE] = {"summarise",
                      "SELECT (SELECT count(*) FROM waiter w JOIN command c USING (token)"
                      " WHERE NOT w.is_kept AND ($1::bigint = 0 OR c.owner = $1::bigint)),"
                      " count(*), coalesce(sum(octet_length(message)), 0)::bigint,"
                      " (SELECT coalesce(max(seq), 0) FROM command), coalesce(max(id), 0),"
                      " (SELECT coalesce(max(seq), 0) FROM audit WHERE instance = $2),"
                      " pg_total_relation_size('command')"
                      " FROM outbox WHERE $1::bigint = 0 OR owner = $1::bigint"},
    [PG_REGISTER] = {"register", "INSERT INTO bridge (id, instance, lease_ms, place)"
                                 " VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING"},
    [PG_FIND_BRIDGE] = {"find_bridge",
                        "SELECT id, place, n, lease_ms FROM bridge WHERE instance = $1"},
    [PG_REMOVE_BRIDGE] = {"remove_bridge", "DELETE FROM bridge WHERE id = $1"},
    [PG_REMOVE_STEP] = {"remove_step",
                        "WITH l AS (DELETE FROM meta WHERE key = '" LEDGER_ADOPTER_KEY
                        "' AND value = $1) DELETE FROM step WHERE run = $1"},
    [PG_RECONNECT] = {"reconnect", "UPDATE bridge SET session = session + 1"
                                   " WHERE id = (SELECT id FROM bridge WHERE id = $1 FOR UPDATE)"
                                   " RETURNING session"},
    [PG_OWN_HEADS] = {"own_heads", "SELECT " HELD_COLUMNS " FROM command WHERE owner = $1"
                                   " ORDER BY seq"},
    [PG_TAKE_HEADS] = {"take_heads", "UPDATE command SET owner = $1 WHERE owner = $2"},
    [PG_TAKE_OUTBOX] = {"take_outbox", "UPDATE outbox SET owner = $1 WHERE owner = $2"},
    [PG_HEARTBEAT] = {"heartbeat", "UPDATE bridge SET n = n + 1, held = $2 WHERE id = $1"},
    [PG_GET_CLOCK] = {"get_clock", "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint"},
    [PG_COUNT_LINE] = {"count_line", "SELECT count(*), coalesce(min(due_at), 0) FROM (SELECT due_at"
                                     " FROM command WHERE line IS NOT NULL LIMIT $1) s"},
    [PG_LIST_BRIDGES] = {"list_bridges", "SELECT id, n, lease_ms, held FROM bridge"},
    [PG_EXPEL] = {"expel", "DELETE FROM bridge WHERE id = $1 AND n = $2"},
    [PG_RESET_CALLS] = {"reset_calls",
                        "UPDATE command SET state = 3, crashes = crashes + $2,"
                        " history = " APPEND("$3") " WHERE owner = $1 AND state IN (2, 4)"},
    /* The owners of messages one by one, from one to the next in the index. */
    [PG_LIST_DEAD] = {"list_dead",
                      "WITH RECURSIVE o AS (SELECT min(owner) AS owner FROM outbox UNION ALL"
                      " SELECT (SELECT min(x.owner) FROM outbox x WHERE x.owner > o.owner) FROM o"
                      " WHERE o.owner IS NOT NULL)"
                      " SELECT c.owner FROM command c WHERE c.owner IS NOT NULL"
                      " AND NOT EXISTS (SELECT 1 FROM bridge b WHERE b.id = c.owner) UNION"
                      " SELECT o.owner FROM o WHERE o.owner IS NOT NULL"
                      " AND NOT EXISTS (SELECT 1 FROM bridge b WHERE b.id = o.owner)"},
    [PG_ADOPT] = {"adopt", "UPDATE command SET owner = $1 WHERE token = ANY (ARRAY (SELECT token"
                           " FROM command WHERE owner = ANY ($2::bigint[])"
                           " AND (route = ANY ($3::text[]) OR deadline_at <= $4)"
                           " ORDER BY grp LIMIT 500"
                           " FOR UPDATE SKIP LOCKED)) RETURNING " HELD_COLUMNS},
    [PG_ADOPT_OUTBOX] =
        {"adopt_outbox",
         "WITH d AS (SELECT owner, id FROM outbox WHERE owner = ANY ($2::bigint[])"
         " ORDER BY owner, id LIMIT 256 FOR UPDATE SKIP LOCKED),"
         " k AS (SELECT owner, id, row_number() OVER (ORDER BY owner, id) - 1 AS n FROM d),"
         " u AS (UPDATE outbox o SET owner = $1, id = $3 + k.n FROM k"
         " WHERE o.owner = k.owner AND o.id = k.id RETURNING o.id, o.message)"
         " SELECT id, message FROM u ORDER BY id"},
    [PG_LIST_LEFT] = {"list_left", "SELECT route, count(*) FROM command"
                                   " WHERE owner = ANY ($1::bigint[])"
                                   " AND NOT route = ANY ($2::text[]) GROUP BY route"},
    [PG_LIST_OVERDUE] = {"list_overdue", "SELECT token, grp FROM command WHERE line IS NOT NULL"
                                         " AND due_at <= $1 ORDER BY due_at LIMIT $2"},
    /* A subquery with one value looks into the index for each group. NOT EXISTS would be a join,
     * which reads all heads for each group where the statistics are those of an idle moment. */
    [PG_LIST_HEADLESS] =
        {"list_headless",
         "SELECT c.grp FROM (SELECT DISTINCT grp FROM command WHERE line IS NOT NULL) c"
         " WHERE (SELECT h.owner FROM command h WHERE h.grp = c.grp AND h.owner IS NOT NULL)"
         " IS NULL LIMIT $1"},
    [PG_GRANT] = {"grant_tokens",
                  "INSERT INTO allowance AS a (region, granted, free_at) VALUES ($1,"
                  " least($5::bigint, $4::bigint),"
                  " $2::bigint - ($4 - least($5, $4)) * $3::bigint)"
                  " ON CONFLICT (region) DO UPDATE SET granted = " TOKENS ", free_at = " TOKENS_FROM
                  " + $3 * " TOKENS " RETURNING " RATE_COLUMNS},
    [PG_SLOW] = {"slow_down",
                 "INSERT INTO allowance AS a (region, free_at, slow_step, slowed_at, paused_until)"
                 " VALUES ($1, $2::bigint, $3::bigint, $2, $2 + $4::bigint)"
                 " ON CONFLICT (region) DO UPDATE SET granted = 0,"
                 " slow_step = CASE WHEN a.slowed_at <= $2 - 1000000 THEN $3 ELSE a.slow_step END,"
                 " slowed_at = CASE WHEN a.slowed_at <= $2 - 1000000 THEN $2 ELSE a.slowed_at END,"
                 " paused_until = greatest(a.paused_until, $2 + $4) RETURNING " RATE_COLUMNS},
    /* In a statement of its own: one that has waited for a lock does not see the runs that have
     * begun since, and would take the lease from one of them. */
    [PG_DROP_SESSIONS_LEASE] = {"drop_sessions_lease",
                                "DELETE FROM meta m WHERE m.instance = $1 AND m.key = $2"
                                " AND NOT EXISTS (SELECT 1 FROM bridge h WHERE h.id = m.value)"},
    /* The lock makes an expulsion wait, which then finds the lease and deletes it. */
    [PG_LEASE_SESSIONS] =
        {"lease_sessions",
         "INSERT INTO meta SELECT $1::text, $2::text, b.id FROM bridge b WHERE b.id = $3"
         " FOR KEY SHARE ON CONFLICT DO NOTHING"},
    [PG_LIST_ABSENT] =
        {"list_absent",
         "SELECT m.instance, m.key, m.value, m.value FROM meta m WHERE m.key = $1"
         " AND m.value = $2 UNION ALL SELECT m.instance, m.key, m.value, coalesce(l.value, 0) FROM "
         "meta m"
         " LEFT JOIN meta l ON l.instance = m.instance AND l.key = $1"
         " WHERE (starts_with(m.key, '" LEDGER_SESSION_PREFIX
         "') OR starts_with(m.key, '" LEDGER_FILTER_PREFIX "'))"
         " AND NOT EXISTS (SELECT 1 FROM bridge b WHERE b.instance = m.instance)"
         " AND NOT EXISTS (SELECT 1 FROM bridge h WHERE h.id = l.value AND h.id <> $2)"
         " ORDER BY 1, 2"},
    [PG_EXPIRE] = {"expire",
                   "WITH e AS (DELETE FROM command WHERE token = ANY (ARRAY (SELECT token"
                   " FROM command WHERE owner IS NULL AND due_at <= $1 AND state = 5"
                   " ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED)) RETURNING token), w AS"
                   " (DELETE FROM waiter WHERE token = ANY (ARRAY (SELECT token FROM e)))"
                   " SELECT count(*), pg_total_relation_size('command') FROM e"},
};
