#include "timeline.h"

#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct timeline {
    pthread_mutex_t mutex; /* for all below */
    char *file;
    bool is_full;
    struct postgres_server known; /* its system is 0 where nothing is known */
    bool has_loss;                /* to be reported */
    bool keeps_loss;              /* the file says so, until the report is stored in the ledger */
};

/* ---- the file ---- */

/* A line "SYSTEM TIMELINE STANDBY LOSS". */
static void read_file(struct timeline *timeline)
{
    char text[64] = "";
    FILE *file = fopen(timeline->file, "re");
    if (file == NULL) {
        return;
    }
    if (fgets(text, sizeof text, file) != NULL) {
        char *end = NULL;
        timeline->known.system = strtoull(text, &end, 10);
        timeline->known.timeline = (unsigned)strtoul(end, &end, 10);
        timeline->known.has_standby = strtoul(end, &end, 10) == 1;
        timeline->has_loss = timeline->keeps_loss = strtoul(end, NULL, 10) == 1;
    }
    fclose(file);
}

/* The new file takes the place of the old one whole, so a kill leaves one of them. If it cannot be
 * written, the next start accepts any server, as the first one did. */
static void write_file(const struct timeline *timeline)
{
    char text[64];
    struct buf made = {0};
    buf_printf(&made, "%s.new", timeline->file);
    int length = snprintf(text, sizeof text, "%" PRIu64 " %u %d %d\n", timeline->known.system,
                          timeline->known.timeline, timeline->known.has_standby ? 1 : 0,
                          timeline->keeps_loss ? 1 : 0);
    int fd = open(made.data, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || write(fd, text, (size_t)length) != length || fsync(fd) != 0 ||
        rename(made.data, timeline->file) != 0) {
        LOG_WARN("ledger_timeline_not_kept", LOG_TEXT("file", timeline->file),
                 LOG_TEXT("why", strerror(errno)));
    }
    if (fd >= 0) {
        close(fd);
    }
    buf_fini(&made);
}

struct timeline *timeline_new(const char *file, bool is_full)
{
    struct timeline *timeline = mem_zalloc(1, sizeof *timeline);
    pthread_mutex_init(&timeline->mutex, NULL);
    timeline->file = mem_strdup(file);
    timeline->is_full = is_full;
    read_file(timeline);
    return timeline;
}

void timeline_free(struct timeline *timeline)
{
    if (timeline != NULL) {
        pthread_mutex_destroy(&timeline->mutex);
        free(timeline->file);
        free(timeline);
    }
}

/* ---- servers ---- */

static bool is_old(const struct postgres_server *known, const struct postgres_server *server)
{
    return known->system != 0 && server->system != 0 &&
           (server->system != known->system || server->timeline < known->timeline);
}

enum status timeline_check(struct timeline *timeline, const struct postgres_server *server,
                           struct buf *out_why)
{
    if (timeline == NULL) {
        return STATUS_OK;
    }
    pthread_mutex_lock(&timeline->mutex);
    if (!is_old(&timeline->known, server)) {
        pthread_mutex_unlock(&timeline->mutex);
        return STATUS_OK;
    }
    if (server->system != timeline->known.system) {
        buf_append_text(out_why, "this is not the database system that the ledger was on");
    } else {
        buf_printf(out_why,
                   "this server is an old primary: its timeline is %u, and the ledger was on %u. "
                   "Stop it, or make it a standby of the present primary",
                   server->timeline, timeline->known.timeline);
    }
    buf_printf(out_why, ". To use it nevertheless, remove %s and start again", timeline->file);
    pthread_mutex_unlock(&timeline->mutex);
    return STATUS_INVALID;
}

void timeline_use(struct timeline *timeline, const struct postgres_server *server)
{
    if (timeline == NULL || server->system == 0) {
        return; /* a service with another storage does not say which it is */
    }
    pthread_mutex_lock(&timeline->mutex);
    struct postgres_server *known = &timeline->known;
    bool is_new = known->system == 0 || server->timeline > known->timeline;
    if (is_new && known->system != 0) {
        bool is_synchronous = known->has_standby && timeline->is_full;
        LOG_WARN("ledger_failed_over", LOG_INT("before", known->timeline),
                 LOG_INT("now", server->timeline),
                 LOG_TEXT("synchronous", is_synchronous ? "yes" : "no"));
        timeline->has_loss = timeline->has_loss || !is_synchronous;
        timeline->keeps_loss = timeline->keeps_loss || !is_synchronous;
    }
    if (is_new || server->has_standby != known->has_standby) {
        *known = *server;
        write_file(timeline);
    }
    pthread_mutex_unlock(&timeline->mutex);
}

bool timeline_is_old(struct timeline *timeline, const struct postgres_server *server)
{
    if (timeline == NULL) {
        return false;
    }
    pthread_mutex_lock(&timeline->mutex);
    bool result = is_old(&timeline->known, server);
    pthread_mutex_unlock(&timeline->mutex);
    return result;
}

void timeline_set_standby(struct timeline *timeline, bool has_standby)
{
    pthread_mutex_lock(&timeline->mutex);
    if (timeline->known.system != 0 && timeline->known.has_standby != has_standby) {
        timeline->known.has_standby = has_standby;
        write_file(timeline);
    }
    pthread_mutex_unlock(&timeline->mutex);
}

void timeline_set_lost(struct timeline *timeline)
{
    pthread_mutex_lock(&timeline->mutex);
    timeline->has_loss = timeline->keeps_loss = true;
    write_file(timeline);
    pthread_mutex_unlock(&timeline->mutex);
}

bool timeline_take_loss(struct timeline *timeline)
{
    pthread_mutex_lock(&timeline->mutex);
    bool has_loss = timeline->has_loss;
    timeline->has_loss = false;
    pthread_mutex_unlock(&timeline->mutex);
    return has_loss;
}

void timeline_loss_stored(struct timeline *timeline)
{
    pthread_mutex_lock(&timeline->mutex);
    if (timeline->keeps_loss && !timeline->has_loss) {
        timeline->keeps_loss = false;
        write_file(timeline);
    }
    pthread_mutex_unlock(&timeline->mutex);
}
