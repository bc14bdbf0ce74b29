/*
 * verify - checks audit files: that no line was changed, removed, added or moved.
 *
 * Thread: any; blocks while it reads. The files may be written meanwhile.
 */
#ifndef AUDIT_VERIFY_H
#define AUDIT_VERIFY_H

#include "base/buf.h"
#include "base/status.h"
#include "model/audit_record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a verification found. */
struct audit_report {
    int64_t count; /* of lines that fit */
    int64_t first_seq;
    struct audit_chain chain; /* as of the last line that fits */
    bool is_hashed;
    bool has_open_end; /* the last line is incomplete: a crash, or it is being written now */
    bool is_sound;     /* where it is not: */
    const char *path;  /* the file of the first fault */
    int64_t line;      /* its number in that file; 0: the end */
    struct buf what;   /* a clause */
};
void audit_report_fini(struct audit_report *report);

/*
 * Checks files that follow each other, the oldest first; `tip` is where the ledger says they end,
 * or NULL; lines after it are accepted. STATUS_OK with *out_report; STATUS_STORE where a file
 * cannot be read, with *out_why.
 */
enum status audit_verify(char *const *paths, size_t count, const struct audit_tip *tip,
                         struct audit_report *out_report, struct buf *out_why);

#endif
