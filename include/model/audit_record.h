/*
 * audit_record - one record of the audit: what a command asked for, or what became of it.
 *
 * The ledger stores a record as a row of the transaction that it describes, and the exporter writes
 * it as one line of the audit file. A line is one JSON object that begins with Seq, Time and Event
 * and, where lines are chained, ends with Hash: the SHA-256, in hexadecimal, of the Hash of the
 * line before (64 zeros before the first) followed by this line's own bytes up to, and without,
 * `,"Hash":`. Seq counts by one. So a line that was changed, removed, added or moved no longer
 * fits, and neither does what follows it.
 *
 * A record never holds a payload or a secret. Texts that senders choose are cut at
 * AUDIT_TEXT_BYTES_MAX, and their whole length is added.
 *
 * Thread: any; pure. Fails with: nothing.
 */
#ifndef MODEL_AUDIT_RECORD_H
#define MODEL_AUDIT_RECORD_H

#include "base/buf.h"
#include "base/digest.h"
#include "base/slice.h"
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
    bool is_hashed; /* otherwise lines are only numbered, and `hash` stays as it is */
};

/* The last line that was exported, as the ledger knows it. */
struct audit_tip {
    int64_t seq;    /* 0: none was exported yet */
    int64_t offset; /* in the file, of the byte after the line */
    char hash[DIGEST_SHA256_HEX_BYTES];
};

/* The chain before its first line. */
void audit_chain_init(struct audit_chain *chain, bool is_hashed);

/*
 * A record is made by audit_record_begin() and the members that follow it in `out`: its text is the
 * line without Hash and closing brace. `event` is a word that needs no escaping.
 */
void audit_record_begin(int64_t seq, int64_t at_ms, const char *event, struct buf *out);

/* What the file adds to a record. */
struct audit_place {
    bool begins_file; /* the first line of a file: NewFile, and Previous, the hash of the line
                         before */
    bool is_damaged;  /* what is before it in the file is not what was written: Damaged */
};

/* Appends the record as a line, with its line end, and moves the chain to it. The same record,
 * place and chain give the same bytes. A gap between `seq` and the chain becomes one between the
 * lines, which a verification finds. */
void audit_record_render(int64_t seq, struct slice record, const struct audit_place *place,
                         struct audit_chain *chain, struct buf *out);
/* Appends Hash, closing brace and line end to the line that begins at `start` in `out`, and moves
 * the chain to it as the line with the next Seq. */
void audit_chain_close_line(struct audit_chain *chain, size_t start, struct buf *out);

/* A text that a sender or the API chose; nothing where it is absent. */
void audit_put_text(struct buf *out, const char *name, struct slice text);
/* What is known of the message: topic, QoS, flags, size, reply topic, trace. */
void audit_put_arrival(struct buf *out, const struct delivery *delivery,
                       const struct reply_to *reply_to, bool is_token_made);
/* What could be read of a command that is refused; `route` may be NULL. */
void audit_put_request(struct buf *out, const struct route *route, const struct request *request,
                       struct slice token);
/* The route, the token and the parameters of a command. */
void audit_put_command(struct buf *out, const struct command *command);
/* Members that another buffer holds. */
void audit_put_members(struct buf *out, struct slice members);

#endif
