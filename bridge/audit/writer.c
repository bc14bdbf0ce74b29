/*
 * Lines are made in memory while the transaction goes on and written in one piece before it is
 * committed. A write that was cut short leaves a line begun: its rest is kept and written first, so
 * that every line in the file gets whole and nothing ever has to be cut off.
 */
#include "audit_private.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- lines ---- */

static void put_withdrawn(const struct audit *audit, struct buf *out)
{
    if (audit->committed_seq < audit->written.seq) {
        json_put_int(out, "WithdrawnFrom", audit->committed_seq + 1);
        json_put_int(out, "WithdrawnTo", audit->written.seq);
    }
}

static void put_opened(struct audit *audit)
{
    struct buf *out = &audit->lines;
    size_t start = audit_line_begin(&audit->next, "opened", audit->now_ms, out);
    json_put_text(out, "Instance", slice_text(audit->instance));
    json_put_text(out, "Version", slice_text(BRIDGE_VERSION));
    if (audit->is_new_file) {
        json_put_bool(out, "NewFile", true);
    }
    json_put_text(out, "Previous", slice_text(audit->next.hash));
    if (audit->is_damaged) {
        json_put_bool(out, "Damaged", true);
    }
    put_withdrawn(audit, out);
    if (audit->torn_bytes > 0) {
        json_put_int(out, "TornBytes", audit->torn_bytes);
        json_put_text(out, "TornSha256", slice_text(audit->torn_sha256));
    }
    audit_line_end(&audit->next, start, out);
}

static void put_resumed(struct audit *audit)
{
    struct buf *out = &audit->lines;
    char since[CLOCK_TEXT_BYTES];
    size_t start = audit_line_begin(&audit->next, "resumed", audit->now_ms, out);
    clock_format_ms(audit->failed_at_ms, since);
    json_put_text(out, "FailedSince", slice_text(since));
    put_withdrawn(audit, out);
    audit_line_end(&audit->next, start, out);
}

/* What must stand before the transaction's own lines. */
static void put_due(struct audit *audit)
{
    if (audit->lines.length > audit->begun_bytes) {
        return;
    }
    if (audit->due == AUDIT_DUE_OPENED) {
        put_opened(audit);
    } else if (audit->due == AUDIT_DUE_RESUMED) {
        put_resumed(audit);
    }
}

struct buf *audit_line(struct audit *audit, const char *event)
{
    put_due(audit);
    audit->line_start = audit_line_begin(&audit->next, event, audit->now_ms, &audit->lines);
    return &audit->lines;
}

void audit_line_done(struct audit *audit)
{
    audit_line_end(&audit->next, audit->line_start, &audit->lines);
}

/* ---- writing ---- */

static enum status fail(struct audit *audit, const char *what)
{
    snprintf(audit->error, sizeof audit->error, "cannot %s the audit file %s: %s", what,
             audit->path, strerror(errno));
    return STATUS_STORE;
}

/* Returns how many bytes the file took. */
static size_t write_bytes(int fd, struct slice bytes)
{
    size_t done = 0;
    while (done < bytes.length) {
        ssize_t count = write(fd, bytes.data + done, bytes.length - done);
        if (count < 0 && errno != EINTR) {
            break;
        }
        done += count > 0 ? (size_t)count : 0;
    }
    return done;
}

/* The hash that ends a line, which is hashed. */
static void take_hash(struct audit_chain *chain, struct slice lines, size_t end)
{
    size_t hash_end = end - strlen("\"}\n");
    memcpy(chain->hash, lines.data + hash_end - (sizeof chain->hash - 1), sizeof chain->hash - 1);
}

/* The lines of which the file has at least the first byte are written; of the last of them the rest
 * stays in `lines`. All others are dropped. */
static void keep_begun(struct audit *audit, size_t done)
{
    size_t at = audit->begun_bytes;
    struct slice lines = buf_slice(&audit->lines);
    while (at < done) {
        const char *end = memchr(lines.data + at, '\n', lines.length - at);
        assert(end != NULL);
        at = (size_t)(end - lines.data) + 1;
        audit->written.seq++;
        if (audit->written.is_hashed) {
            take_hash(&audit->written, lines, at);
        }
    }
    audit->lines.length = at;
    buf_consume(&audit->lines, done);
    audit->begun_bytes = at - done;
    audit->next = audit->written;
}

static void due_is_written(struct audit *audit)
{
    audit->due = AUDIT_DUE_NOTHING;
    audit->is_new_file = false;
    audit->is_damaged = false;
    audit->torn_bytes = 0;
}

enum status audit_write(struct audit *audit, bool *out_is_new)
{
    put_due(audit);
    audit->error[0] = '\0';
    *out_is_new = audit->lines.length > 0 || audit->committed_seq < audit->written.seq;
    if (audit->lines.length > 0) {
        bool has_new_lines = audit->lines.length > audit->begun_bytes;
        size_t length = audit->lines.length;
        size_t done = write_bytes(audit->fd, buf_slice(&audit->lines));
        int error = errno;
        if (has_new_lines && done > audit->begun_bytes) {
            due_is_written(audit);
        }
        audit->offset += (int64_t)done;
        keep_begun(audit, done);
        errno = error;
        if (done < length) {
            return fail(audit, "write");
        }
    }
    if (*out_is_new && audit->is_full && fdatasync(audit->fd) != 0) {
        return fail(audit, "sync");
    }
    return STATUS_OK;
}

void audit_tip_of(const struct audit *audit, struct audit_tip *out_tip)
{
    out_tip->seq = audit->written.seq;
    out_tip->offset = audit->offset;
    memcpy(out_tip->hash, audit->written.hash, sizeof out_tip->hash);
}

void audit_committed(struct audit *audit)
{
    audit->committed_seq = audit->written.seq;
    audit->failed_at_ms = 0;
}

void audit_failed(struct audit *audit)
{
    audit->lines.length = audit->begun_bytes;
    audit->next = audit->written;
    if (audit->failed_at_ms == 0) {
        audit->failed_at_ms = audit->now_ms;
    }
    if (audit->due == AUDIT_DUE_NOTHING) {
        audit->due = AUDIT_DUE_RESUMED;
    }
}

const char *audit_error(const struct audit *audit)
{
    return audit->error;
}

/* ---- another file ---- */

void audit_reopen(struct audit *audit)
{
    audit->wants_reopen = true;
}

static void take_file(struct audit *audit, int fd, const struct audit_end *end)
{
    audit->fd = fd;
    audit->offset = end->size;
    audit->due = AUDIT_DUE_OPENED;
    audit->is_new_file = end->is_new;
    audit->is_damaged = end->is_damaged;
    audit->torn_bytes = end->torn_bytes;
    memcpy(audit->torn_sha256, end->torn_sha256, sizeof audit->torn_sha256);
}

/* What is written to the old file until then is there for good: with anything owed, the new file
 * waits. */
static bool may_change_file(const struct audit *audit)
{
    return audit->lines.length == 0 && audit->due == AUDIT_DUE_NOTHING &&
           audit->committed_seq == audit->written.seq;
}

/* The lock is on the file, not on its name, so its own file would look like somebody else's. */
static bool has_same_file(const struct audit *audit)
{
    struct stat named;
    struct stat ours;
    return stat(audit->path, &named) == 0 && fstat(audit->fd, &ours) == 0 &&
           named.st_dev == ours.st_dev && named.st_ino == ours.st_ino;
}

static enum status open_new_file(struct audit *audit, int *out_fd, struct audit_end *out_end,
                                 struct buf *out_why)
{
    struct audit_tip tip;
    audit_tip_of(audit, &tip);
    enum status status = audit_file_open(audit->path, out_fd, out_why);
    if (status == STATUS_OK) {
        status =
            audit_file_end(*out_fd, audit->path, audit->written.is_hashed, &tip, out_end, out_why);
    }
    if (status == STATUS_OK && out_end->size > 0) {
        buf_printf(out_why, "%s is another file and not empty: move it away", audit->path);
        status = STATUS_INVALID;
    }
    return status;
}

static void change_file(struct audit *audit)
{
    struct buf why = {0};
    struct audit_end end = {0};
    int fd = -1;
    if (has_same_file(audit)) {
        return;
    }
    if (open_new_file(audit, &fd, &end, &why) == STATUS_OK) {
        close(audit->fd);
        take_file(audit, fd, &end);
        LOG_INFO("audit_reopened", LOG_TEXT("file", audit->path),
                 LOG_INT("tip", audit->written.seq));
    } else {
        LOG_ERROR("audit_not_reopened", LOG_SLICE("why", buf_slice(&why)),
                  LOG_TEXT("meaning", "lines go on to the file that was open"));
        if (fd >= 0) {
            close(fd);
        }
    }
    buf_fini(&why);
}

void audit_begin(struct audit *audit, int64_t now_ms)
{
    audit->now_ms = now_ms;
    if (audit->wants_reopen && may_change_file(audit)) {
        audit->wants_reopen = false;
        change_file(audit);
    }
}

/* ---- opening and closing ---- */

static void log_end(const struct audit *audit, const struct audit_end *end)
{
    int64_t withdrawn_count = audit->written.seq - audit->committed_seq;
    if (end->is_damaged) {
        LOG_ERROR(
            "audit_damaged", LOG_TEXT("file", audit->path), LOG_INT("tip", audit->committed_seq),
            LOG_TEXT("meaning", "the file does not end as the ledger says: lines were removed or "
                                "changed; see ecs-mqtt-bridge ledger verify-audit"));
    } else if (end->torn_bytes > 0 || withdrawn_count > 0) {
        LOG_WARN("audit_recovered", LOG_TEXT("file", audit->path),
                 LOG_INT("withdrawn_lines", withdrawn_count),
                 LOG_INT("torn_bytes", end->torn_bytes));
    }
    LOG_INFO("audit_opened", LOG_TEXT("file", audit->path), LOG_INT("tip", audit->written.seq),
             LOG_TEXT("hash", audit->written.hash));
}

enum status audit_open(const struct audit_options *options, const struct audit_tip *tip,
                       struct audit **out_audit, struct buf *out_why)
{
    int fd = -1;
    struct audit_end end = {0};
    enum status status = audit_file_open(options->path, &fd, out_why);
    if (status == STATUS_OK) {
        status = audit_file_end(fd, options->path, options->is_chained, tip, &end, out_why);
    }
    if (status != STATUS_OK) {
        if (fd >= 0) {
            close(fd);
        }
        return status;
    }
    struct audit *audit = mem_zalloc(1, sizeof *audit);
    audit->path = mem_strdup(options->path);
    audit->instance = mem_strdup(options->instance);
    audit->is_full = options->is_full;
    audit->written = end.chain;
    audit->next = end.chain;
    audit->committed_seq = tip->seq > 0 && !end.is_damaged ? tip->seq : end.chain.seq;
    take_file(audit, fd, &end);
    if (end.lacks_line_end) {
        buf_append_char(&audit->lines, '\n');
        audit->begun_bytes = 1;
    }
    log_end(audit, &end);
    *out_audit = audit;
    return STATUS_OK;
}

void audit_close(struct audit *audit)
{
    if (audit == NULL) {
        return;
    }
    close(audit->fd);
    buf_fini(&audit->lines);
    free(audit->path);
    free(audit->instance);
    free(audit);
}
