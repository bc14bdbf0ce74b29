#include "chain.h"

#include "base/json.h"

#include <string.h>

#define HASH_TAIL_BYTES (sizeof ",\"Hash\":\"" - 1 + DIGEST_SHA256_HEX_BYTES - 1 + 2)
#define LINE_DEPTH_MAX  4

/* ---- one line ---- */

static bool read_hex(const struct json *object, const char *name, char out[DIGEST_SHA256_HEX_BYTES])
{
    struct slice text = json_text(json_member(object, name));
    if (text.length != DIGEST_SHA256_HEX_BYTES - 1) {
        return false;
    }
    memcpy(out, text.data, text.length);
    out[text.length] = '\0';
    return true;
}

/* 0 where there is no such number, or one that no bridge writes. */
static int64_t read_int(const struct json *object, const char *name)
{
    double number = json_number(json_member(object, name));
    return number >= 1 && number <= 9e15 ? (int64_t)number : 0;
}

static enum status read_members(const struct json *root, struct audit_line *line)
{
    const struct json *new_file = json_member(root, "NewFile");
    line->seq = read_int(root, "Seq");
    if (json_kind(root) != JSON_OBJECT || line->seq == 0 ||
        json_text(json_member(root, "Event")).length == 0) {
        return STATUS_INVALID;
    }
    line->has_hash = json_member(root, "Hash") != NULL;
    line->begins_file = new_file != NULL && json_kind(new_file) == JSON_TRUE &&
                        read_hex(root, "Previous", line->previous);
    if (read_hex(root, "TornSha256", line->torn_sha256)) {
        line->torn_bytes = read_int(root, "TornBytes");
    }
    return STATUS_OK;
}

enum status audit_line_read(struct slice text, struct audit_line *out_line)
{
    struct json_fault fault;
    struct audit_line line = {0};
    if (text.length >= AUDIT_LINE_BYTES_MAX) {
        return STATUS_INVALID;
    }
    struct json *root = json_parse(text, LINE_DEPTH_MAX, &fault);
    if (root == NULL) {
        return STATUS_INVALID;
    }
    enum status status = read_members(root, &line);
    json_free(root);
    if (status == STATUS_OK) {
        *out_line = line;
    }
    return status;
}

/* ---- a line among others ---- */

void audit_check_init(struct audit_check *check)
{
    *check = (struct audit_check){.may_begin_file = true};
}

void audit_check_begin_file(struct audit_check *check)
{
    check->may_begin_file = true;
}

/* The chain before the first line of all, as that line names it. */
static enum status seed(const struct audit_line *line, struct audit_chain *chain,
                        const char **out_what)
{
    if (!line->begins_file) {
        *out_what = "does not begin a file: lines before it are missing";
        return STATUS_INVALID;
    }
    audit_chain_init(chain, line->has_hash);
    if (line->seq == 1 && strcmp(line->previous, chain->hash) != 0) {
        *out_what = "has Seq 1 and names a line before it";
        return STATUS_INVALID;
    }
    chain->seq = line->seq - 1;
    memcpy(chain->hash, line->previous, sizeof chain->hash);
    return STATUS_OK;
}

/* A new file continues the chain; it may be hashed where the file before was not. */
static enum status follow(const struct audit_line *line, struct audit_chain *chain,
                          const char **out_what)
{
    if (line->begins_file && strcmp(line->previous, chain->hash) != 0) {
        *out_what = "begins a file that continues another one: a file before it is missing, or was "
                    "changed";
        return STATUS_INVALID;
    }
    chain->is_hashed = line->begins_file ? line->has_hash : chain->is_hashed;
    return STATUS_OK;
}

/* The line is built again and compared whole: otherwise bytes could be added after the hash. */
static bool has_hash(struct slice text, const struct audit_chain *before, char *out_hash)
{
    if (text.length <= HASH_TAIL_BYTES) {
        return false;
    }
    struct audit_chain chain = *before;
    struct buf line = {0};
    buf_append(&line, slice_of(text.data, text.length - HASH_TAIL_BYTES));
    audit_chain_close_line(&chain, 0, &line);
    bool is_same = slice_equals(slice_of(line.data, line.length - 1), text);
    buf_fini(&line);
    memcpy(out_hash, chain.hash, sizeof chain.hash);
    return is_same;
}

static enum status fit(struct audit_chain *chain, const struct audit_line *line, struct slice text,
                       const char **out_what)
{
    if (line->seq != chain->seq + 1) {
        *out_what = line->seq > chain->seq ? "has a Seq too high: lines before it are missing"
                                           : "repeats a Seq";
        return STATUS_INVALID;
    }
    if (line->has_hash != chain->is_hashed) {
        *out_what = line->has_hash ? "has a Hash, unlike the lines before it"
                                   : "has no Hash, unlike the lines before it";
        return STATUS_INVALID;
    }
    if (chain->is_hashed && !has_hash(text, chain, chain->hash)) {
        *out_what = "does not fit its Hash: it, or the line before it, was changed";
        return STATUS_INVALID;
    }
    chain->seq = line->seq;
    return STATUS_OK;
}

static bool is_torn_explained(const struct audit_check *check, const struct audit_line *line)
{
    return check->torn_bytes == line->torn_bytes &&
           (line->torn_bytes == 0 || strcmp(check->torn_sha256, line->torn_sha256) == 0);
}

static enum status keep_torn(struct audit_check *check, struct slice text, const char **out_what)
{
    if (check->torn_bytes > 0) {
        *out_what = "is no line of an audit file, nor is the line before it";
        return STATUS_INVALID;
    }
    if (text.length == 0) {
        *out_what = "is empty";
        return STATUS_INVALID;
    }
    check->torn_bytes = (int64_t)text.length;
    digest_sha256_hex(text, check->torn_sha256);
    return STATUS_OK;
}

enum status audit_check_line(struct audit_check *check, struct slice text, const char **out_what)
{
    struct audit_line line;
    struct audit_chain chain = check->chain;
    if (audit_line_read(text, &line) != STATUS_OK) {
        return keep_torn(check, text, out_what);
    }
    if (check->may_begin_file != line.begins_file && check->has_chain) {
        *out_what = line.begins_file ? "begins a file, but is not the first line of this one"
                                     : "does not begin a file: lines before it are missing";
        return STATUS_INVALID;
    }
    enum status status =
        check->has_chain ? follow(&line, &chain, out_what) : seed(&line, &chain, out_what);
    if (status == STATUS_OK) {
        status = fit(&chain, &line, text, out_what);
    }
    if (status == STATUS_OK && !is_torn_explained(check, &line)) {
        *out_what = check->torn_bytes > 0 ? "does not explain the bytes before it"
                                          : "names an incomplete line that is not there";
        status = STATUS_INVALID;
    }
    if (status != STATUS_OK) {
        return status;
    }
    check->chain = chain;
    check->first_seq = check->has_chain && check->count > 0 ? check->first_seq : line.seq;
    check->has_chain = true;
    check->may_begin_file = false;
    check->torn_bytes = 0;
    check->count++;
    return STATUS_OK;
}
