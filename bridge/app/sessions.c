#include "sessions.h"

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>

/* When the first lost session that nobody has acknowledged was lost (wall clock); 0: none. */
#define META_SESSION_LOST "session.lost_at_ms"

/* Former versions had up to this many receivers, each with a session of its own. */
#define FORMER_RECEIVERS_MAX 64

struct sessions {
    const struct settings *settings;
    struct ledger *ledger;
    struct health *health;
    struct counters *counters;
    bool has_session; /* the broker had one once and should still have it */
};

/* The ledger's key of "this receiver had a session"; 0 is the one that there still is. Another
 * client id is another session. */
static char *session_key(const struct sessions *sessions, unsigned receiver)
{
    struct buf key = {0};
    buf_printf(&key, "session:%u:%s", receiver, sessions->settings->broker.client_id);
    return buf_take(&key);
}

static bool has_record(const struct sessions *sessions, unsigned receiver)
{
    char *key = session_key(sessions, receiver);
    bool is_known = ledger_recall(sessions->ledger, key, 0) != 0;
    free(key);
    return is_known;
}

/* Several receivers had the client ids ...-in-1, ...-in-2 and so on. Their records stay in the
 * ledger: the broker may still keep commands in these sessions. */
static void report_former_sessions(const struct sessions *sessions)
{
    bool had_several = false;
    for (unsigned i = 1; i < FORMER_RECEIVERS_MAX && !had_several; i++) {
        had_several = has_record(sessions, i);
    }
    for (unsigned i = 0; had_several && i < FORMER_RECEIVERS_MAX; i++) {
        if (has_record(sessions, i)) {
            struct buf client_id = {0};
            buf_printf(&client_id, "%s-in-%u", sessions->settings->broker.client_id, i + 1);
            LOG_WARN("former_session", LOG_TEXT("client_id", client_id.data));
            buf_fini(&client_id);
        }
    }
}

struct sessions *sessions_new(const struct settings *settings, struct ledger *ledger,
                              struct health *health, struct counters *counters)
{
    struct sessions *sessions = mem_zalloc(1, sizeof *sessions);
    *sessions = (struct sessions){settings, ledger, health, counters, .has_session = false};
    sessions->has_session = has_record(sessions, 0);
    report_former_sessions(sessions);
    int64_t lost_at_ms = ledger_recall(ledger, META_SESSION_LOST, 0);
    if (lost_at_ms != 0) {
        health_set_since(health, HEALTH_SESSION_LOST, lost_at_ms);
    }
    return sessions;
}

void sessions_free(struct sessions *sessions)
{
    free(sessions);
}

void sessions_opened(struct sessions *sessions, const char *client_id, bool is_present)
{
    if (!is_present && sessions->has_session) {
        counter_add(sessions->counters, COUNTER_SESSIONS_LOST, 1);
        LOG_ERROR("session_lost", LOG_TEXT("client_id", client_id));
        /* The time of the first loss stays: from then on commands may be lost. */
        health_set(sessions->health, HEALTH_SESSION_LOST, true);
        ledger_remember(sessions->ledger, META_SESSION_LOST,
                        health_since_ms(sessions->health, HEALTH_SESSION_LOST));
    }
    if (!sessions->has_session) {
        char *key = session_key(sessions, 0);
        sessions->has_session = true;
        ledger_remember(sessions->ledger, key, 1);
        free(key);
    }
}

void sessions_acknowledge_loss(struct sessions *sessions)
{
    bool was_on = health_is_on(sessions->health, HEALTH_SESSION_LOST);
    LOG_INFO("session_loss_acknowledged", LOG_TEXT("was_lost", was_on ? "yes" : "no"));
    if (was_on) {
        health_set(sessions->health, HEALTH_SESSION_LOST, false);
        ledger_remember(sessions->ledger, META_SESSION_LOST, 0);
    }
}
