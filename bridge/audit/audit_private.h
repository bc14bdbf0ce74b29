/*
 * audit_private - what the files of the audit share.
 *
 *   audit.c          writes lines
 *   audit_open.c     opens a file, and finds out how it ends
 *   audit_verify.c   checks whole files
 */
#ifndef AUDIT_AUDIT_PRIVATE_H
#define AUDIT_AUDIT_PRIVATE_H

#include "audit/writer.h"

/* A line that must stand before all others. */
enum audit_due { AUDIT_DUE_NOTHING, AUDIT_DUE_OPENED, AUDIT_DUE_RESUMED };

struct audit {
    char *path;
    char *instance;
    bool is_full;
    int fd;
    int64_t offset; /* the file's length */
    struct buf lines;
    size_t begun_bytes;         /* of `lines`: the rest of a line that is in the file in part */
    size_t line_start;          /* of the line under way */
    struct audit_chain written; /* with what is in the file, and the rest of its last line */
    struct audit_chain next;    /* with all of `lines` */
    int64_t committed_seq;
    int64_t now_ms;
    enum audit_due due;
    bool is_new_file;
    bool is_damaged;      /* the file does not end as the ledger says */
    int64_t failed_at_ms; /* 0: does not fail */
    int64_t torn_bytes;
    char torn_sha256[DIGEST_SHA256_HEX_BYTES];
    bool wants_reopen;
    char error[512];
};

/* How a file ends, against the tip. */
struct audit_end {
    int64_t size;
    struct audit_chain chain; /* what its next line follows */
    bool is_damaged;
    bool is_new; /* no line is in it */
    bool lacks_line_end;
    int64_t torn_bytes; /* its last line, where that is none */
    char torn_sha256[DIGEST_SHA256_HEX_BYTES];
};

/* Opens or creates, locks and judges the file. Statuses as audit_open(). */
enum status audit_file_open(const char *path, int *out_fd, struct buf *out_why);
/* STATUS_INVALID where the file is chained and should not be, or the other way round. */
enum status audit_file_end(int fd, const char *path, bool is_chained, const struct audit_tip *tip,
                           struct audit_end *out_end, struct buf *out_why);

/*
 * Gives the lines from `offset` to the end to `each`, without their line ends, until that returns
 * anything but STATUS_OK; the last may have none (`is_whole`). A line that is longer than any
 * bridge writes is cut. STATUS_STORE where the file cannot be read (errno), else what `each`
 * returned last.
 */
typedef enum status audit_each_fn(void *arg, struct slice line, bool is_whole);
enum status audit_file_read(int fd, int64_t offset, audit_each_fn *each, void *arg);

#endif
