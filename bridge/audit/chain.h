/*
 * chain - reading lines of the audit file and checking that they belong together.
 *
 * Thread: any; pure. Fails with: STATUS_INVALID for a line that does not fit.
 */
#ifndef AUDIT_CHAIN_H
#define AUDIT_CHAIN_H

#include "base/slice.h"
#include "base/status.h"
#include "model/audit_record.h"

#include <stdbool.h>
#include <stdint.h>

/* A line as read. */
struct audit_line {
    int64_t seq;
    bool has_hash;
    bool begins_file;
    char
        previous[DIGEST_SHA256_HEX_BYTES]; /* where it begins a file: the hash of the line before */
    /* Files of versions up to 1.0 may hold an incomplete line that a crash left; the line after it
     * says how long it is. 0 for none. */
    int64_t torn_bytes;
    char torn_sha256[DIGEST_SHA256_HEX_BYTES];
};

/* Reads a line without its line end. STATUS_INVALID where it is not a line of an audit file. */
enum status audit_line_read(struct slice text, struct audit_line *out_line);

/* Checks lines one after the other. Files follow each other: a file begins with a line that names
 * the hash of the last line of the file before. */
struct audit_check {
    struct audit_chain chain; /* as of the last line that fits */
    bool has_chain;           /* false: the first line says where the chain stands */
    bool may_begin_file;      /* the next line is the first of a file */
    int64_t count;            /* lines that fit */
    int64_t first_seq;
    /* an incomplete line, which only the line after it can explain; 0 for none */
    int64_t torn_bytes;
    char torn_sha256[DIGEST_SHA256_HEX_BYTES];
};

/* The first line to come is the first of a file, whatever came before that. */
void audit_check_init(struct audit_check *check);
/* The first line to come is the first of the next file. */
void audit_check_begin_file(struct audit_check *check);
/*
 * The next line, without its line end. STATUS_INVALID where it does not fit: then *out_what is a
 * clause that says why, and `check` is unchanged. A text that is not a line at all is accepted once
 * and kept as `torn_bytes`, until the next line explains it.
 */
enum status audit_check_line(struct audit_check *check, struct slice text, const char **out_what);

#endif
