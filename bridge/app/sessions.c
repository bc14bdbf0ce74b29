/*
 * What the ledger has of a session (session_list.h) is loaded before the ledger starts; what is to
 * be written follows after that, and nothing is started at the broker before it is durable.
 */
#include "sessions.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/message.h"
#include "outbox/status_topic.h"
#include "session_list.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Wall clock: when the oldest loss that nobody has acknowledged was noticed, and the newest loss.
 */
#define META_LOST_AT    "session.lost_at_ms"
#define META_LOST_LAST  "session.lost_last_at_ms" /* 0: acknowledged */
#define META_LOST_COUNT "session.lost_count"
/* The Last Will of a publisher that was killed comes so late, and would replace what was cleared.
 */
#define CLEAR_MS        12000
#define CLEAR_ID(index) (-1 - (int64_t)(index))

struct sessions {
    const struct settings *settings;
    bool is_leaving;
    struct ledger *ledger;
    struct health *health;
    struct counters *counters;
    struct session_list list;
    bool is_subscribed;
    struct shared_text *shown;
    struct mqtt_session *former; /* for the workers */
    struct workers *workers;
    struct loop_timer *hold;  /* of HEALTH_SESSION_LOST */
    struct loop_timer *clear; /* until the former status topics can be cleared */
    int64_t started_ms;
    unsigned losses_to_record; /* connections that wait for a commit */
    loop_fn *left;
    void *left_arg;
    struct loop_timer *prepared;
    loop_fn *ready; /* of sessions_prepare() */
    void *ready_arg;
    int64_t lost_last_ms; /* wall clock: the newest loss */
};

/* ---- What /status shows ---- */

static const char *state_of(const struct sessions *sessions, size_t index)
{
    if (index == 0 && sessions->list.has_own) {
        return sessions->is_subscribed ? "subscribed" : "not_subscribed";
    }
    return sessions->list.records[index].is_ending ? "ending" : "draining";
}

static void show(struct sessions *sessions)
{
    struct buf out = {0};
    assert(sessions->list.count == 0 || sessions->list.records != NULL);
    json_put_open(&out, '[');
    for (size_t i = 0; i < sessions->list.count; i++) {
        const struct session_record *record = &sessions->list.records[i];
        if (record->is_gone) {
            continue;
        }
        json_put_open(&out, '{');
        json_put_text(&out, "ClientId", slice_text(record->client_id));
        json_put_name(&out, "Filters");
        json_put_open(&out, '[');
        for (size_t k = 0; k < record->filters.count; k++) {
            json_put_element(&out, slice_text(record->filters.items[k]));
        }
        json_put_close(&out, ']');
        json_put_text(&out, "State", slice_text(state_of(sessions, i)));
        json_put_close(&out, '}');
    }
    json_put_close(&out, ']');
    shared_text_set(sessions->shown, buf_slice(&out));
    buf_fini(&out);
}

/* ---- A loss ---- */

static void hold_over(void *arg)
{
    struct sessions *sessions = arg;
    health_set(sessions->health, HEALTH_SESSION_LOST, false);
}

/* The reason lasts, unless the last loss is long ago. */
static void hold(struct sessions *sessions, int64_t last_ms)
{
    int64_t hold_ms = sessions->settings->broker.session_lost_hold_s * 1000;
    sessions->lost_last_ms = last_ms;
    int64_t left_ms = last_ms + hold_ms - clock_wall_ms();
    if (hold_ms > 0) {
        loop_timer_start(sessions->hold, left_ms > 0 ? left_ms : 0);
    }
}

static void recall_loss(struct sessions *sessions)
{
    int64_t first_ms = ledger_recall(sessions->ledger, META_LOST_AT, 0);
    int64_t last_ms = ledger_recall(sessions->ledger, META_LOST_LAST, first_ms);
    int64_t hold_ms = sessions->settings->broker.session_lost_hold_s * 1000;
    counter_set(sessions->counters, COUNTER_SESSIONS_LOST,
                ledger_recall(sessions->ledger, META_LOST_COUNT, 0));
    if (first_ms == 0) {
        return;
    }
    if (last_ms != 0 && (hold_ms == 0 || last_ms + hold_ms > clock_wall_ms())) {
        health_set_since(sessions->health, HEALTH_SESSION_LOST, first_ms);
        hold(sessions, last_ms);
    } else {
        health_set_past(sessions->health, HEALTH_SESSION_LOST, first_ms);
    }
}

static void record_loss(struct sessions *sessions, const char *client_id)
{
    int64_t now_ms = clock_wall_ms();
    LOG_ERROR("session_lost", LOG_TEXT("client_id", client_id));
    counter_add(sessions->counters, COUNTER_SESSIONS_LOST, 1);
    /* The time of the first loss stays: from then on commands may be lost. */
    health_set(sessions->health, HEALTH_SESSION_LOST, true);
    hold(sessions, now_ms);
    ledger_remember(sessions->ledger, META_LOST_AT,
                    health_since_ms(sessions->health, HEALTH_SESSION_LOST));
    ledger_remember(sessions->ledger, META_LOST_LAST, now_ms);
    ledger_remember(sessions->ledger, META_LOST_COUNT,
                    counter_get(sessions->counters, COUNTER_SESSIONS_LOST));
}

bool sessions_acknowledge_loss(struct sessions *sessions)
{
    bool was_on = health_is_on(sessions->health, HEALTH_SESSION_LOST);
    LOG_INFO("session_loss_acknowledged", LOG_TEXT("was_lost", was_on ? "yes" : "no"));
    if (was_on) {
        loop_timer_stop(sessions->hold);
        health_set(sessions->health, HEALTH_SESSION_LOST, false);
        ledger_remember(sessions->ledger, META_LOST_LAST, 0);
    }
    return was_on;
}

/* ---- What waits for a commit ---- */

struct waiter {
    struct sessions *sessions;
    void (*go_on)(struct sessions *sessions, const struct waiter *waiter);
    uint32_t generation;
    char *client_id; /* NULL for none */
};

static void ignore_message(void *arg, int64_t id, struct slice message)
{
    (void)arg;
    (void)id;
    (void)message;
}

static void committed(void *arg, size_t count)
{
    struct waiter *waiter = arg;
    (void)count;
    waiter->go_on(waiter->sessions, waiter);
    free(waiter->client_id);
    free(waiter);
}

/* Goes on when everything that was remembered is durable: the ledger answers in order. */
static void when_durable(struct sessions *sessions, const struct waiter *waiter)
{
    struct waiter *kept = mem_zalloc(1, sizeof *kept);
    *kept = *waiter;
    kept->sessions = sessions;
    ledger_read_outbox(sessions->ledger, INT64_MAX, 1, ignore_message, committed, kept);
}

/* ---- Connections ---- */

static void loss_recorded(struct sessions *sessions, const struct waiter *waiter)
{
    sessions->losses_to_record--;
    workers_go_on(sessions->workers, waiter->generation);
}

/* Whether the broker has lost a session. Where the broker has never said that a session of this
 * client id is present, only the first absence is reported: it would be one at each connection. */
static bool note_absence(struct sessions *sessions, struct session_record *record)
{
    bool was_opened = (record->flags & SESSION_OPENED) != 0;
    bool is_loss =
        was_opened && (record->flags & (SESSION_SEEN | SESSION_REPORTED)) != SESSION_REPORTED;
    if (is_loss) {
        record_loss(sessions, record->client_id);
        record->flags =
            SESSION_LISTED | SESSION_OPENED | SESSION_REPORTED | (record->flags & SESSION_SEEN);
    } else if (was_opened && (record->flags & SESSION_WARNED) == 0) {
        LOG_WARN("session_never_present", LOG_TEXT("client_id", record->client_id));
        record->flags |= SESSION_WARNED;
    } else {
        record->flags |= SESSION_OPENED;
    }
    return is_loss;
}

void sessions_connected(struct sessions *sessions, const char *client_id, bool is_present,
                        uint32_t generation)
{
    struct session_record *record = session_list_find(&sessions->list, client_id);
    struct waiter waiter = {.go_on = loss_recorded, .generation = generation};
    int64_t before = record->flags;
    bool is_loss = false;
    if (is_present) {
        record->flags = SESSION_LISTED | SESSION_OPENED | SESSION_SEEN;
    } else {
        is_loss = note_absence(sessions, record);
    }
    if (record->flags != before) {
        session_record_store(record, sessions->ledger);
    }
    if (is_loss || sessions->losses_to_record > 0) { /* of the connection before this one, too */
        sessions->losses_to_record++;
        when_durable(sessions, &waiter);
    } else {
        workers_go_on(sessions->workers, generation);
    }
}

void sessions_receiver_changed(struct sessions *sessions, bool is_up)
{
    if (is_up && workers_has_unsubscribed(sessions->workers)) { /* they do not use the list */
        session_record_forget_unsubscribed(session_list_own(&sessions->list), sessions->ledger);
    }
    sessions->is_subscribed = is_up;
    show(sessions);
}

/* ---- Former sessions ---- */

static bool has_former(const struct sessions *sessions)
{
    return session_list_former_count(&sessions->list) > 0;
}

static void session_may_end(struct sessions *sessions, const struct waiter *waiter)
{
    workers_end_session(sessions->workers, waiter->client_id);
}

void sessions_drained(struct sessions *sessions, const char *client_id)
{
    struct session_record *record = session_list_find(&sessions->list, client_id);
    /* From now on it is no loss if the session is not there. */
    record->flags = SESSION_LISTED;
    record->is_ending = true;
    session_record_store(record, sessions->ledger);
    show(sessions);
    when_durable(sessions,
                 &(struct waiter){.go_on = session_may_end, .client_id = mem_strdup(client_id)});
}

bool sessions_adopt(struct sessions *sessions, const char *instance,
                    const struct session_record *found)
{
    struct session_record *record = session_list_find(&sessions->list, found->client_id);
    if (sessions->is_leaving || (record != NULL && !record->is_gone)) {
        return false;
    }
    record = session_list_adopt(&sessions->list, instance, found);
    const struct mqtt_session session = {record->client_id, MQTT_SESSION_DRAIN,
                                         record->unsubscribe};
    LOG_WARN("session_adopted", LOG_TEXT("client_id", record->client_id),
             LOG_TEXT("of_instance", instance));
    health_set(sessions->health, HEALTH_DRAINING_SESSION, true);
    workers_adopt(sessions->workers, &session);
    show(sessions);
    return true;
}

void sessions_abandon(struct sessions *sessions, const char *client_id, bool at_once)
{
    struct session_record *record = session_list_find(&sessions->list, client_id);
    if (!record->is_abandoned) {
        LOG_INFO("session_abandoned", LOG_TEXT("client_id", client_id),
                 LOG_TEXT("of_instance", record->instance));
    }
    record->is_abandoned = true;
    workers_abandon(sessions->workers, client_id, at_once);
}

void sessions_ended(struct sessions *sessions, const char *client_id)
{
    struct session_record *record = session_list_find(&sessions->list, client_id);
    if (record->is_abandoned) {
        record->is_gone = true;
    } else {
        LOG_INFO("session_ended", LOG_TEXT("client_id", client_id));
        session_record_forget(record, sessions->ledger);
    }
    show(sessions);
    if (!has_former(sessions)) {
        health_set(sessions->health, HEALTH_DRAINING_SESSION, false);
        if (sessions->is_leaving) {
            sessions->left(sessions->left_arg);
        }
    }
}

/* ---- Former status topics ---- */

static void clear_due(void *arg)
{
    struct sessions *sessions = arg;
    const struct text_list *topics = &sessions->list.former_status;
    for (size_t i = 0; i < topics->count && workers_may_publish(sessions->workers); i++) {
        struct message message = {.topic = slice_text(topics->items[i]),
                                  .body = slice_text(""),
                                  .qos = 1,
                                  .is_retained = true,
                                  .expiry_s = -1};
        struct buf encoded = {0};
        message_encode(&message, &encoded);
        workers_publish(sessions->workers, CLEAR_ID(i), 0, buf_slice(&encoded));
        buf_fini(&encoded);
    }
}

void sessions_publisher_changed(struct sessions *sessions, bool is_up)
{
    int64_t left_ms = sessions->started_ms + CLEAR_MS - clock_mono_ms();
    if (!is_up) {
        loop_timer_stop(sessions->clear);
    } else if (sessions->list.former_status.count > 0) {
        loop_timer_start(sessions->clear, left_ms > 0 ? left_ms : 0);
    }
}

void sessions_published(struct sessions *sessions, int64_t id, bool is_taken)
{
    const char *topic = sessions->list.former_status.items[CLEAR_ID(id)];
    if (is_taken) {
        session_list_forget_status(topic, sessions->ledger);
    } else {
        LOG_WARN("status_not_cleared", LOG_TEXT("topic", topic));
    }
}

/* ---- Other settings ---- */

static void prepared(void *arg)
{
    struct sessions *sessions = arg;
    sessions->ready(sessions->ready_arg);
}

static void filters_durable(struct sessions *sessions, const struct waiter *waiter)
{
    (void)waiter;
    prepared(sessions);
}

void sessions_prepare(struct sessions *sessions, const struct settings *next, loop_fn *ready,
                      void *arg)
{
    sessions->ready = ready;
    sessions->ready_arg = arg;
    if (session_list_add_filters(&sessions->list, next, sessions->ledger)) {
        when_durable(sessions, &(struct waiter){.go_on = filters_durable});
    } else {
        loop_timer_start(sessions->prepared, 0);
    }
}

void sessions_settings_changed(struct sessions *sessions)
{
    struct session_record *own = session_list_own(&sessions->list);
    session_list_filters_changed(&sessions->list, sessions->settings);
    if (own != NULL) {
        workers_set_unsubscribe(sessions->workers, &own->unsubscribe);
    }
    if (health_is_on(sessions->health, HEALTH_SESSION_LOST)) {
        loop_timer_stop(sessions->hold);
        hold(sessions, sessions->lost_last_ms);
    }
    show(sessions);
}

bool sessions_leave(struct sessions *sessions)
{
    struct session_record *own = session_list_leave(&sessions->list);
    if (own == NULL) {
        return false;
    }
    const struct mqtt_session session = {own->client_id, MQTT_SESSION_DRAIN, own->unsubscribe};
    LOG_INFO("former_session", LOG_TEXT("client_id", own->client_id));
    sessions->is_leaving = true;
    health_set(sessions->health, HEALTH_DRAINING_SESSION, true);
    workers_leave(sessions->workers, &session);
    show(sessions);
    return true;
}

/* ---- Start ---- */

const char *sessions_instance(struct sessions *sessions)
{
    return session_list_instance(&sessions->list, sessions->settings->instance);
}

static void start_workers(struct sessions *sessions, const struct waiter *waiter)
{
    (void)waiter;
    workers_start(sessions->workers);
    if (sessions->is_leaving && !has_former(sessions)) {
        sessions->left(sessions->left_arg);
    }
}

static void set_sessions(struct sessions *sessions)
{
    const struct session_record *own = session_list_own(&sessions->list);
    struct workers_sessions given = {.is_leaving = sessions->is_leaving};
    sessions->former =
        mem_zalloc(session_list_former_count(&sessions->list), sizeof *sessions->former);
    for (size_t i = 0; i < sessions->list.count; i++) {
        const struct session_record *record = &sessions->list.records[i];
        if (record != own) {
            LOG_INFO("former_session", LOG_TEXT("client_id", record->client_id));
            sessions->former[given.former_count++] =
                (struct mqtt_session){record->client_id, MQTT_SESSION_DRAIN, record->unsubscribe};
        }
    }
    if (own != NULL) {
        given.unsubscribe = own->unsubscribe;
    }
    given.former = sessions->former;
    workers_set_sessions(sessions->workers, &given);
    health_set(sessions->health, HEALTH_DRAINING_SESSION, given.former_count > 0);
    show(sessions);
}

void sessions_start(struct sessions *sessions, struct workers *workers, loop_fn *left, void *arg)
{
    struct waiter waiter = {.go_on = start_workers};
    struct buf topic = {0};
    sessions->workers = workers;
    sessions->left = left;
    sessions->left_arg = arg;
    (void)status_topic_name(sessions->settings, &topic);
    bool has_news = session_list_update(&sessions->list, sessions->settings, sessions->is_leaving,
                                        topic.length > 0 ? topic.data : "", sessions->ledger);
    buf_fini(&topic);
    set_sessions(sessions);
    if (has_news) {
        when_durable(sessions, &waiter);
    } else {
        start_workers(sessions, &waiter);
    }
}

struct sessions *sessions_new(struct loop *loop, const struct settings *settings, bool is_leaving,
                              struct ledger *ledger, struct health *health,
                              struct counters *counters, struct shared_text *shown)
{
    struct sessions *sessions = mem_zalloc(1, sizeof *sessions);
    *sessions = (struct sessions){.settings = settings,
                                  .is_leaving = is_leaving,
                                  .ledger = ledger,
                                  .health = health,
                                  .counters = counters,
                                  .shown = shown,
                                  .started_ms = clock_mono_ms()};
    sessions->hold = loop_timer_new(loop, hold_over, sessions);
    sessions->clear = loop_timer_new(loop, clear_due, sessions);
    sessions->prepared = loop_timer_new(loop, prepared, sessions);
    session_list_load(&sessions->list, ledger);
    recall_loss(sessions);
    return sessions;
}

void sessions_free(struct sessions *sessions)
{
    if (sessions != NULL) {
        loop_timer_free(sessions->hold);
        loop_timer_free(sessions->clear);
        loop_timer_free(sessions->prepared);
        session_list_fini(&sessions->list);
        free(sessions->former);
        free(sessions);
    }
}
