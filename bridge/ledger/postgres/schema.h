/*
 * schema - all SQL of the PostgreSQL store: tables, migration steps and statements.
 *
 * The version of a database is in its table schema_version; the first N steps make version N. Steps
 * are only added. A released step never changes, because databases exist that were made by it.
 *
 * No statement reads the server's clock: times are parameters, on the ledger's clock. A look-up by
 * token has no condition that implies the condition of a partial index (IS NOT DISTINCT FROM in
 * place of =), because the planner may then read the whole index.
 *
 * Thread: any; constant.
 */
#ifndef LEDGER_POSTGRES_SCHEMA_H
#define LEDGER_POSTGRES_SCHEMA_H

/* The newest version; this program works with this one. */
#define STORE_POSTGRES_VERSION 1

/* The key of the advisory lock under which a database is created or migrated: "ECMB". */
#define STORE_POSTGRES_LOCK_KEY "1162038594"

/* The step at index i makes version i + 1 of version i. Several statements in one text. */
extern const char *const store_postgres_steps[STORE_POSTGRES_VERSION];

enum store_postgres_statement {
    PG_GUARD,   /* $1 run, $2 session: fails with 22012 if the run was expelled */
    PG_INSERT,  /* a claim that becomes its group's head; no row: it met its token or a head */
    PG_LINE_UP, /* a claim that waits behind its group's head */
    PG_LOCK_HEAD,
    PG_LOCK_ROW,
    PG_COUNT_WAITERS,
    PG_SET_WAITERS,
    PG_ADD_WAITER,
    PG_SET_JOINED, /* in the transaction of a join: $2 is the number of the join in this run */
    PG_FINISH,     /* if nobody else waits; no row: PG_FINISH_ALL */
    PG_FINISH_ALL,
    PG_TAKE_WAITERS, /* behind PG_FINISH_ALL, as a statement of its own */
    PG_PROMOTE,
    PG_SET_STATE,
    PG_POST,
    PG_DELIVERED,
    PG_REGISTER,
    PG_RECONNECT, /* waits for the end of the earlier connection's transaction */
    PG_OWN_HEADS, /* behind PG_RECONNECT: what a lost transaction may have promoted or adopted */
    PG_HEARTBEAT,
    PG_LIST_BRIDGES,
    PG_EXPEL,
    PG_RESET_CALLS,
    PG_LIST_DEAD,
    PG_ADOPT,
    PG_EXPIRE,
    PG_STATEMENT_COUNT
};

struct store_postgres_text {
    const char *name; /* of the prepared statement */
    const char *text;
};
extern const struct store_postgres_text store_postgres_statements[PG_STATEMENT_COUNT];

#endif
