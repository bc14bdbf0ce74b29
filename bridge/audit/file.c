#include "file_private.h"

#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum status fail(struct audit_file *file, const char *what)
{
    snprintf(file->error, sizeof file->error, "cannot %s the audit file %s: %s", what, file->path,
             strerror(errno));
    return STATUS_STORE;
}

void audit_file_note_damage(struct audit_file *file, int64_t size)
{
    char last = '\n';
    if (size > 0 && pread(file->fd, &last, 1, size - 1) != 1) {
        last = '\0';
    }
    file->offset = size;
    file->lacks_line_end = last != '\n';
    file->place = (struct audit_place){.is_damaged = true};
    LOG_ERROR("audit_damaged", LOG_TEXT("file", file->path), LOG_INT("tip", file->chain.seq));
}

/* ---- appending ---- */

/* The rows as the bytes that belong at the file's offset; returns the chain after them. */
static struct audit_chain render(const struct audit_file *file, const struct audit_row *rows,
                                 size_t count, struct buf *out)
{
    struct audit_chain chain = file->chain;
    struct audit_place place = file->place;
    if (file->lacks_line_end) {
        buf_append_char(out, '\n');
    }
    for (size_t i = 0; i < count; i++) {
        audit_record_render(rows[i].seq, rows[i].record, &place, &chain, out);
        place = (struct audit_place){0};
    }
    return chain;
}

static size_t common_length(struct slice one, struct slice other)
{
    size_t length = 0;
    while (length < one.length && length < other.length && one.data[length] == other.data[length]) {
        length++;
    }
    return length;
}

/* The file holds `there` after its offset, which is like `due` up to *present and then differs.
 * Cuts off the line that differs, where it is the last one and incomplete: a power cut.
 * STATUS_INVALID where it is not. */
static enum status cut_last_line(struct audit_file *file, struct slice there, struct slice due,
                                 size_t *present)
{
    size_t start = *present;
    while (start > 0 && due.data[start - 1] != '\n') {
        start--;
    }
    bool is_incomplete = there.length - start < AUDIT_LINE_BYTES_MAX &&
                         memchr(there.data + start, '\n', there.length - start) == NULL;
    if (!is_incomplete) {
        return STATUS_INVALID;
    }
    *present = start;
    return ftruncate(file->fd, file->offset + (int64_t)start) == 0
               ? STATUS_OK
               : fail(file, "cut the incomplete last line off");
}

/* How much of `due` the file holds already, after its offset: what a crash or a full disk left.
 * STATUS_INVALID where it holds something else. */
static enum status find_present(struct audit_file *file, struct slice due, size_t *out_present)
{
    struct stat about;
    struct buf there = {0};
    if (fstat(file->fd, &about) != 0) {
        return fail(file, "look at");
    }
    if (about.st_size <= file->offset) {
        *out_present = 0;
        return about.st_size == file->offset ? STATUS_OK : STATUS_INVALID;
    }
    size_t limit = due.length + AUDIT_LINE_BYTES_MAX;
    ssize_t count = pread(file->fd, buf_reserve(&there, limit), limit, file->offset);
    if (count < 0) {
        buf_fini(&there);
        return fail(file, "read");
    }
    there.length = (size_t)count;
    enum status status = STATUS_OK;
    *out_present = common_length(buf_slice(&there), due);
    if (*out_present < there.length && *out_present < due.length) {
        status = cut_last_line(file, buf_slice(&there), due, out_present);
    }
    buf_fini(&there);
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
    return file->is_full && fdatasync(file->fd) != 0 ? fail(file, "sync") : STATUS_OK;
}

enum status audit_file_append(struct audit_file *file, const struct audit_row *rows, size_t count)
{
    struct buf lines = {0};
    struct stat about;
    size_t present = 0;
    struct audit_chain chain = render(file, rows, count, &lines);
    enum status status = find_present(file, buf_slice(&lines), &present);
    if (status == STATUS_INVALID && fstat(file->fd, &about) == 0) {
        audit_file_note_damage(file, about.st_size);
        buf_clear(&lines);
        chain = render(file, rows, count, &lines);
        present = 0;
        status = STATUS_OK;
    }
    if (status == STATUS_OK) {
        status = write_bytes(file, slice_of(lines.data + present, lines.length - present));
    }
    if (status == STATUS_OK) {
        file->offset += (int64_t)lines.length;
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
    return file->error;
}

/* ---- another file ---- */

/* Asked before opening: the lock is on the file, not on its name, so that its own lock would look
 * like another bridge's. */
static bool is_in_place(const struct audit_file *file)
{
    struct stat named;
    struct stat ours;
    return stat(file->path, &named) == 0 && fstat(file->fd, &ours) == 0 &&
           named.st_dev == ours.st_dev && named.st_ino == ours.st_ino;
}

/* The old file keeps only lines that are exported: what else is in it goes into the new one. */
static enum status open_next(const struct audit_file *file, int *out_fd, struct buf *out_why)
{
    struct stat about;
    enum status status = audit_file_open_path(file->path, out_fd, out_why);
    if (status == STATUS_OK && (fstat(*out_fd, &about) != 0 || about.st_size > 0)) {
        buf_printf(out_why, "%s is another file and not empty: move it away", file->path);
        status = STATUS_INVALID;
    }
    if (status == STATUS_OK && fstat(file->fd, &about) == 0 && about.st_size > file->offset &&
        ftruncate(file->fd, file->offset) != 0) {
        buf_printf(out_why, "cannot cut an incomplete line off the old file: %s", strerror(errno));
        status = STATUS_STORE;
    }
    return status;
}

bool audit_file_change(struct audit_file *file)
{
    struct buf why = {0};
    int fd = -1;
    if (is_in_place(file)) {
        return false;
    }
    bool is_open = open_next(file, &fd, &why) == STATUS_OK;
    if (is_open) {
        close(file->fd);
        file->fd = fd;
        file->offset = 0;
        file->place.begins_file = true;
        file->lacks_line_end = false;
        LOG_INFO("audit_reopened", LOG_TEXT("file", file->path), LOG_INT("tip", file->chain.seq));
    } else {
        LOG_ERROR("audit_not_reopened", LOG_SLICE("why", buf_slice(&why)));
        if (fd >= 0) {
            close(fd);
        }
    }
    buf_fini(&why);
    return is_open;
}

void audit_file_close(struct audit_file *file)
{
    if (file == NULL) {
        return;
    }
    if (file->fd >= 0) {
        close(file->fd);
    }
    free(file->path);
    free(file);
}
