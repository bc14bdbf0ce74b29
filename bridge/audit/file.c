#include "file.h"

#include "audit/verify.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct audit_file {
    char *path;
    bool is_full;
    int fd;
    int64_t offset;           /* of the byte after the last line that was appended */
    struct audit_chain chain; /* as of that line */
    struct audit_place place; /* of the next line */
    bool is_unsynced;         /* a sync failed: the kernel may have dropped what follows `offset` */
    bool lacks_line_end;      /* the byte before `offset` is no line end, after damage */
    struct buf error;
};

static enum status cannot(struct buf *out_why, const char *what, const char *path)
{
    buf_printf(out_why, "cannot %s the audit file %s: %s", what, path, strerror(errno));
    return STATUS_STORE;
}

static enum status unfit(struct buf *out_why, const char *path, const char *why)
{
    buf_printf(out_why, "the audit file %s %s", path, why);
    return STATUS_INVALID;
}

static enum status fail(struct audit_file *file, const char *what)
{
    buf_clear(&file->error);
    return cannot(&file->error, what, file->path);
}

/* ---- opening ---- */

static enum status check_and_lock(int fd, const char *path, struct buf *out_why)
{
    struct stat about;
    if (fstat(fd, &about) != 0) {
        return cannot(out_why, "look at", path);
    }
    if (!S_ISREG(about.st_mode)) {
        return unfit(out_why, path, "is no regular file; name another one in audit.file");
    }
    if (about.st_nlink > 1) {
        return unfit(out_why, path, "has a second name (hard link); name another one");
    }
    if ((about.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return unfit(out_why, path,
                     "may be written by others than its owner; use mode 0600 or 0640");
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK) {
            return cannot(out_why, "lock", path);
        }
        unfit(out_why, path, "is in use by another bridge; give each a file of its own");
        return STATUS_BUSY;
    }
    return STATUS_OK;
}

/* Opens or creates, checks and locks the file. Statuses as audit_file_open(). */
static enum status open_path(const char *path, int *out_fd, struct buf *out_why)
{
    int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (fd < 0 && errno == ELOOP) {
        return unfit(out_why, path, "is a symbolic link; name the file itself in audit.file");
    }
    if (fd < 0) {
        return cannot(out_why, "open", path);
    }
    enum status status = check_and_lock(fd, path, out_why);
    if (status == STATUS_OK && file_sync_directory_of(path) != 0) {
        status = cannot(out_why, "write the directory of", path);
    }
    if (status != STATUS_OK) {
        close(fd);
        return status;
    }
    *out_fd = fd;
    return STATUS_OK;
}

/* The file of `size` bytes does not hold what was written to it: go on at its end. */
static void note_damage(struct audit_file *file, int64_t size)
{
    char last = '\n';
    file->lacks_line_end = size > 0 && pread(file->fd, &last, 1, size - 1) == 1 && last != '\n';
    file->offset = size;
    file->place = (struct audit_place){.is_damaged = true};
    LOG_ERROR("audit_damaged", LOG_TEXT("file", file->path), LOG_INT("tip", file->chain.seq));
}

/* Whether the file begins with this text, or with a part of it. */
static bool begins_with(int fd, const char *text)
{
    char begin[32];
    ssize_t count = pread(fd, begin, strlen(text), 0);
    return count >= 0 && memcmp(begin, text, (size_t)count) == 0;
}

/* Whether the bytes before the tip's offset are the end of the tip's line. Whether that line fits
 * the one before it is for a verification of the whole file. */
static bool has_tip(const struct audit_file *file, const struct audit_tip *tip, bool *out_is_hashed)
{
    char expected[16 + DIGEST_SHA256_HEX_BYTES];
    char end[sizeof expected];
    int length = snprintf(expected, sizeof expected, ",\"Hash\":\"%s\"}\n", tip->hash);
    if (pread(file->fd, end, (size_t)length, tip->offset - length) != length ||
        memcmp(end + length - 2, "}\n", 2) != 0) {
        return false;
    }
    *out_is_hashed = memcmp(end, expected, strlen(",\"Hash\":\"")) == 0;
    return !*out_is_hashed || memcmp(end, expected, (size_t)length) == 0;
}

/* The ledger is new: continue the chain that the file holds, without an incomplete last line. */
static enum status adopt(struct audit_file *file)
{
    struct audit_check check = {0};
    if (!begins_with(file->fd, "{\"Seq\":")) {
        return STATUS_INVALID;
    }
    enum status status = audit_check_file(&check, file->fd);
    if (status == STATUS_OK && check.fault != NULL) {
        status = STATUS_INVALID;
    }
    if (status == STATUS_OK && check.has_open_end && ftruncate(file->fd, check.end) != 0) {
        status = STATUS_STORE;
    }
    file->offset = check.end;
    file->place.begins_file = check.begins_file;
    if (check.count > 0) {
        file->chain = check.chain;
    }
    return status;
}

/* Where the next line goes. STATUS_INVALID where the file is none that this bridge may continue. */
static enum status find_place(struct audit_file *file, const struct audit_tip *tip,
                              bool is_new_ledger, bool *out_is_hashed)
{
    struct stat about;
    char first[32];
    if (fstat(file->fd, &about) != 0) {
        return STATUS_STORE;
    }
    file->place.begins_file = true;
    if (about.st_size == 0) {
        return STATUS_OK;
    }
    if (is_new_ledger) {
        enum status status = adopt(file);
        *out_is_hashed = file->chain.is_hashed;
        return status;
    }
    if (tip->seq > 0 && has_tip(file, tip, out_is_hashed)) {
        file->offset = tip->offset;
        file->place.begins_file = false;
        return STATUS_OK;
    }
    /* A file that was begun after the tip was stored. Its lines are compared with the rows. */
    snprintf(first, sizeof first, "{\"Seq\":%lld,", (long long)tip->seq + 1);
    if (begins_with(file->fd, first)) {
        return STATUS_OK;
    }
    if (tip->seq == 0) {
        return STATUS_INVALID;
    }
    note_damage(file, about.st_size);
    return STATUS_OK;
}

enum status audit_file_open(const struct audit_file_options *options, const struct audit_tip *tip,
                            struct audit_file **out_file, struct buf *out_why)
{
    struct audit_file *file = mem_zalloc(1, sizeof *file);
    bool is_hashed = options->is_chained;
    file->path = mem_strdup(options->path);
    file->is_full = options->is_full;
    audit_chain_init(&file->chain, options->is_chained);
    if (tip->seq > 0) {
        file->chain.seq = tip->seq;
        memcpy(file->chain.hash, tip->hash, sizeof file->chain.hash);
    }
    file->fd = -1;
    enum status status = open_path(file->path, &file->fd, out_why);
    if (status == STATUS_OK) {
        status = find_place(file, tip, options->is_new_ledger, &is_hashed);
        if (status == STATUS_STORE) {
            cannot(out_why, "continue", file->path);
        } else if (status == STATUS_INVALID) {
            unfit(out_why, file->path,
                  "is not one that this ledger's bridge wrote, or is damaged; move it away, so "
                  "that a new one begins");
        } else if (is_hashed != options->is_chained) {
            status = unfit(out_why, file->path,
                           "has chained lines and audit.chain is false, or the other way round; "
                           "move it away, so that a new one begins");
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

void audit_file_close(struct audit_file *file)
{
    if (file == NULL) {
        return;
    }
    if (file->fd >= 0) {
        close(file->fd);
    }
    buf_fini(&file->error);
    free(file->path);
    free(file);
}

/* ---- appending ---- */

/* The rows as the bytes that belong at the file's offset; returns the chain after them. */
static struct audit_chain render(const struct audit_file *file, const struct audit_row *rows,
                                 size_t count, struct buf *out)
{
    struct audit_chain chain = file->chain;
    struct audit_place place = file->place;
    buf_clear(out);
    if (file->lacks_line_end) {
        buf_append_char(out, '\n');
    }
    for (size_t i = 0; i < count; i++) {
        audit_record_render(rows[i].seq, rows[i].record, &place, &chain, out);
        place = (struct audit_place){0};
    }
    return chain;
}

/*
 * Removes from `due` what the file holds already after its offset: what a crash or a full disk
 * left. STATUS_INVALID where it holds something else; but where only the last line differs, and is
 * incomplete (a power cut), that is cut off.
 */
static enum status skip_present(struct audit_file *file, struct buf *due)
{
    struct buf there = {0};
    struct stat about;
    size_t same = 0;
    size_t start = 0; /* of the line in which they differ */
    if (fstat(file->fd, &about) != 0) {
        return fail(file, "look at");
    }
    if (about.st_size <= file->offset) {
        return about.st_size == file->offset ? STATUS_OK : STATUS_INVALID;
    }
    size_t limit = due->length + AUDIT_LINE_BYTES_MAX;
    ssize_t count = pread(file->fd, buf_reserve(&there, limit), limit, file->offset);
    there.length = count > 0 ? (size_t)count : 0;
    enum status status = count < 0 ? fail(file, "read") : STATUS_OK;
    for (; same < there.length && same < due->length && there.data[same] == due->data[same];
         same++) {
        start = due->data[same] == '\n' ? same + 1 : start;
    }
    if (same < there.length && same < due->length) {
        size_t rest = there.length - start;
        same = start;
        if (rest >= AUDIT_LINE_BYTES_MAX || memchr(there.data + start, '\n', rest) != NULL) {
            status = STATUS_INVALID;
        } else if (ftruncate(file->fd, file->offset + (int64_t)start) != 0) {
            status = fail(file, "cut the incomplete last line off");
        }
    }
    buf_fini(&there);
    if (status == STATUS_OK) {
        buf_consume(due, same);
    }
    return status;
}

static enum status write_bytes(struct audit_file *file, struct slice bytes)
{
    size_t done = 0;
    while (done < bytes.length) {
        ssize_t count = write(file->fd, bytes.data + done, bytes.length - done);
        if (count < 0 && errno != EINTR) {
            return fail(file, "write");
        }
        done += count > 0 ? (size_t)count : 0;
    }
    if (file->is_full && fdatasync(file->fd) != 0) {
        file->is_unsynced = true;
        return fail(file, "sync");
    }
    return STATUS_OK;
}

enum status audit_file_append(struct audit_file *file, const struct audit_row *rows, size_t count)
{
    struct buf lines = {0};
    struct stat about;
    struct audit_chain chain = render(file, rows, count, &lines);
    int64_t length = (int64_t)lines.length;
    /* After a failed sync the kernel may report pages as clean that the disk never got: the bytes
     * are written once more, so that a later sync counts. */
    if (file->is_unsynced && ftruncate(file->fd, file->offset) != 0) {
        buf_fini(&lines);
        return fail(file, "cut unsynced lines off");
    }
    file->is_unsynced = false;
    enum status status = skip_present(file, &lines);
    if (status == STATUS_INVALID && fstat(file->fd, &about) == 0) {
        note_damage(file, about.st_size);
        chain = render(file, rows, count, &lines);
        length = (int64_t)lines.length;
        status = STATUS_OK;
    }
    if (status == STATUS_OK) {
        status = write_bytes(file, buf_slice(&lines));
    }
    if (status == STATUS_OK) {
        file->offset += length;
        file->chain = chain;
        file->place = (struct audit_place){0};
        file->lacks_line_end = false;
    }
    buf_fini(&lines);
    return status;
}

void audit_file_tip(const struct audit_file *file, struct audit_tip *out_tip)
{
    out_tip->seq = file->chain.seq;
    out_tip->offset = file->offset;
    memcpy(out_tip->hash, file->chain.hash, sizeof out_tip->hash);
}

const char *audit_file_error(const struct audit_file *file)
{
    return file->error.data;
}

/* ---- rotation ---- */

bool audit_file_change(struct audit_file *file)
{
    struct buf why = {0};
    struct stat named;
    struct stat ours = {0};
    int fd = -1;
    /* The lock is on the file, not on its name: our own lock would look like another bridge's. */
    if (fstat(file->fd, &ours) == 0 && stat(file->path, &named) == 0 &&
        named.st_dev == ours.st_dev && named.st_ino == ours.st_ino) {
        return false;
    }
    enum status status = open_path(file->path, &fd, &why);
    if (status == STATUS_OK && (fstat(fd, &named) != 0 || named.st_size > 0)) {
        status = unfit(&why, file->path, "is another file and not empty: move it away");
    }
    /* The old file keeps only exported lines: what else is in it goes into the new one. */
    if (status == STATUS_OK && ours.st_size > file->offset &&
        ftruncate(file->fd, file->offset) != 0) {
        status = cannot(&why, "cut an incomplete line off", file->path);
    }
    if (status == STATUS_OK) {
        close(file->fd);
        file->fd = fd;
        file->offset = 0;
        file->place = (struct audit_place){.begins_file = true};
        file->lacks_line_end = false;
        LOG_INFO("audit_reopened", LOG_TEXT("file", file->path), LOG_INT("tip", file->chain.seq));
    } else {
        LOG_ERROR("audit_not_reopened", LOG_SLICE("why", buf_slice(&why)));
        if (fd >= 0) {
            close(fd);
        }
    }
    buf_fini(&why);
    return status == STATUS_OK;
}
