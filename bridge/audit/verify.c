#include "audit/verify.h"

#include "base/json.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HASH_TAIL_BYTES (sizeof ",\"Hash\":\"" - 1 + DIGEST_SHA256_HEX_BYTES - 1 + 2)
#define LINE_DEPTH_MAX  4
#define SEQ_MAX         9e15

/* A line as read. */
struct line {
    int64_t seq;
    bool has_hash;
    bool begins_file;
    char
        previous[DIGEST_SHA256_HEX_BYTES]; /* where it begins a file: the hash of the line before */
};

static bool read_line(struct slice text, struct line *out_line)
{
    struct json_fault fault;
    struct json *root =
        text.length < AUDIT_LINE_BYTES_MAX ? json_parse(text, LINE_DEPTH_MAX, &fault) : NULL;
    if (root == NULL) {
        return false;
    }
    double seq = json_number(json_member(root, "Seq"));
    const struct json *new_file = json_member(root, "NewFile");
    struct slice previous = json_text(json_member(root, "Previous"));
    bool is_line = json_kind(root) == JSON_OBJECT && seq >= 1 && seq <= SEQ_MAX &&
                   json_text(json_member(root, "Event")).length > 0;
    *out_line = (struct line){.seq = is_line ? (int64_t)seq : 0,
                              .has_hash = json_member(root, "Hash") != NULL};
    if (new_file != NULL && json_kind(new_file) == JSON_TRUE &&
        previous.length == sizeof out_line->previous - 1) {
        out_line->begins_file = true;
        memcpy(out_line->previous, previous.data, previous.length);
    }
    json_free(root);
    return is_line;
}

/* The line is built again and compared whole: otherwise bytes could be added after the hash. Moves
 * the chain to the line. */
static bool fits_hash(struct audit_chain *chain, struct slice text)
{
    if (text.length <= HASH_TAIL_BYTES) {
        return false;
    }
    struct buf line = {0};
    buf_append(&line, slice_of(text.data, text.length - HASH_TAIL_BYTES));
    audit_chain_close_line(chain, 0, &line);
    bool is_same = slice_equals(slice_of(line.data, line.length - 1), text);
    buf_fini(&line);
    return is_same;
}

/* Moves the chain to the place before the first line of a file. A new file may be hashed where the
 * file before was not. */
static const char *begin_file(const struct audit_check *check, const struct line *line,
                              struct audit_chain *chain)
{
    if (check->count == 0) {
        audit_chain_init(chain, line->has_hash);
        if (line->seq == 1 && strcmp(line->previous, chain->hash) != 0) {
            return "has Seq 1 and names a line before it";
        }
        chain->seq = line->seq - 1;
        memcpy(chain->hash, line->previous, sizeof chain->hash);
    } else if (strcmp(line->previous, chain->hash) != 0) {
        return "begins a file that continues another one: a file before it is missing, or was "
               "changed";
    }
    chain->is_hashed = line->has_hash;
    return NULL;
}

/* NULL where the line fits; then the chain is moved to it. */
static const char *fault_of(const struct audit_check *check, const struct line *line,
                            struct slice text, struct audit_chain *chain)
{
    if (line->begins_file != check->begins_file) {
        return line->begins_file ? "begins a file, but is not the first line of this one"
                                 : "does not begin a file: lines before it are missing";
    }
    const char *fault = line->begins_file ? begin_file(check, line, chain) : NULL;
    if (fault != NULL) {
        return fault;
    }
    if (line->seq != chain->seq + 1) {
        return line->seq > chain->seq ? "has a Seq too high: lines before it are missing"
                                      : "repeats a Seq";
    }
    if (line->has_hash != chain->is_hashed) {
        return line->has_hash ? "has a Hash, unlike the lines before it"
                              : "has no Hash, unlike the lines before it";
    }
    if (chain->is_hashed && !fits_hash(chain, text)) {
        return "does not fit its Hash: it, or the line before it, was changed";
    }
    chain->seq = line->seq;
    return NULL;
}

bool audit_check_line(struct audit_check *check, struct slice text)
{
    struct line line;
    struct audit_chain chain = check->chain;
    check->line++;
    check->fault = read_line(text, &line) ? fault_of(check, &line, text, &chain)
                                          : "is no line of an audit file";
    if (check->fault != NULL) {
        return false;
    }
    check->chain = chain;
    check->first_seq = check->count == 0 ? line.seq : check->first_seq;
    check->begins_file = false;
    check->count++;
    check->end += (int64_t)text.length + 1;
    if (check->tip != NULL && chain.seq == check->tip->seq) {
        check->has_tip = !chain.is_hashed || strcmp(chain.hash, check->tip->hash) == 0;
        check->fault = check->has_tip
                           ? NULL
                           : "is not the line that the ledger has: the file was written again";
    }
    return check->fault == NULL;
}

enum status audit_check_file(struct audit_check *check, int fd)
{
    struct buf bytes = {0};
    ssize_t count = 0;
    check->begins_file = true;
    check->line = 0;
    check->end = 0;
    for (int64_t offset = 0;
         check->fault == NULL && (count = pread(fd, buf_reserve(&bytes, AUDIT_LINE_BYTES_MAX),
                                                AUDIT_LINE_BYTES_MAX, offset)) > 0;
         offset += count) {
        size_t at = 0;
        const char *end;
        bytes.length += (size_t)count;
        while (check->fault == NULL &&
               (end = memchr(bytes.data + at, '\n', bytes.length - at)) != NULL) {
            size_t length = (size_t)(end - bytes.data) - at;
            audit_check_line(check, slice_of(bytes.data + at, length));
            at += length + 1;
        }
        buf_consume(&bytes, at);
        if (check->fault == NULL && bytes.length >= AUDIT_LINE_BYTES_MAX) {
            audit_check_line(check, buf_slice(&bytes)); /* too long for a line */
        }
    }
    check->has_open_end = check->fault == NULL && bytes.length > 0;
    buf_fini(&bytes);
    return check->fault == NULL && count < 0 ? STATUS_STORE : STATUS_OK;
}

/* Where these files were begun after the ledger was read, the tip is just before them. */
static void check_end(struct audit_check *check)
{
    const struct audit_tip *tip = check->tip;
    if (tip != NULL && tip->seq > 0 && !check->has_tip && check->first_seq != tip->seq + 1) {
        check->line = 0;
        check->fault = check->chain.seq < tip->seq
                           ? "ends too early: the ledger has later lines"
                           : "begins too late: the ledger's last line is not in it";
    }
}

enum status audit_verify(char *const *paths, size_t count, const struct audit_tip *tip,
                         struct audit_check *out_check, struct buf *out_why)
{
    enum status status = STATUS_OK;
    *out_check = (struct audit_check){.tip = tip};
    for (size_t i = 0; i < count && status == STATUS_OK && out_check->fault == NULL; i++) {
        const char *what = "open";
        int fd = open(paths[i], O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        status = fd < 0 ? STATUS_STORE : STATUS_OK;
        if (status == STATUS_OK) {
            what = "read";
            out_check->path = paths[i];
            status = audit_check_file(out_check, fd);
        }
        if (status != STATUS_OK) {
            buf_printf(out_why, "cannot %s %s: %s", what, paths[i], strerror(errno));
        }
        if (fd >= 0) {
            close(fd);
        }
    }
    if (status == STATUS_OK && out_check->fault == NULL) {
        check_end(out_check);
    }
    return status;
}
