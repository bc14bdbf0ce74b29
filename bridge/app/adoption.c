/*
 * Asks the ledger again and again which instances have no run. While a session is drained the
 * answer also says whether its instance is still without one.
 */
#include "adoption.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define ASK_MS_MAX      5000
#define ASK_DRAINING_MS 1000
#define PARTS           10 /* of session_adopt_s between two questions */

/* An instance that has sessions and no run. */
struct absent {
    char *instance;
    int64_t since_ms; /* the loop's clock: it was seen first */
    bool is_leased;   /* by this run */
    struct session_record *sessions;
    size_t count;
};

struct absent_list {
    struct absent *items;
    size_t count;
    char *held; /* the first instance on whose sessions this run has the lease; NULL: none */
};

struct adoption {
    struct loop *loop;
    struct adoption_parts parts;
    struct loop_timer *timer;
    struct absent_list known;
    struct absent_list answer; /* is being read */
    char *instance;            /* on whose sessions this run has the lease; NULL: none */
    char *client_id;           /* of the session that is drained; NULL: none */
    bool is_abandoned;         /* that session */
    bool is_asking;
    bool is_answer_old; /* what was asked for has changed since */
    bool is_stopped;
};

/* ---- the answer ---- */

static void clear(struct absent_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        struct absent *absent = &list->items[i];
        for (size_t k = 0; k < absent->count; k++) {
            free(absent->sessions[k].client_id);
            text_list_fini(&absent->sessions[k].filters);
        }
        free(absent->sessions);
        free(absent->instance);
    }
    free(list->items);
    free(list->held);
    *list = (struct absent_list){0};
}

static struct absent *find(const struct absent_list *list, const char *instance)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i].instance, instance) == 0) {
            return &list->items[i];
        }
    }
    return NULL;
}

static struct session_record *session_of(struct absent *absent, const char *client_id)
{
    for (size_t i = 0; i < absent->count; i++) {
        if (strcmp(absent->sessions[i].client_id, client_id) == 0) {
            return &absent->sessions[i];
        }
    }
    absent->sessions =
        mem_realloc(absent->sessions, (absent->count + 1) * sizeof *absent->sessions);
    struct session_record *session = &absent->sessions[absent->count++];
    *session = (struct session_record){.client_id = mem_strdup(client_id)};
    return session;
}

static void take(void *arg, const char *instance, const char *key, int64_t value, bool is_leased)
{
    struct adoption *adoption = arg;
    struct absent_list *answer = &adoption->answer;
    const char *filter;
    if (strcmp(key, LEDGER_ADOPTER_KEY) == 0) {
        answer->held = answer->held == NULL ? mem_strdup(instance) : answer->held;
        return;
    }
    char *client_id = session_key_client_id(key, &filter);
    if (client_id == NULL) {
        return;
    }
    struct absent *absent = find(answer, instance);
    if (absent == NULL) {
        const struct absent *before = find(&adoption->known, instance);
        answer->items = mem_realloc(answer->items, (answer->count + 1) * sizeof *answer->items);
        absent = &answer->items[answer->count++];
        *absent = (struct absent){.instance = mem_strdup(instance),
                                  .since_ms = before == NULL ? loop_now_ms(adoption->loop)
                                                             : before->since_ms,
                                  .is_leased = is_leased};
    }
    struct session_record *session = session_of(absent, client_id);
    if (filter == NULL) {
        session->flags = value;
    } else {
        struct text_list *filters = &session->filters;
        filters->items = mem_realloc(filters->items, (filters->count + 1) * sizeof *filters->items);
        filters->items[filters->count++] = mem_strdup(filter);
    }
    free(client_id);
}

/* ---- draining ---- */

/* The sessions are somebody else's again, or there is none any more. */
static void release(struct adoption *adoption)
{
    ledger_forget_of(adoption->parts.ledger, adoption->instance, LEDGER_ADOPTER_KEY);
    free(adoption->instance);
    adoption->instance = NULL;
}

/* `at_once`: others may expel this run soon. */
static void abandon(struct adoption *adoption, bool at_once)
{
    if (!adoption->is_abandoned || at_once) {
        adoption->is_abandoned = true;
        sessions_abandon(adoption->parts.sessions, adoption->client_id, at_once);
    }
}

/* Begins with the next session of the instance. A session that cannot be drained here keeps its
 * lease, so that it is not tried again and again. */
static void drain_next(struct adoption *adoption, const struct absent *absent)
{
    for (size_t i = 0; i < absent->count && adoption->client_id == NULL; i++) {
        const struct session_record *session = &absent->sessions[i];
        if (session->flags != 0 &&
            sessions_adopt(adoption->parts.sessions, absent->instance, session)) {
            adoption->client_id = mem_strdup(session->client_id);
            adoption->is_abandoned = false;
        }
    }
}

static void go_on(struct adoption *adoption)
{
    /* Its bridge may have come back before this run got the lease: then it waits for the end of
     * it. */
    if (adoption->instance == NULL && adoption->known.held != NULL) {
        adoption->instance = mem_strdup(adoption->known.held);
    }
    if (adoption->instance == NULL) {
        return;
    }
    const struct absent *absent = find(&adoption->known, adoption->instance);
    bool is_ours = absent != NULL && absent->is_leased;
    if (adoption->client_id == NULL) {
        if (is_ours) {
            drain_next(adoption, absent);
        } else {
            release(adoption);
        }
    } else if (!is_ours) {
        abandon(adoption, false);
    }
}

void adoption_session_ended(struct adoption *adoption, const char *client_id)
{
    if (adoption == NULL || adoption->client_id == NULL ||
        strcmp(adoption->client_id, client_id) != 0) {
        return;
    }
    free(adoption->client_id);
    adoption->client_id = NULL;
    adoption->is_answer_old = true;
    if (adoption->is_abandoned && !adoption->is_stopped) {
        release(adoption);
    }
}

/* ---- asking ---- */

static void ask_later(struct adoption *adoption)
{
    int64_t ask_ms = adoption->parts.settings->ledger.session_adopt_s * 1000 / PARTS;
    if (adoption->instance != NULL) {
        ask_ms = ASK_DRAINING_MS;
    }
    loop_timer_start(adoption->timer, ask_ms < ASK_MS_MAX ? ask_ms : ASK_MS_MAX);
}

/* An answer that is handled after the lease has ended may be from before this process was stopped
 * for a while: by now another run may have the sessions. */
static void answered(void *arg, enum status status)
{
    struct adoption *adoption = arg;
    bool is_usable = status == STATUS_OK && !adoption->is_answer_old && !adoption->is_stopped &&
                     adoption->parts.lease->is_valid;
    adoption->is_asking = false;
    if (is_usable) {
        clear(&adoption->known);
        adoption->known = adoption->answer;
        adoption->answer = (struct absent_list){0};
        go_on(adoption);
    }
    clear(&adoption->answer);
    if (!adoption->is_stopped) {
        ask_later(adoption);
    }
}

/* The instance that has been absent for so long that its sessions are to be adopted, or NULL. */
static const char *candidate(const struct adoption *adoption)
{
    int64_t adopt_ms = adoption->parts.settings->ledger.session_adopt_s * 1000;
    int64_t now_ms = loop_now_ms(adoption->loop);
    for (size_t i = 0; i < adoption->known.count && adoption->instance == NULL; i++) {
        const struct absent *absent = &adoption->known.items[i];
        if (now_ms - absent->since_ms >= adopt_ms) {
            return absent->instance;
        }
    }
    return NULL;
}

static void ask(void *arg)
{
    struct adoption *adoption = arg;
    bool is_valid = adoption->parts.lease->is_valid;
    if (!is_valid && adoption->client_id != NULL) {
        abandon(adoption, true); /* others may adopt it soon, or its own bridge may come back */
    }
    if (adoption->is_stopped) {
        return;
    }
    if (adoption->is_asking || !is_valid) {
        ask_later(adoption);
        return;
    }
    adoption->is_asking = true;
    adoption->is_answer_old = false;
    ledger_list_absent(adoption->parts.ledger, candidate(adoption), take, answered, adoption);
}

struct adoption *adoption_new(struct loop *loop, const struct adoption_parts *parts)
{
    const struct settings *settings = parts->settings;
    if (!settings_is_shared(settings) || settings->ledger.session_adopt_s == 0) {
        return NULL;
    }
    struct adoption *adoption = mem_zalloc(1, sizeof *adoption);
    adoption->loop = loop;
    adoption->parts = *parts;
    adoption->timer = loop_timer_new(loop, ask, adoption);
    ask_later(adoption);
    return adoption;
}

void adoption_lease_changed(struct adoption *adoption)
{
    if (adoption != NULL && (!adoption->is_stopped || adoption->client_id != NULL)) {
        loop_timer_start(adoption->timer, 0);
    }
}

void adoption_stop(struct adoption *adoption)
{
    if (adoption != NULL) {
        adoption->is_stopped = true;
        loop_timer_stop(adoption->timer);
    }
}

void adoption_free(struct adoption *adoption)
{
    if (adoption != NULL) {
        loop_timer_free(adoption->timer);
        clear(&adoption->known);
        clear(&adoption->answer);
        free(adoption->instance);
        free(adoption->client_id);
        free(adoption);
    }
}

enum adoption_wait adoption_must_wait(struct ledger *ledger, struct lease *lease)
{
    int64_t holder;
    enum status status = ledger_read_number(ledger, LEDGER_ADOPTER_KEY, &holder);
    /* After the number was read: this run was registered then. */
    bool is_lost = lease_check(lease, clock_boot_ms()) == LEASE_LOST;
    if (status == STATUS_OK && !is_lost) {
        return ADOPTION_WAIT;
    }
    return status == STATUS_NOT_FOUND && lease->is_valid ? ADOPTION_GO_ON : ADOPTION_START_AGAIN;
}
