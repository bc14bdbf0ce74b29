/*
 * view - reading a store while a bridge may be running on it, for the subcommand `ledger`.
 *
 * Nothing is changed, and a running bridge is not disturbed: records are read in pages, so that no
 * transaction of the reader is long. Only a backup and the check of the whole file are long ones;
 * the bridge works on meanwhile, and its write-ahead log may grow. A shared ledger is read from the
 * server that takes writes, or from a standby where there is no such server.
 *
 * Thread: any. Fails as ledger_open(), with the reason in *out_why.
 */
#ifndef LEDGER_VIEW_H
#define LEDGER_VIEW_H

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"
#include "model/audit_record.h"
#include "model/outcome.h"
#include "model/state.h"

#include <stdbool.h>
#include <stdint.h>

/* Whose ledger is read: values of the settings. */
struct ledger_source {
    const char *store;         /* ledger.store */
    const char *password_file; /* ledger.password_file; NULL or "": none */
    const char
        *instance; /* which of the bridges that share it: of the audit and the clock; NULL: "" */
};

/* Text to print; valid during the call. */
typedef void ledger_text_fn(void *arg, struct slice text);

/* The record of the token with its history, as a JSON object in a line. STATUS_NOT_FOUND: there is
 * none. */
enum status ledger_show(const struct ledger_source *source, struct slice token, struct buf *out,
                        struct buf *out_why);

/* Which records are listed. {0} is none of them: see ledger_filter_init(). */
struct ledger_filter {
    bool has_finished; /* else the unfinished commands only */
    enum state state;  /* STATE_NONE: any */
    bool has_status;   /* only DONE records with this status */
    enum outcome_status status;
    const char *route;  /* NULL: any */
    const char *region; /* this and the group: shell patterns (fnmatch); NULL: any */
    const char *group;
    int64_t since_ms; /* received at this wall-clock time or later */
    int64_t until_ms; /* received before */
    int64_t limit;    /* at most so many */
    bool has_history;
};
void ledger_filter_init(struct ledger_filter *filter);
/* Reads a state or an outcome's status ("calling", "failed", ...) into the filter. STATUS_INVALID:
 * it is neither. */
enum status ledger_filter_set_state(struct ledger_filter *filter, const char *text);
/* Reports the records in order of arrival, one JSON object per line. */
enum status ledger_list(const struct ledger_source *source, const struct ledger_filter *filter,
                        ledger_text_fn *put, void *arg, struct buf *out_why);

/* The numbers of unfinished commands, of duplicates that wait, and of messages in the outbox, as a
 * JSON object in a line. */
enum status ledger_count(const struct ledger_source *source, struct buf *out, struct buf *out_why);
/* The same with the size of the file, free space, the schema and the oldest records. */
enum status ledger_stats(const struct ledger_source *source, struct buf *out, struct buf *out_why);

/*
 * Checks the whole file, and that the records are consistent with each other and with their
 * histories. Reports a line for each fault; *out_faults is their number. Of each kind at most 100
 * are reported.
 */
enum status ledger_verify(const struct ledger_source *source, ledger_text_fn *put, void *arg,
                          int64_t *out_faults, int64_t *out_records, struct buf *out_why);

/* Writes a consistent copy with mode 0600 and syncs it. STATUS_BUSY: `path` exists, and nothing was
 * done. STATUS_STORE: no file was left at `path`. */
enum status ledger_backup(const struct ledger_source *source, const char *path,
                          struct buf *out_why);

/* The last audit record that was exported; its Seq is 0 if there is none. */
enum status ledger_audit_tip(const struct ledger_source *source, struct audit_tip *out_tip,
                             struct buf *out_why);

#endif
