/* Opening the audit file: whose it is, and where its next line goes. */
#include "file_private.h"

#include "base/log.h"
#include "base/mem.h"
#include "chain.h"

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

/* ---- whose file it is ---- */

static enum status check_and_lock(int fd, const char *path, struct buf *out_why)
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

/* A power cut must not lose the name of a new file. */
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

enum status audit_file_open_path(const char *path, int *out_fd, struct buf *out_why)
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
    enum status status = check_and_lock(fd, path, out_why);
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

/* Gives the whole lines of `bytes` and removes them from it. */
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

/* ---- where the next line goes ---- */

/* The first line, without its line end; absent where it is incomplete or there is none. */
static struct slice first_line(int fd, struct buf *text)
{
    ssize_t count = pread(fd, buf_reserve(text, AUDIT_LINE_BYTES_MAX), AUDIT_LINE_BYTES_MAX, 0);
    text->length = count > 0 ? (size_t)count : 0;
    const char *end = text->length == 0 ? NULL : memchr(text->data, '\n', text->length);
    return end == NULL ? (struct slice){0} : slice_of(text->data, (size_t)(end - text->data));
}

/* What a crash leaves is the beginning of a line. */
static bool may_be_incomplete(struct slice line)
{
    static const char begin[] = "{\"Seq\":";
    size_t length = line.length < sizeof begin - 1 ? line.length : sizeof begin - 1;
    return memcmp(line.data, begin, length) == 0;
}

/* Whether the bytes before the tip's offset end with the tip's line. Whether that line fits the one
 * before it is for a verification of the whole file. */
static bool has_tip(int fd, const struct audit_tip *tip, bool is_chained)
{
    int64_t start = tip->offset > AUDIT_LINE_BYTES_MAX ? tip->offset - AUDIT_LINE_BYTES_MAX : 0;
    size_t length = (size_t)(tip->offset - start);
    struct buf text = {0};
    struct audit_line line;
    bool is_there = length > 1 &&
                    pread(fd, buf_reserve(&text, length), length, start) == (ssize_t)length &&
                    text.data[length - 1] == '\n';
    if (is_there) {
        text.length = length - 1;
        const char *before = memrchr(text.data, '\n', text.length);
        buf_consume(&text, before == NULL ? 0 : (size_t)(before - text.data) + 1);
        is_there = audit_line_read(buf_slice(&text), &line) == STATUS_OK && line.seq == tip->seq;
    }
    if (is_there && is_chained) {
        size_t tail = sizeof tip->hash - 1 + strlen("\"}");
        is_there = text.length > tail &&
                   memcmp(text.data + text.length - tail, tip->hash, sizeof tip->hash - 1) == 0;
    }
    buf_fini(&text);
    return is_there;
}

/* A file that was begun after the tip was stored: its first line continues from the tip, or is
 * incomplete. */
static bool begins_after_tip(int fd, const struct audit_chain *tip)
{
    struct buf text = {0};
    struct audit_line line;
    struct slice first = first_line(fd, &text);
    bool is_after = false;
    if (!slice_is_present(first)) {
        is_after = text.length < AUDIT_LINE_BYTES_MAX && may_be_incomplete(buf_slice(&text));
    } else if (audit_line_read(first, &line) == STATUS_OK) {
        is_after =
            line.begins_file && line.seq == tip->seq + 1 && strcmp(line.previous, tip->hash) == 0;
    }
    buf_fini(&text);
    return is_after;
}

struct adoption {
    struct audit_check check;
    int64_t end; /* of the last line that fits */
    bool lacks_line_end;
};

static enum status adopt_line(void *arg, struct slice line, bool is_whole)
{
    struct adoption *adoption = arg;
    struct audit_line read;
    const char *what;
    bool is_line = audit_line_read(line, &read) == STATUS_OK;
    if (!is_line && !may_be_incomplete(line)) {
        return STATUS_INVALID;
    }
    if (!is_line && !is_whole) {
        return STATUS_OK; /* it is cut off */
    }
    adoption->end += (int64_t)line.length + (is_whole ? 1 : 0);
    adoption->lacks_line_end = !is_whole;
    return audit_check_line(&adoption->check, line, &what);
}

/* The ledger is new: continue the chain that the file holds. */
static enum status adopt(struct audit_file *file, int64_t size)
{
    struct adoption adoption = {0};
    audit_check_init(&adoption.check);
    enum status status = audit_file_read(file->fd, 0, adopt_line, &adoption);
    if (status == STATUS_OK && adoption.check.torn_bytes > 0) {
        status = STATUS_INVALID;
    }
    if (status == STATUS_OK && adoption.end < size && ftruncate(file->fd, adoption.end) != 0) {
        status = STATUS_STORE;
    }
    if (status == STATUS_OK && adoption.check.has_chain) {
        file->chain = adoption.check.chain;
    }
    file->offset = adoption.end;
    file->place.begins_file = adoption.check.may_begin_file;
    file->lacks_line_end = adoption.lacks_line_end;
    return status;
}

/* STATUS_INVALID where the file is none that this bridge may continue. */
static enum status find_place(struct audit_file *file, const struct audit_file_options *options,
                              const struct audit_tip *tip)
{
    struct stat about;
    if (fstat(file->fd, &about) != 0) {
        return STATUS_STORE;
    }
    if (tip->seq > 0 && tip->offset <= about.st_size &&
        has_tip(file->fd, tip, options->is_chained)) {
        file->offset = tip->offset;
        return STATUS_OK;
    }
    if (options->may_be_others && tip->seq == 0 && about.st_size > 0) {
        return adopt(file, about.st_size);
    }
    file->place.begins_file = true;
    if (about.st_size == 0 || begins_after_tip(file->fd, &file->chain)) {
        return STATUS_OK;
    }
    if (tip->seq == 0) {
        return STATUS_INVALID;
    }
    audit_file_note_damage(file, about.st_size);
    return STATUS_OK;
}

/* Whether the first line is chained as wanted. */
static enum status check_kind(int fd, const char *path, bool is_chained, struct buf *out_why)
{
    struct buf text = {0};
    struct audit_line line;
    struct slice first = first_line(fd, &text);
    enum status status = STATUS_OK;
    if (slice_is_present(first) && audit_line_read(first, &line) == STATUS_OK &&
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

enum status audit_file_open(const struct audit_file_options *options, const struct audit_tip *tip,
                            struct audit_file **out_file, struct buf *out_why)
{
    struct audit_file *file = mem_zalloc(1, sizeof *file);
    file->path = mem_strdup(options->path);
    file->is_full = options->is_full;
    audit_chain_init(&file->chain, options->is_chained);
    if (tip->seq > 0) {
        file->chain.seq = tip->seq;
        memcpy(file->chain.hash, tip->hash, sizeof file->chain.hash);
    }
    file->fd = -1;
    enum status status = audit_file_open_path(file->path, &file->fd, out_why);
    if (status == STATUS_OK) {
        status = check_kind(file->fd, file->path, options->is_chained, out_why);
    }
    if (status == STATUS_OK) {
        status = find_place(file, options, tip);
        if (status == STATUS_STORE) {
            cannot(out_why, "continue", file->path);
        } else if (status == STATUS_INVALID) {
            is_unfit(out_why, file->path,
                     "is not one that this ledger's bridge wrote, or is damaged; move it away, so "
                     "that a new one begins");
        }
    }
    if (status != STATUS_OK) {
        audit_file_close(file);
        return status;
    }
    LOG_INFO("audit_opened", LOG_TEXT("file", file->path), LOG_INT("tip", file->chain.seq),
             LOG_TEXT("hash", file->chain.hash));
    *out_file = file;
    return STATUS_OK;
}
