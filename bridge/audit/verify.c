#include "audit/verify.h"

#include "chain.h"
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

struct verification {
    struct audit_check check;
    const struct audit_tip *tip;
    bool has_tip; /* the tip's line is there, as the ledger has it */
    struct audit_report *report;
    const char *path;
    int64_t line; /* of the file, from 1 */
};

static enum status fault(struct verification *verification, int64_t line, const char *what)
{
    struct audit_report *report = verification->report;
    report->is_sound = false;
    report->path = verification->path;
    report->line = line;
    buf_append_text(&report->what, what);
    return STATUS_INVALID;
}

static enum status look_for_tip(struct verification *verification)
{
    const struct audit_tip *tip = verification->tip;
    const struct audit_chain *chain = &verification->check.chain;
    if (tip == NULL || chain->seq != tip->seq || verification->check.torn_bytes > 0) {
        return STATUS_OK;
    }
    if (chain->is_hashed && strcmp(chain->hash, tip->hash) != 0) {
        return fault(verification, verification->line,
                     "is not the line that the ledger has: the file was written again");
    }
    verification->has_tip = true;
    return STATUS_OK;
}

static enum status verify_line(void *arg, struct slice line, bool is_whole)
{
    struct verification *verification = arg;
    const char *what = NULL;
    struct audit_line read;
    verification->line++;
    if (!is_whole && audit_line_read(line, &read) != STATUS_OK) {
        verification->report->has_open_end = true;
        return STATUS_OK;
    }
    bool is_after_torn = verification->check.torn_bytes > 0;
    if (audit_check_line(&verification->check, line, &what) != STATUS_OK && is_after_torn) {
        return fault(verification, verification->line - 1,
                     "is no line of an audit file, and the next line does not explain it");
    }
    if (what != NULL) {
        return fault(verification, verification->line, what);
    }
    return look_for_tip(verification);
}

static enum status verify_file(struct verification *verification, const char *path,
                               struct buf *out_why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        buf_printf(out_why, "cannot open %s: %s", path, strerror(errno));
        return STATUS_STORE;
    }
    verification->path = path;
    verification->line = 0;
    verification->report->has_open_end = false;
    audit_check_begin_file(&verification->check);
    enum status status = audit_file_read(fd, 0, verify_line, verification);
    if (status == STATUS_STORE) {
        buf_printf(out_why, "cannot read %s: %s", path, strerror(errno));
    }
    close(fd);
    if (status == STATUS_OK && verification->check.torn_bytes > 0) {
        return fault(verification, verification->line, "is no line of an audit file");
    }
    return status;
}

/* Where these files were begun after the ledger was read, the tip is just before them. */
static enum status check_end(struct verification *verification)
{
    const struct audit_tip *tip = verification->tip;
    if (tip == NULL || tip->seq == 0 || verification->has_tip) {
        return STATUS_OK;
    }
    if (verification->check.first_seq == tip->seq + 1) {
        return STATUS_OK;
    }
    return fault(verification, 0,
                 verification->check.chain.seq < tip->seq
                     ? "ends too early: the ledger has later lines"
                     : "begins too late: the ledger's last line is not in it");
}

enum status audit_verify(char *const *paths, size_t count, const struct audit_tip *tip,
                         struct audit_report *out_report, struct buf *out_why)
{
    *out_report = (struct audit_report){.is_sound = true};
    struct verification verification = {.tip = tip, .report = out_report};
    audit_check_init(&verification.check);
    enum status status = STATUS_OK;
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        status = verify_file(&verification, paths[i], out_why);
    }
    if (status == STATUS_OK) {
        status = check_end(&verification);
    }
    out_report->count = verification.check.count;
    out_report->first_seq = verification.check.first_seq;
    out_report->chain = verification.check.chain;
    out_report->is_hashed = verification.check.chain.is_hashed;
    return status == STATUS_INVALID ? STATUS_OK : status;
}

void audit_report_fini(struct audit_report *report)
{
    if (report != NULL) {
        buf_fini(&report->what);
    }
}
