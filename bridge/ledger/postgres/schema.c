/*
 * A command is held by a run (`owner`: it is its group's head), or waits behind the head (`line`),
 * or is done. The index of heads allows one a group. `state` is in no index, so that a change of it
 * alone does not touch one.
 */
#include "schema.h"

#define TEXT_COLUMN " text COLLATE \"C\""

const char *const store_postgres_steps[STORE_POSTGRES_VERSION] = {
    "CREATE TABLE bridge ("
    " id bigint PRIMARY KEY,"
    " instance" TEXT_COLUMN " NOT NULL UNIQUE,"
    " session integer NOT NULL DEFAULT 0,"
    " n bigint NOT NULL DEFAULT 0,"
    " held bigint NOT NULL DEFAULT 0,"
    " joined bigint NOT NULL DEFAULT 0,"
    " lease_ms integer NOT NULL,"
    " place text NOT NULL"
    ") WITH (fillfactor = 50);"
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
    " element integer,"
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
    " history bytea"
    ") WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02,"
    " autovacuum_vacuum_insert_scale_factor = 0.05);"
    "CREATE UNIQUE INDEX command_head ON command (grp) WHERE owner IS NOT NULL;"
    "CREATE INDEX command_line ON command (grp, line) WHERE line IS NOT NULL;"
    "CREATE INDEX command_due ON command (due_at) WHERE owner IS NULL;"
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
    " element integer,"
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
    ");",
};

#define COMMAND_COLUMNS                                                                        \
    "token, owner, line, seq, claimed_by, received_at, deadline_at, not_before, due_at,"       \
    " completed_at, attempts, state, status, retention, crashes, has_waiters, has_body_trace," \
    " element, action, region, grp, route, params, fingerprint, topic, correlation_data,"      \
    " correlation_id, traceparent, tracestate, request_id, code, error, history"

#define CLAIM_COLUMNS                                                                         \
    "token, owner, line, seq, claimed_by, received_at, deadline_at, due_at, attempts, state," \
    " action, region, grp, route, params, fingerprint, topic, correlation_data,"              \
    " correlation_id, traceparent, tracestate, has_body_trace, element, history"
/* $1 token, $2 run, $3 seq, $4 received_at, $5 deadline_at, $6 attempts, $7 state, then the rest */
#define CLAIM_VALUES                                                                        \
    "$3, $2, $4, $5, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19," \
    " $20, $21) ON CONFLICT DO NOTHING"

#define FINISH                                                                                \
    "UPDATE command SET state = 5, owner = NULL, attempts = $3, status = $4, retention = $5," \
    " request_id = $6, code = $7, error = $8, completed_at = $9, due_at = $10, crashes = 0,"  \
    " has_waiters = false, topic = NULL, correlation_data = NULL, correlation_id = NULL,"     \
    " traceparent = NULL, tracestate = NULL, history = $11"                                   \
    " WHERE token = $1 AND owner IS NOT DISTINCT FROM $2"

const struct store_postgres_text store_postgres_statements[PG_STATEMENT_COUNT] = {
    [PG_GUARD] = {"guard", "SELECT 1 / count(*) FROM (SELECT 1 FROM bridge"
                           " WHERE id = $1 AND session = $2 FOR KEY SHARE) g"},
    [PG_INSERT] = {"insert",
                   "INSERT INTO command (" CLAIM_COLUMNS ") VALUES ($1, $2, NULL, " CLAIM_VALUES},
    [PG_LINE_UP] = {"line_up",
                    "INSERT INTO command (" CLAIM_COLUMNS ") VALUES ($1, NULL, $3, " CLAIM_VALUES},
    [PG_LOCK_HEAD] = {"lock_head", "SELECT token FROM command WHERE grp = $1"
                                   " AND owner IS NOT NULL FOR NO KEY UPDATE"},
    [PG_LOCK_ROW] = {"lock_row",
                     "SELECT " COMMAND_COLUMNS " FROM command WHERE token = $1 FOR NO KEY UPDATE"},
    [PG_COUNT_WAITERS] = {"count_waiters", "SELECT count(*) FROM waiter WHERE token = $1"},
    [PG_SET_WAITERS] = {"set_waiters", "UPDATE command SET has_waiters = true WHERE token = $1"},
    [PG_ADD_WAITER] = {"add_waiter", "INSERT INTO waiter VALUES ($1, $2, $3, $4, $5, $6, $7, $8,"
                                     " $9, $10) ON CONFLICT DO NOTHING"},
    [PG_SET_JOINED] = {"set_joined",
                       "UPDATE bridge SET joined = greatest(joined, $2) WHERE id = $1"},
    [PG_FINISH] = {"finish", FINISH " AND NOT has_waiters"},
    [PG_FINISH_ALL] = {"finish_all", FINISH},
    [PG_TAKE_WAITERS] = {"take_waiters",
                         "DELETE FROM waiter WHERE token = $1 RETURNING topic, correlation_data,"
                         " correlation_id, traceparent, tracestate, has_body_trace, element"},
    [PG_PROMOTE] = {"promote",
                    "UPDATE command SET owner = $1, line = NULL WHERE token = (SELECT w.token"
                    " FROM command w WHERE w.grp = $2 AND w.line IS NOT NULL ORDER BY w.line"
                    " LIMIT 1) AND coalesce(owner, 0) = 0 AND NOT EXISTS (SELECT 1 FROM command h"
                    " WHERE h.grp = $2 AND h.owner IS NOT NULL) RETURNING " COMMAND_COLUMNS},
    [PG_SET_STATE] = {"set_state",
                      "UPDATE command SET state = $3, attempts = $4, not_before = $5, crashes = $6,"
                      " history = $7 WHERE token = $1 AND owner IS NOT DISTINCT FROM $2"},
    [PG_POST] = {"post", "INSERT INTO outbox VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING"},
    [PG_DELIVERED] = {"delivered",
                      "DELETE FROM outbox WHERE owner = $1 AND id = ANY ($2::bigint[])"},
    [PG_REGISTER] = {"register", "INSERT INTO bridge (id, instance, lease_ms, place)"
                                 " VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING"},
    [PG_RECONNECT] = {"reconnect", "UPDATE bridge SET session = session + 1"
                                   " WHERE id = (SELECT id FROM bridge WHERE id = $1 FOR UPDATE)"
                                   " RETURNING session, joined"},
    [PG_OWN_HEADS] = {"own_heads", "SELECT " COMMAND_COLUMNS " FROM command WHERE owner = $1"},
    [PG_HEARTBEAT] = {"heartbeat",
                      "UPDATE bridge SET n = n + 1, held = $3 WHERE id = $1 AND session = $2"},
    [PG_LIST_BRIDGES] = {"list_bridges", "SELECT id, n, lease_ms, held FROM bridge"},
    [PG_EXPEL] = {"expel", "DELETE FROM bridge WHERE id = $1 AND n = $2"},
    [PG_RESET_CALLS] = {"reset_calls", "UPDATE command SET state = 3, crashes = crashes + $2"
                                       " WHERE owner = $1 AND state IN (2, 4)"},
    [PG_LIST_DEAD] = {"list_dead", "SELECT DISTINCT c.owner FROM command c WHERE c.owner IS NOT"
                                   " NULL AND NOT EXISTS (SELECT 1 FROM bridge b"
                                   " WHERE b.id = c.owner)"},
    [PG_ADOPT] = {"adopt", "UPDATE command SET owner = $1 WHERE token = ANY (ARRAY (SELECT token"
                           " FROM command WHERE owner = ANY ($2::bigint[]) ORDER BY grp LIMIT 500"
                           " FOR UPDATE SKIP LOCKED)) RETURNING " COMMAND_COLUMNS},
    [PG_EXPIRE] = {"expire",
                   "DELETE FROM command WHERE token = ANY (ARRAY (SELECT token FROM command"
                   " WHERE owner IS NULL AND due_at > $1 AND due_at <= $2 AND state = 5"
                   " ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED))"},
};
