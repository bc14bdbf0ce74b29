/*
 * verify - checks audit files: that no line was changed, removed, added or moved.
 *
 * Thread: any; blocks while it reads. The files may be written meanwhile.
 */
#ifndef AUDIT_VERIFY_H
#define AUDIT_VERIFY_H

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"
#include "model/audit_record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Lines in the order of their files, up to the first fault. Start with {.begins_file = true}. */
struct audit_check {
    const struct audit_tip *tip; /* where the ledger says the lines end, or NULL */
    bool has_tip;                /* the tip's line was seen */
    bool begins_file;            /* the next line is the first of a file */
    int64_t count;               /* lines that fit */
    int64_t first_seq;
    struct audit_chain chain; /* as of the last line that fits */

    const char *path;
    int64_t line;      /* the number of the last line that was read in its file; 0: the end */
    int64_t end;       /* in its file, of the byte after the last line that fits */
    bool has_open_end; /* the last line is incomplete: a crash, or it is being written now */
    const char *fault; /* a clause about this line, static text; NULL: every line fits */
};

/* Checks the next line, without its line end. False where it does not fit (`fault`). */
bool audit_check_line(struct audit_check *check, struct slice text);
/* Checks the whole lines of a file, the next one of several. Returns STATUS_OK, also where there is
 * a fault, or STATUS_STORE where the file cannot be read (errno). */
enum status audit_check_file(struct audit_check *check, int fd);
/*
 * Checks files that follow each other, the oldest first; `tip` is where the ledger says they end,
 * or NULL; lines after it are accepted. STATUS_OK with *out_check; STATUS_STORE where a file
 * cannot be read, with *out_why.
 */
enum status audit_verify(char *const *paths, size_t count, const struct audit_tip *tip,
                         struct audit_check *out_check, struct buf *out_why);

#endif
