/*
 * Which server this is. A fail-over gives the database a higher timeline; an old primary that comes
 * back has the lower one and takes writes all the same. What it would take is lost, so it is
 * refused. The last known numbers are in a file beside the lock file, for the next start.
 */
#include "store_private.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct known {
    uint64_t system;
    unsigned timeline;
};

static void path_of(const struct store *store, struct buf *out)
{
    postgres_append_state_path(store, ".timeline", out);
}

/* All 0 where nothing is known. */
static struct known read_known(const struct store *store)
{
    struct known known = {0};
    struct buf path = {0};
    char text[64] = "";
    path_of(store, &path);
    FILE *file = fopen(path.data, "re");
    if (file != NULL) {
        if (fgets(text, sizeof text, file) != NULL) {
            char *end = NULL;
            known.system = strtoull(text, &end, 10);
            known.timeline = (unsigned)strtoul(end, NULL, 10);
        }
        fclose(file);
    }
    buf_fini(&path);
    return known;
}

/* If it cannot be written, the next start accepts any server, as the first one did. */
static void write_known(const struct store *store, struct known known)
{
    struct buf path = {0};
    char text[64];
    int length = snprintf(text, sizeof text, "%" PRIu64 " %u\n", known.system, known.timeline);
    path_of(store, &path);
    int fd = open(path.data, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || write(fd, text, (size_t)length) != length || fsync(fd) != 0) {
        LOG_WARN("ledger_timeline_not_kept", LOG_TEXT("file", path.data),
                 LOG_TEXT("why", strerror(errno)));
    }
    if (fd >= 0) {
        close(fd);
    }
    buf_fini(&path);
}

static void take_numbers(void *arg, size_t index, const PGresult *result)
{
    struct known *now = arg;
    (void)index;
    if (PQntuples(result) == 1 && PQnfields(result) == 2) {
        now->system = strtoull(PQgetvalue(result, 0, 0), NULL, 10);
        now->timeline = (unsigned)strtoul(PQgetvalue(result, 0, 1), NULL, 16);
    }
}

static enum status refuse(struct store *store, struct known known, struct known now)
{
    struct buf text = {0};
    struct buf path = {0};
    path_of(store, &path);
    if (now.system != known.system) {
        buf_printf(&text, "this is not the database system that the ledger was on");
    } else {
        buf_printf(&text,
                   "this server is an old primary: its timeline is %u, and the ledger was on %u. "
                   "Stop it, or make it a standby of the present primary",
                   now.timeline, known.timeline);
    }
    buf_printf(&text, ". To use it nevertheless, remove %s and start again", path.data);
    postgres_fail(store, text.data);
    buf_fini(&path);
    buf_fini(&text);
    return STATUS_INVALID;
}

enum status postgres_check_server(struct store *store)
{
    struct known now = {0};
    struct known known = {store->system, store->timeline};
    postgres_send_text(store->connection,
                       "SELECT system_identifier, left(pg_walfile_name(pg_current_wal_lsn()), 8)"
                       " FROM pg_control_system()");
    enum status status =
        postgres_exchange(store->connection, POSTGRES_TIMEOUT_MS, take_numbers, &now);
    if (status == STATUS_UNAVAILABLE) {
        postgres_fail(store, postgres_error(store->connection));
        return status;
    }
    if (now.system == 0) {
        return STATUS_OK; /* a service with another storage does not say it */
    }
    if (known.system == 0) {
        known = read_known(store);
    }
    if (known.system != 0 && (now.system != known.system || now.timeline < known.timeline)) {
        return refuse(store, known, now);
    }
    if (now.system != known.system || now.timeline != known.timeline) {
        if (known.system != 0) {
            LOG_WARN("ledger_failed_over", LOG_INT("before", known.timeline),
                     LOG_INT("now", now.timeline));
        }
        write_known(store, now);
    }
    store->system = now.system;
    store->timeline = now.timeline;
    return STATUS_OK;
}
