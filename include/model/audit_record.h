/*
 * audit - the lines of the audit file, and how they are chained.
 *
 * A line is one JSON object that begins with Seq, Time and Event and, where lines are chained, ends
 * with Hash: the SHA-256, in hexadecimal, over the Hash of the line before (64 zeros before the
 * first) followed by this line's own bytes up to, and without, `,"Hash":`. Seq counts by one. So a
 * line that was changed, removed, added or moved no longer fits, and neither does what follows it.
 *
 * A line tells what was asked and what became of it; never a payload, and nothing secret. Texts
 * that senders choose are cut at AUDIT_TEXT_BYTES_MAX, with their whole length beside them.
 *
 * Thread: any; pure.
 */
#ifndef MODEL_AUDIT_RECORD_H
#define MODEL_AUDIT_RECORD_H

#include "base/buf.h"
#include "base/digest.h"
#include "base/slice.h"
#include "base/status.h"
#include "command.h"
#include "delivery.h"

#include <stdbool.h>
#include <stdint.h>

#define AUDIT_TEXT_BYTES_MAX 1024
/* The longest line, with its line end: no bridge writes one that is longer. */
#define AUDIT_LINE_BYTES_MAX 65536

/* Where a chain stands: its last line. {0} is not a chain; see audit_chain_init(). */
struct audit_chain {
    int64_t seq; /* 0 before the first line */
    char hash[DIGEST_SHA256_HEX_BYTES];
    bool is_hashed; /* else lines are only numbered, and `hash` stays as it is */
};

/* The chain before its first line. */
void audit_chain_init(struct audit_chain *chain, bool is_hashed);

/*
 * A line is written by audit_line_begin(), the members, audit_line_end(), which moves the chain on.
 * `event` is a word without anything to escape. Returns where the line begins in `out`.
 */
size_t audit_line_begin(const struct audit_chain *chain, const char *event, int64_t now_ms,
                        struct buf *out);
void audit_line_end(struct audit_chain *chain, size_t start, struct buf *out);

/* A text of a sender's or of the far side's; nothing where it is absent. */
void audit_put_text(struct buf *out, const char *name, struct slice text);
/* What is known of the message: topic, QoS, flags, size, where its reply goes, its trace. The
 * members stand by themselves in `out`, to be put into a line by audit_put_members(). */
void audit_put_arrival(struct buf *out, const struct delivery *delivery,
                       const struct reply_to *reply_to, bool is_token_made);
/* What could be read of a command that is refused; `route` may be NULL. */
void audit_put_request(struct buf *out, const struct route *route, const struct request *request,
                       struct slice token);
/* What a command is. */
void audit_put_command(struct buf *out, const struct command *command);
/* Members as another buffer has them. */
void audit_put_members(struct buf *out, struct slice members);

/* A line as read. */
struct audit_line {
    int64_t seq;
    char event[24];
    bool has_hash;
    bool is_new_file; /* an "opened" line that begins a file */
    char previous[DIGEST_SHA256_HEX_BYTES];
    int64_t withdrawn_from; /* the lines that it takes back, 0 for none */
    int64_t withdrawn_to;
    int64_t torn_bytes; /* the torn line before it, 0 for none */
    char torn_sha256[DIGEST_SHA256_HEX_BYTES];
};

/* Reads a line without its line end. STATUS_INVALID where it is none of an audit file. */
enum status audit_line_read(struct slice text, struct audit_line *out_line);

/*
 * Checking lines one after the other. Files follow each other: a file begins with the line that
 * carries on the chain of the file before.
 */
struct audit_check {
    struct audit_chain chain; /* as of the last line that fits */
    bool has_chain;           /* false: the first line says where the chain stands */
    bool may_begin_file;      /* the next line is the first of a file */
    int64_t count;            /* lines that fit */
    int64_t first_seq;
    int64_t withdrawn_count;
    int64_t withdrawn_to;
    /* a line that is none, which only the line behind it can explain */
    int64_t torn_bytes;
    char torn_sha256[DIGEST_SHA256_HEX_BYTES];
};

/* To begin with the first line of a file, whatever came before it. */
void audit_check_init(struct audit_check *check);
/* To go on behind a known line. */
void audit_check_init_behind(struct audit_check *check, const struct audit_chain *chain);
/* The lines of the next file follow. */
void audit_check_begin_file(struct audit_check *check);
/* The next line, without its line end. STATUS_INVALID where it does not fit, with what is wrong as
 * a clause; `check` is as it was then. A line that is none at all is kept back: see `torn_bytes`.
 */
enum status audit_check_line(struct audit_check *check, struct slice text, const char **out_what);

#endif
