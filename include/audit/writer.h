/*
 * audit - the audit file: lines are appended within the ledger's transactions, so that the file and
 * the ledger tell the same.
 *
 * A transaction's lines are written before it is committed, and how far the file goes (its tip) is
 * a part of the transaction. What was written for a transaction that then failed, or that a crash
 * cut off, is never removed: the next line takes it back by its numbers. The file is only ever
 * appended to.
 *
 * Fails with: STATUS_STORE when the file cannot be written; audit_error() says why. Then the
 * transaction must not be committed, and audit_failed() be called.
 *
 * Thread: the ledger's own, or the opener's before that starts.
 */
#ifndef AUDIT_WRITER_H
#define AUDIT_WRITER_H

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"
#include "model/audit_record.h"

#include <stdbool.h>
#include <stdint.h>

struct audit;

struct audit_options {
    const char *path;
    const char *instance;
    bool is_chained;
    bool is_full; /* a line is on the disk before its transaction is committed */
};

/* How far the file goes as of the last commit. */
struct audit_tip {
    int64_t seq; /* 0: none was ever written */
    int64_t offset;
    char hash[DIGEST_SHA256_HEX_BYTES];
};

/*
 * Opens or creates the file and compares its end with the tip; what it finds goes into the line
 * that the first audit_write() puts there, and into the log. STATUS_BUSY where another bridge has
 * it, STATUS_INVALID where it is no file to write to (a link, a device, writable by others, chained
 * otherwise), STATUS_STORE for the machine's faults; then *out_why says what to do.
 */
enum status audit_open(const struct audit_options *options, const struct audit_tip *tip,
                       struct audit **out_audit, struct buf *out_why);
/* Takes NULL. */
void audit_close(struct audit *audit);

/* To begin with, in every transaction: opens the file anew where audit_reopen() asked for it. */
void audit_begin(struct audit *audit, int64_t now_ms);
/* A line of the transaction: the buffer to put members into, until audit_line_done(). */
struct buf *audit_line(struct audit *audit, const char *event);
void audit_line_done(struct audit *audit);
/* Writes the transaction's lines. *out_is_new tells whether the tip moved: it must be committed
 * too. */
enum status audit_write(struct audit *audit, bool *out_is_new);
void audit_tip_of(const struct audit *audit, struct audit_tip *out_tip);
/* The transaction stands. */
void audit_committed(struct audit *audit);
/* The transaction failed, for whatever reason: its lines are dropped, or taken back later. */
void audit_failed(struct audit *audit);
/* What the last audit_write() failed with, or "" where it did not. */
const char *audit_error(const struct audit *audit);
/* The file was moved away: the next transaction goes into a new one, which carries on the chain. */
void audit_reopen(struct audit *audit);

/* What a verification found. */
struct audit_report {
    int64_t count;
    int64_t first_seq;
    int64_t withdrawn_count;
    struct audit_chain chain; /* as of the last line that fits */
    bool is_hashed;
    bool has_open_end; /* the last line has no end: a crash, or it is being written */
    bool is_sound;     /* else: */
    const char *path;  /* the file of the first fault */
    int64_t line;      /* its number in that file; 0: the end */
    struct buf what;   /* a clause */
};
void audit_report_fini(struct audit_report *report);
/*
 * Checks files that follow each other, the oldest first; `tip` is where the ledger says they end,
 * or NULL. STATUS_OK with *out_report; STATUS_STORE or STATUS_NOT_FOUND where a file cannot be
 * read, with *out_why.
 */
enum status audit_verify(char *const *paths, size_t count, const struct audit_tip *tip,
                         struct audit_report *out_report, struct buf *out_why);

#endif
