#include "sessions.h"

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>

/* When the first lost session that nobody has acknowledged was lost (wall clock); 0: none. */
#define META_SESSION_LOST "session.lost_at_ms"

struct sessions {
    const struct settings *settings;
    struct ledger *ledger;
    struct health *health;
    struct counters *counters;
    bool *has_session; /* by receiver: the broker had one once and should still have it */
};

/* The ledger's key of "this receiver had a session". Another client id is another session. */
static char *session_key(const struct sessions *sessions, uint32_t receiver)
{
    struct buf key = {0};
    buf_printf(&key, "session:%u:%s", receiver, sessions->settings->broker.client_id);
    return buf_take(&key);
}

struct sessions *sessions_new(const struct settings *settings, struct ledger *ledger,
                              struct health *health, struct counters *counters)
{
    struct sessions *sessions = mem_zalloc(1, sizeof *sessions);
    uint32_t count = (uint32_t)settings->broker.receivers;
    *sessions = (struct sessions){settings, ledger, health, counters,
                                  mem_zalloc(count, sizeof *sessions->has_session)};
    for (uint32_t i = 0; i < count; i++) {
        char *key = session_key(sessions, i);
        sessions->has_session[i] = ledger_recall(ledger, key, 0) != 0;
        free(key);
    }
    int64_t lost_at_ms = ledger_recall(ledger, META_SESSION_LOST, 0);
    if (lost_at_ms != 0) {
        health_set_since(health, HEALTH_SESSION_LOST, lost_at_ms);
    }
    return sessions;
}

void sessions_free(struct sessions *sessions)
{
    if (sessions != NULL) {
        free(sessions->has_session);
        free(sessions);
    }
}

void sessions_opened(struct sessions *sessions, uint32_t receiver, const char *client_id,
                     bool is_present)
{
    if (!is_present && sessions->has_session[receiver]) {
        counter_add(sessions->counters, COUNTER_SESSIONS_LOST, 1);
        LOG_ERROR("session_lost", LOG_TEXT("client_id", client_id));
        /* The time of the first loss stays: from then on commands may be lost. */
        health_set(sessions->health, HEALTH_SESSION_LOST, true);
        ledger_remember(sessions->ledger, META_SESSION_LOST,
                        health_since_ms(sessions->health, HEALTH_SESSION_LOST));
    }
    if (!sessions->has_session[receiver]) {
        char *key = session_key(sessions, receiver);
        sessions->has_session[receiver] = true;
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
