/*
 * schema - all SQL of the PostgreSQL store: tables, migration steps and statements.
 *
 * The version of a database is in its table schema_version; the first N steps make version N. Steps
 * are only added. A released step never changes, because databases exist that were made by it.
 *
 * One statement reads the server's clock; in all others times are parameters. A look-up by
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

/* The index of what was done with a group lately: only coalescing needs it, and each outcome enters
 * it, so it is made where a route has coalesce_s. */
extern const char store_postgres_effect_index[];

/* The columns of a command after its token, and of a watch after its object, in the order in which
 * statements return them. */
#define POSTGRES_COMMAND_COLUMNS(X) \
    X(owner)                        \
    X(line)                         \
    X(seq)                          \
    X(claimed_by)                   \
    X(received_at)                  \
    X(deadline_at)                  \
    X(not_before)                   \
    X(due_at)                       \
    X(completed_at)                 \
    X(attempts)                     \
    X(state)                        \
    X(status)                       \
    X(retention)                    \
    X(crashes)                      \
    X(has_waiters)                  \
    X(action)                       \
    X(region)                       \
    X(grp)                          \
    X(route)                        \
    X(params)                       \
    X(fingerprint)                  \
    X(topic)                        \
    X(correlation_data)             \
    X(correlation_id)               \
    X(traceparent)                  \
    X(tracestate)                   \
    X(has_body_trace)               \
    X(element)                      \
    X(request_id)                   \
    X(code)                         \
    X(error)                        \
    X(observed)                     \
    X(history)
#define POSTGRES_WATCH_COLUMNS(X) \
    X(id)                         \
    X(token)                      \
    X(action)                     \
    X(route)                      \
    X(region)                     \
    X(one_shot)                   \
    X(outcome)                    \
    X(started_at)                 \
    X(ends_at)                    \
    X(traceparent)                \
    X(seq)                        \
    X(site)                       \
    X(status)                     \
    X(recover_point_s)            \
    X(rpo_s)                      \
    X(progress)                   \
    X(changed_at)                 \
    X(flags)

enum store_postgres_statement {
    PG_GUARD,    /* $1 run, $2 session: fails with 22012 if the run was expelled */
    PG_SET_STEP, /* in every transaction of a run: $1 run, $2 the number of this transaction */
    PG_GET_STEP,
    /* Claims. */
    PG_INSERT,          /* a claim that becomes its group's head; no row: it met its token or a
                           head */
    PG_INSERT_REPLYING, /* the same with a message: $23 its id, $24 its bytes */
    PG_LINE_UP,         /* a claim that waits behind its group's head */
    PG_BEGIN_AGAIN,     /* of a row that is done; $23: it is the head of its group, or it waits */
    PG_RETRY,           /* an operator's order; $5 as $23 above */
    PG_LOCK_HEAD,
    PG_LOCK_ROW,
    PG_COUNT_WAITERS,
    PG_SET_WAITERS,
    PG_ADD_WAITER,
    PG_RESTORE_WAITER,
    PG_LIST_WAITERS,
    PG_KEEP_WAITERS,
    PG_REMOVE_WAITERS,
    /* Outcomes and states. */
    PG_FINISH,          /* if nobody else waits; no row: PG_FINISH_ALL */
    PG_FINISH_REPLYING, /* the same with a message: $14 its id, $15 its bytes */
    PG_FINISH_ALL,
    PG_PROMOTE,
    PG_SET_STATE,
    PG_ADD_HISTORY,
    PG_SET_HISTORY,
    /* The outbox and the audit. */
    PG_POST,
    PG_POST_FOR, /* it belongs to the command of the message $4 */
    PG_UNPOST,   /* $3: an event for the history of the message's command; no row: it is gone */
    PG_READ_OUTBOX,
    PG_ADD_AUDIT,
    PG_READ_AUDIT,
    PG_FORGET_AUDIT,
    /* Values and watches. */
    PG_SET_META,
    PG_GET_META,
    PG_UNSET_META,
    PG_LIST_META,
    PG_FIND_WATCH,
    PG_LOCK_WATCH,
    PG_LIST_OTHER_RATES, /* of living bridges whose value of the key $2 is not that of $1 */
    PG_LIST_WATCHES,
    PG_REMOVE_WATCH,
    PG_PUT_WATCH,
    PG_UPDATE_WATCH,
    PG_END_WATCH,
    PG_COUNT_WATCHES, /* at most $1 */
    /* Who reads the groups of a region. */
    PG_ADD_POLLERS,       /* of regions that have watches and no row: copied ones */
    PG_NOTE_WATCH,        /* $1 region, $2 run: a watch has begun or ended there */
    PG_LIST_LOST_POLLERS, /* the runs among them that are not registered */
    PG_TAKE_POLLERS,
    PG_LIST_POLLED,
    PG_SUM_CHANGES,
    PG_LIST_REGION_WATCHES,
    /* Reading. */
    PG_FIND,
    PG_FIND_SUCCESS,
    PG_LIST_ALL,
    PG_LIST_UNFINISHED,
    PG_LIST_OUTCOMES,
    PG_COUNT_AFTER,
    PG_SUMMARISE, /* $1 run, 0: the messages of all; $2 instance */
    /* Runs. */
    PG_REGISTER,
    PG_FIND_BRIDGE,
    PG_REMOVE_BRIDGE,
    PG_REMOVE_STEP, /* and the leases that the run has on sessions of others */
    PG_RECONNECT,   /* waits for the end of the earlier connection's transaction */
    PG_OWN_HEADS,   /* behind PG_RECONNECT: what a lost transaction may have got this run */
    PG_TAKE_HEADS,  /* of the earlier run of the same instance */
    PG_TAKE_OUTBOX,
    PG_HEARTBEAT,
    PG_GET_CLOCK,  /* ms; the only statement that reads it */
    PG_COUNT_LINE, /* at most $1; and the first of their deadlines */
    PG_LIST_BRIDGES,
    PG_EXPEL,
    PG_RESET_CALLS,
    PG_LIST_DEAD,
    PG_ADOPT,         /* $3: commands of these routes; $4: and those with an earlier deadline */
    PG_ADOPT_OUTBOX,  /* $3: the first of their new ids */
    PG_LIST_LEFT,     /* how many commands of runs $1 are of each route that is none of $2 */
    PG_LIST_OVERDUE,  /* in line with a deadline up to $1: at most $2 */
    PG_LIST_HEADLESS, /* groups with a line and without a head: at most $1 */
    PG_EXPIRE,
    /* The shared rates. $1 region, $2 now, $3 the time that a token takes; in us. */
    PG_GRANT, /* $4 burst, $5 wanted: takes what is there */
    PG_SLOW,  /* $4 length of the pause */
    /* Sessions of instances that have no run. */
    PG_DROP_SESSIONS_LEASE, /* as below: one whose run is not registered */
    PG_LEASE_SESSIONS, /* $1 instance, $2 the key of its lease, $3 run; nothing if there is one */
    PG_LIST_ABSENT,    /* $1 the key of leases, $2 run, whose leases are listed, too */
    PG_STATEMENT_COUNT
};

struct store_postgres_text {
    const char *name; /* of the prepared statement */
    const char *text;
};
extern const struct store_postgres_text store_postgres_statements[PG_STATEMENT_COUNT];

#endif
