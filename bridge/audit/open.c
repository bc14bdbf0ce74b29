/*
 * A file is what the ledger says, and perhaps a little more: lines whose transaction was never
 * committed, and a line that a crash cut off. Anything else is damage, which is told and not
 * hidden: the chain goes on from what the ledger knows, so that a verification stops there for
 * ever.
 */
#include "audit_private.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_BYTES 65536

static enum status cannot(struct buf *out_why, const char *what, const char *path)
{
    buf_printf(out_why, "cannot %s the audit file %s: %s", what, path, strerror(errno));
    return STATUS_STORE;
}

static enum status is_unfit(struct buf *out_why, const char *path, const char *why)
{
    buf_printf(out_why, "the audit file %s %s", path, why);
    return STATUS_INVALID;
}

/* ---- opening ---- */

static enum status judge_file(int fd, const char *path, struct buf *out_why)
{
    struct stat about;
    if (fstat(fd, &about) != 0) {
        return cannot(out_why, "look at", path);
    }
    if (!S_ISREG(about.st_mode)) {
        return is_unfit(out_why, path, "is no regular file; name another one in audit.file");
    }
    if (about.st_nlink > 1) {
        return is_unfit(out_why, path, "has a second name (hard link); name another one");
    }
    if ((about.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return is_unfit(out_why, path,
                        "may be written by others than its owner; use mode 0600 or 0640");
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK) {
            return cannot(out_why, "lock", path);
        }
        is_unfit(out_why, path, "is in use by another bridge; give each a file of its own");
        return STATUS_BUSY;
    }
    return STATUS_OK;
}

/* A new file's name must survive a power cut as its lines do. */
static enum status sync_directory_of(const char *path, struct buf *out_why)
{
    char *copy = mem_strdup(path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum status status =
        fd < 0 || fsync(fd) != 0 ? cannot(out_why, "write the folder of", path) : STATUS_OK;
    if (fd >= 0) {
        close(fd);
    }
    free(copy);
    return status;
}

enum status audit_file_open(const char *path, int *out_fd, struct buf *out_why)
{
    const int flags = O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    bool is_new = false;
    int fd = open(path, flags);
    if (fd < 0 && errno == ENOENT) {
        fd = open(path, flags | O_CREAT | O_EXCL, 0600);
        is_new = fd >= 0;
    }
    if (fd < 0 && errno == ELOOP) {
        return is_unfit(out_why, path, "is a symbolic link; name the file itself in audit.file");
    }
    if (fd < 0) {
        return cannot(out_why, "open", path);
    }
    enum status status = judge_file(fd, path, out_why);
    if (status == STATUS_OK && is_new) {
        status = sync_directory_of(path, out_why);
    }
    if (status != STATUS_OK) {
        close(fd);
        return status;
    }
    *out_fd = fd;
    return STATUS_OK;
}

/* ---- reading ---- */

/* Gives the whole lines of `bytes`; returns what is left over in it. */
static enum status give_lines(struct buf *bytes, audit_each_fn *each, void *arg)
{
    size_t at = 0;
    const char *end;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && at < bytes->length &&
           (end = memchr(bytes->data + at, '\n', bytes->length - at)) != NULL) {
        size_t length = (size_t)(end - bytes->data) - at;
        status = each(arg, slice_of(bytes->data + at, length), true);
        at += length + 1;
    }
    buf_consume(bytes, at);
    return status;
}

enum status audit_file_read(int fd, int64_t offset, audit_each_fn *each, void *arg)
{
    struct buf bytes = {0};
    enum status status = STATUS_OK;
    ssize_t count = 0;
    while (status == STATUS_OK) {
        count = pread(fd, buf_reserve(&bytes, READ_BYTES), READ_BYTES, offset);
        if (count <= 0) {
            break;
        }
        offset += count;
        bytes.length += (size_t)count;
        status = give_lines(&bytes, each, arg);
        if (status == STATUS_OK && bytes.length >= AUDIT_LINE_BYTES_MAX) {
            status = each(arg, buf_slice(&bytes), true);
            buf_clear(&bytes);
        }
    }
    if (status == STATUS_OK && count == 0 && bytes.length > 0) {
        status = each(arg, buf_slice(&bytes), false);
    }
    buf_fini(&bytes);
    return count < 0 ? STATUS_STORE : status;
}

/* ---- how it ends ---- */

struct reading {
    struct audit_check check;
    bool has_last; /* the line under way is the last one and has no end */
};

/* What a crash leaves is the beginning of a line. */
static bool may_be_torn(struct slice line)
{
    static const char begin[] = "{\"Seq\":";
    size_t length = line.length < sizeof begin - 1 ? line.length : sizeof begin - 1;
    return memcmp(line.data, begin, length) == 0;
}

static enum status read_line(void *arg, struct slice line, bool is_whole)
{
    struct reading *reading = arg;
    const char *what;
    struct audit_line read;
    reading->has_last = !is_whole;
    if (audit_line_read(line, &read) != STATUS_OK && !may_be_torn(line)) {
        return STATUS_INVALID;
    }
    return audit_check_line(&reading->check, line, &what);
}

/* Everything behind the tip fits, but for a last line that is none. */
static enum status read_rest(int fd, int64_t offset, struct reading *reading,
                             struct audit_end *out_end)
{
    enum status status = audit_file_read(fd, offset, read_line, reading);
    if (status != STATUS_OK) {
        return status;
    }
    if (reading->check.has_chain) {
        out_end->chain = reading->check.chain;
    }
    out_end->is_new = reading->check.may_begin_file;
    out_end->lacks_line_end = reading->has_last;
    out_end->torn_bytes = reading->check.torn_bytes;
    memcpy(out_end->torn_sha256, reading->check.torn_sha256, sizeof out_end->torn_sha256);
    return STATUS_OK;
}

/* The line that ends at `offset`, without its line end. */
static bool read_line_before(int fd, int64_t offset, struct buf *out)
{
    int64_t start = offset > AUDIT_LINE_BYTES_MAX ? offset - AUDIT_LINE_BYTES_MAX : 0;
    size_t length = (size_t)(offset - start);
    ssize_t count = pread(fd, buf_reserve(out, length), length, start);
    if (count != (ssize_t)length || length < 2 || out->data[length - 1] != '\n') {
        return false;
    }
    out->length = length - 1;
    const char *before = memrchr(out->data, '\n', out->length);
    if (before != NULL) {
        buf_consume(out, (size_t)(before - out->data) + 1);
    }
    return true;
}

/* Whether the line before the tip's offset is the tip's: that its own hash is the one the ledger
 * has says that nothing in it was changed only with the line checked against it, which takes the
 * line before; a whole verification does that. */
static bool has_head(int fd, const struct audit_tip *tip, bool is_chained)
{
    struct buf text = {0};
    struct audit_line line;
    bool is_there = read_line_before(fd, tip->offset, &text) &&
                    audit_line_read(buf_slice(&text), &line) == STATUS_OK && line.seq == tip->seq;
    if (is_there && is_chained) {
        size_t tail = strlen("\"}") + sizeof tip->hash - 1;
        is_there = text.length > tail &&
                   memcmp(text.data + text.length - tail, tip->hash, sizeof tip->hash - 1) == 0;
    }
    buf_fini(&text);
    return is_there;
}

static struct audit_chain chain_of(const struct audit_tip *tip, bool is_chained)
{
    struct audit_chain chain;
    audit_chain_init(&chain, is_chained);
    if (tip->seq > 0) {
        chain.seq = tip->seq;
        memcpy(chain.hash, tip->hash, sizeof chain.hash);
    }
    return chain;
}

/* A file that begins behind the tip: it was begun by a transaction that was cut off. Also any file
 * where the ledger has no tip. */
static enum status read_as_new(int fd, const struct audit_tip *tip, bool is_chained,
                               struct audit_end *out_end)
{
    struct reading reading = {0};
    struct audit_chain chain = chain_of(tip, is_chained);
    audit_check_init(&reading.check);
    if (tip->seq > 0) {
        audit_check_init_behind(&reading.check, &chain);
        audit_check_begin_file(&reading.check);
    }
    return read_rest(fd, 0, &reading, out_end);
}

static bool ends_with_line_end(int fd, int64_t size)
{
    char last = '\0';
    return pread(fd, &last, 1, size - 1) == 1 && last == '\n';
}

/* Whether the first line that can be read as one is chained as wanted. */
static enum status check_kind(int fd, const char *path, bool is_chained, struct buf *out_why)
{
    struct buf text = {0};
    struct audit_line line;
    ssize_t count = pread(fd, buf_reserve(&text, AUDIT_LINE_BYTES_MAX), AUDIT_LINE_BYTES_MAX, 0);
    text.length = count > 0 ? (size_t)count : 0;
    const char *end = text.length == 0 ? NULL : memchr(text.data, '\n', text.length);
    enum status status = STATUS_OK;
    if (end != NULL &&
        audit_line_read(slice_of(text.data, (size_t)(end - text.data)), &line) == STATUS_OK &&
        line.has_hash != is_chained) {
        status = is_unfit(out_why, path,
                          is_chained ? "has lines without hashes and audit.chain is true; move it "
                                       "away, so that a new one begins"
                                     : "has chained lines and audit.chain is false; move it away, "
                                       "so that a new one begins");
    }
    buf_fini(&text);
    return status;
}

static enum status find_end(int fd, bool is_chained, const struct audit_tip *tip,
                            struct audit_end *end)
{
    struct reading reading = {0};
    struct audit_chain chain = chain_of(tip, is_chained);
    enum status status = STATUS_INVALID;
    if (tip->seq > 0 && tip->offset <= end->size && has_head(fd, tip, is_chained)) {
        audit_check_init_behind(&reading.check, &chain);
        status = read_rest(fd, tip->offset, &reading, end);
    } else {
        status = read_as_new(fd, tip, is_chained, end);
    }
    if (status == STATUS_INVALID && tip->seq > 0) {
        end->is_damaged = true;
        end->is_new = false;
        end->chain = chain;
        end->lacks_line_end = !ends_with_line_end(fd, end->size);
        return STATUS_OK;
    }
    return status;
}

enum status audit_file_end(int fd, const char *path, bool is_chained, const struct audit_tip *tip,
                           struct audit_end *out_end, struct buf *out_why)
{
    struct stat about;
    struct audit_end end = {.chain = chain_of(tip, is_chained), .is_new = true};
    if (fstat(fd, &about) != 0) {
        return cannot(out_why, "look at", path);
    }
    end.size = about.st_size;
    enum status status = end.size > 0 ? check_kind(fd, path, is_chained, out_why) : STATUS_OK;
    if (status == STATUS_OK && end.size > 0) {
        status = find_end(fd, is_chained, tip, &end);
        if (status == STATUS_STORE) {
            cannot(out_why, "read", path);
        } else if (status == STATUS_INVALID) {
            is_unfit(out_why, path,
                     "is none that this ledger's bridge wrote, or is damaged; move it away, so "
                     "that a new one begins");
        }
    }
    if (status == STATUS_OK) {
        *out_end = end;
    }
    return status;
}
