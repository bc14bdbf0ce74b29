/*
 * file - the audit file: appends records as lines, and finds after a crash which of them it holds
 * already.
 *
 * The file is only appended to. The ledger keeps a record until its line is in the file and the
 * tip is stored, so the bytes after the tip are lines of records that are still in the ledger: they
 * are compared with what would be written, and not written again. Only an incomplete last line that
 * differs (a power cut) is cut off. Anything else that differs is damage: it is logged, the next
 * line has Damaged, and a verification stops there.
 *
 * Thread: one at a time. Fails with: STATUS_STORE; audit_file_error() has the reason. The same call
 * may be tried again.
 */
#ifndef AUDIT_FILE_H
#define AUDIT_FILE_H

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"
#include "model/audit_record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct audit_file;

struct audit_file_options {
    const char *path;
    bool is_chained;
    bool is_full;       /* durability "full": lines are on the disk before they count as exported */
    bool is_new_ledger; /* it has no record yet: continue whatever audit file is there */
};

/*
 * Opens or creates the file and finds the place after the tip. STATUS_BUSY where another bridge has
 * it, STATUS_INVALID where it must not be written (a link, a device, writable by others, chained
 * otherwise, another program's), STATUS_STORE for the machine's faults; then *out_why says what to
 * do.
 */
enum status audit_file_open(const struct audit_file_options *options, const struct audit_tip *tip,
                            struct audit_file **out_file, struct buf *out_why);
/* Takes NULL. */
void audit_file_close(struct audit_file *file);

struct audit_row {
    int64_t seq;
    struct slice record; /* its text, see model/audit_record.h */
};

/* Appends the rows, in order, as lines. Where that fails the file may hold a part of them. */
enum status audit_file_append(struct audit_file *file, const struct audit_row *rows, size_t count);
/* The last line that was appended. */
void audit_file_tip(const struct audit_file *file, struct audit_tip *out_tip);
/* What the last failure was. */
const char *audit_file_error(const struct audit_file *file);

/* Where the file was moved away: opens a new one under its name, which continues the chain, and
 * returns true. Where that fails it is logged, and lines go on to the old file. */
bool audit_file_change(struct audit_file *file);

#endif
