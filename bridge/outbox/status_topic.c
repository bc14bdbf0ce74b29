/*
 * What is told is always the whole present state, and only the last one counts: a change while one
 * is under way is told when that was acknowledged, and a new publisher begins with the present
 * state.
 */
#include "outbox/status_topic.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/message.h"
#include "model/topic.h"

#include <stdlib.h>

/* How long a command that was set aside keeps the bridge degraded, so that somebody sees it. */
#define SET_ASIDE_SHOWN_MS 60000
/* When to tell again what the broker did not take for now. */
#define TELL_AGAIN_MS 5000
/* At start the receivers need a moment: that is not yet a reason. */
#define STARTING_MS 5000

/* Every command is in exactly one place: base/counters.h has the sum. */
static const struct {
    const char *name;
    enum counter counter;
} COUNTS[] = {
    {"Received", COUNTER_RECEIVED},   {"Resumed", COUNTER_RESUMED},
    {"Succeeded", COUNTER_SUCCEEDED}, {"Failed", COUNTER_FAILED},
    {"Unknown", COUNTER_UNKNOWN},     {"Refused", COUNTER_REFUSED},
    {"Replayed", COUNTER_REPLAYED},   {"Waiting", COUNTER_WAITING},
    {"InWork", COUNTER_IN_WORK},      {"NotTaken", COUNTER_NOT_TAKEN},
    {"BeingTaken", COUNTER_TAKING},   {"Outbox", COUNTER_OUTBOX_DEPTH},
};
#define COUNTS_COUNT (sizeof COUNTS / sizeof COUNTS[0])

struct status_topic {
    const struct settings *settings;
    struct counters *counters;
    struct workers *workers;
    struct admin *admin;
    struct loop_timer *starting;  /* runs until not being subscribed counts */
    struct loop_timer *counting;  /* runs until changed counts are told */
    struct loop_timer *set_aside; /* runs while that is shown */
    struct loop_timer *again;     /* runs until a refused state is told once more */
    struct loop_timer *told_due;
    loop_fn *told;
    void *told_arg;
    bool reasons[HEALTH_REASON_COUNT];
    int64_t session_lost_at_ms; /* wall clock; 0: none is shown */
    int64_t since_ms;           /* wall clock; counted from then on */
    int64_t told_counts[COUNTS_COUNT];
    bool is_starting;
    bool has_publisher;
    bool is_telling;     /* a message is with the publisher */
    bool is_outdated;    /* the state changed since */
    const char *offline; /* why, once stopping */
};

static const char *const REASONS[HEALTH_REASON_COUNT] = {
    [HEALTH_NOT_SUBSCRIBED] = "not_subscribed",
    [HEALTH_SESSION_LOST] = "session_lost",
    [HEALTH_CREDENTIALS_REFUSED] = "credentials_refused",
    [HEALTH_STORE_UNAVAILABLE] = "store_unavailable",
    [HEALTH_API_UNREACHABLE] = "api_unreachable",
    [HEALTH_COMMAND_SET_ASIDE] = "command_set_aside",
    [HEALTH_RELOAD_FAILED] = "reload_failed",
};

static void starting_over(void *arg);
static void counts_due(void *arg);
static void set_aside_over(void *arg);
static void again_due(void *arg);

static void told_now(void *arg)
{
    struct status_topic *status_topic = arg;
    loop_fn *told = status_topic->told;
    status_topic->told = NULL;
    if (told != NULL) {
        told(status_topic->told_arg);
    }
}

struct status_topic *status_topic_new(struct loop *loop, const struct settings *settings,
                                      struct counters *counters)
{
    struct status_topic *status_topic = mem_zalloc(1, sizeof *status_topic);
    status_topic->settings = settings;
    status_topic->counters = counters;
    status_topic->since_ms = clock_wall_ms();
    status_topic->starting = loop_timer_new(loop, starting_over, status_topic);
    status_topic->counting = loop_timer_new(loop, counts_due, status_topic);
    status_topic->set_aside = loop_timer_new(loop, set_aside_over, status_topic);
    status_topic->again = loop_timer_new(loop, again_due, status_topic);
    status_topic->told_due = loop_timer_new(loop, told_now, status_topic);
    status_topic->is_starting = true;
    status_topic->reasons[HEALTH_NOT_SUBSCRIBED] = true;
    loop_timer_start(status_topic->starting, STARTING_MS);
    return status_topic;
}

void status_topic_connect(struct status_topic *status_topic, struct workers *workers,
                          struct admin *admin)
{
    status_topic->workers = workers;
    status_topic->admin = admin;
}

void status_topic_free(struct status_topic *status_topic)
{
    if (status_topic != NULL) {
        loop_timer_free(status_topic->starting);
        loop_timer_free(status_topic->counting);
        loop_timer_free(status_topic->set_aside);
        loop_timer_free(status_topic->again);
        loop_timer_free(status_topic->told_due);
        free(status_topic);
    }
}

static const char *state_word(const struct status_topic *status_topic)
{
    if (status_topic->offline != NULL) {
        return "offline";
    }
    for (size_t i = 0; i < HEALTH_REASON_COUNT; i++) {
        if (status_topic->reasons[i]) {
            return "degraded";
        }
    }
    return "online";
}

static void put_reasons(const struct status_topic *status_topic, struct buf *body)
{
    json_put_open(body, '[');
    for (size_t i = 0; i < HEALTH_REASON_COUNT; i++) {
        if (status_topic->reasons[i]) {
            json_put_element(body, slice_text(REASONS[i]));
        }
    }
    json_put_close(body, ']');
}

static void put_counts(const struct status_topic *status_topic, struct buf *body)
{
    json_put_name(body, "Counts");
    json_put_open(body, '{');
    json_put_time(body, "Since", status_topic->since_ms);
    for (size_t i = 0; i < COUNTS_COUNT; i++) {
        json_put_int(body, COUNTS[i].name, counter_get(status_topic->counters, COUNTS[i].counter));
    }
    json_put_close(body, '}');
}

/* What a bridge knows that runs. */
static void put_present(const struct status_topic *status_topic, struct buf *body)
{
    if (status_topic->session_lost_at_ms != 0) {
        json_put_time(body, "SessionLostAt", status_topic->session_lost_at_ms);
    }
    json_put_time(body, "At", clock_wall_ms());
    put_counts(status_topic, body);
}

/* Appends the status message; `status_topic` is NULL for the Last Will, which must not claim to
 * know a time. */
static enum status render(const struct status_topic *status_topic, const struct settings *settings,
                          struct buf *out)
{
    struct buf topic = {0};
    struct buf body = {0};
    const struct topic_values values = {.instance = settings->instance};
    const char *state = status_topic == NULL ? "offline" : state_word(status_topic);
    enum status status = topic_expand(settings->topics.status, &values, &topic);
    json_put_open(&body, '{');
    json_put_text(&body, "State", slice_text(state));
    if (status_topic == NULL) {
        json_put_text(&body, "Reason", slice_text("connection_lost"));
    } else if (status_topic->offline != NULL) {
        json_put_text(&body, "Reason", slice_text(status_topic->offline));
    } else if (strcmp(state, "degraded") == 0) {
        json_put_name(&body, "Reasons");
        put_reasons(status_topic, &body);
    }
    json_put_text(&body, "Instance", slice_text(settings->instance));
    json_put_text(&body, "Version", slice_text(BRIDGE_VERSION));
    if (status_topic != NULL) {
        put_present(status_topic, &body);
    }
    json_put_close(&body, '}');
    struct message message = {.topic = buf_slice(&topic),
                              .body = buf_slice(&body),
                              .qos = 1,
                              .is_retained = true,
                              .is_json = true,
                              .expiry_s = -1};
    if (status == STATUS_OK) {
        message_encode(&message, out);
    }
    buf_fini(&topic);
    buf_fini(&body);
    return status;
}

enum status status_topic_will(const struct settings *settings, struct buf *out)
{
    return render(NULL, settings, out);
}

static void log_state(const struct status_topic *status_topic)
{
    struct buf reasons = {0};
    put_reasons(status_topic, &reasons);
    LOG_INFO("status", LOG_TEXT("state", state_word(status_topic)),
             LOG_SLICE("reasons", buf_slice(&reasons)));
    buf_fini(&reasons);
}

/* Whether they are others than were told, and keeps them as told. */
static bool note_counts(struct status_topic *status_topic)
{
    bool has_changed = false;
    for (size_t i = 0; i < COUNTS_COUNT; i++) {
        int64_t count = counter_get(status_topic->counters, COUNTS[i].counter);
        has_changed |= status_topic->told_counts[i] != count;
        status_topic->told_counts[i] = count;
    }
    return has_changed;
}

static void tell(struct status_topic *status_topic)
{
    struct buf message = {0};
    if (!status_topic->has_publisher ||
        (status_topic->is_starting && status_topic->offline == NULL)) {
        return;
    }
    if (status_topic->is_telling) {
        status_topic->is_outdated = true;
        return;
    }
    if (render(status_topic, status_topic->settings, &message) == STATUS_OK) {
        note_counts(status_topic);
        status_topic->is_telling = true;
        status_topic->is_outdated = false;
        loop_timer_stop(status_topic->again);
        workers_publish(status_topic->workers, STATUS_TOPIC_MESSAGE_ID, buf_slice(&message));
    }
    buf_fini(&message);
}

static void again_due(void *arg)
{
    tell(arg);
}

/* Told as long as they change, then no more until something happens. A new publisher tells them
 * anyway. */
static void counts_due(void *arg)
{
    struct status_topic *status_topic = arg;
    if (status_topic->has_publisher && status_topic->offline == NULL && note_counts(status_topic)) {
        tell(status_topic);
        loop_timer_start(status_topic->counting, STATUS_TOPIC_COUNTS_MS);
    }
}

void status_topic_counts_changed(struct status_topic *status_topic)
{
    if (!loop_timer_is_running(status_topic->counting)) {
        loop_timer_start(status_topic->counting, STATUS_TOPIC_COUNTS_MS);
    }
}

static void changed(struct status_topic *status_topic)
{
    if (status_topic->admin != NULL) {
        admin_set_ready(status_topic->admin, status_topic->offline == NULL &&
                                                 status_topic->has_publisher &&
                                                 !status_topic->reasons[HEALTH_NOT_SUBSCRIBED] &&
                                                 !status_topic->reasons[HEALTH_STORE_UNAVAILABLE]);
    }
    log_state(status_topic);
    tell(status_topic);
}

static void starting_over(void *arg)
{
    struct status_topic *status_topic = arg;
    if (status_topic->is_starting) {
        status_topic->is_starting = false;
        changed(status_topic);
    }
}

void status_topic_set(struct status_topic *status_topic, enum health_reason reason, bool is_on)
{
    if (status_topic->reasons[reason] != is_on) {
        status_topic->reasons[reason] = is_on;
        changed(status_topic);
    }
}

void status_topic_receivers_changed(struct status_topic *status_topic, size_t up_count,
                                    size_t wanted_count)
{
    if (up_count == wanted_count) {
        status_topic->is_starting = false;
    }
    status_topic_set(status_topic, HEALTH_NOT_SUBSCRIBED, up_count < wanted_count);
}

void status_topic_publisher_changed(struct status_topic *status_topic, bool is_up)
{
    status_topic->has_publisher = is_up;
    status_topic->is_telling = false;
    changed(status_topic);
    if (!is_up && status_topic->offline != NULL) {
        loop_timer_start(status_topic->told_due, 0);
    }
}

void status_topic_published(struct status_topic *status_topic)
{
    status_topic->is_telling = false;
    if (status_topic->is_outdated) {
        tell(status_topic);
    } else if (status_topic->offline != NULL) {
        loop_timer_start(status_topic->told_due, 0);
    }
}

void status_topic_unpublished(struct status_topic *status_topic, bool is_final, struct slice why)
{
    LOG_WARN("status_not_published", LOG_SLICE("why", why));
    status_topic_published(status_topic);
    if (!is_final && !status_topic->is_telling && status_topic->offline == NULL) {
        loop_timer_start(status_topic->again, TELL_AGAIN_MS);
    }
}

void status_topic_recall_session_lost(struct status_topic *status_topic, int64_t at_ms)
{
    status_topic->session_lost_at_ms = at_ms;
    status_topic_set(status_topic, HEALTH_SESSION_LOST, true);
}

/* The first of several is kept: from then on commands may be lost. */
void status_topic_session_lost(struct status_topic *status_topic, const char *client_id,
                               int64_t at_ms)
{
    LOG_ERROR("session_lost", LOG_TEXT("client_id", client_id),
              LOG_TEXT("meaning", "the broker had forgotten this session: commands published while "
                                  "the bridge was away may be lost"),
              LOG_TEXT("until", "SIGUSR2 says that somebody has seen it"));
    if (status_topic->session_lost_at_ms == 0) {
        status_topic_recall_session_lost(status_topic, at_ms);
    }
}

int64_t status_topic_session_lost_at_ms(const struct status_topic *status_topic)
{
    return status_topic->session_lost_at_ms;
}

void status_topic_session_seen(struct status_topic *status_topic)
{
    status_topic->session_lost_at_ms = 0;
    status_topic_set(status_topic, HEALTH_SESSION_LOST, false);
}

static void set_aside_over(void *arg)
{
    status_topic_set(arg, HEALTH_COMMAND_SET_ASIDE, false);
}

void status_topic_set_aside(struct status_topic *status_topic)
{
    status_topic_set(status_topic, HEALTH_COMMAND_SET_ASIDE, true);
    loop_timer_start(status_topic->set_aside, SET_ASIDE_SHOWN_MS);
}

void status_topic_stop(struct status_topic *status_topic, const char *why, loop_fn *told, void *arg)
{
    status_topic->offline = why;
    status_topic->told = told;
    status_topic->told_arg = arg;
    changed(status_topic);
    if (!status_topic->has_publisher) {
        loop_timer_start(status_topic->told_due, 0);
    }
}
