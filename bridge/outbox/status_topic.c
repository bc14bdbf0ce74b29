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

struct presence {
    const struct settings *settings;
    struct counters *counters;
    struct mqtt_port *port;
    struct admin *admin;
    struct loop_timer *starting;  /* runs until not being subscribed counts */
    struct loop_timer *counting;  /* runs until changed counts are told */
    struct loop_timer *set_aside; /* runs while that is shown */
    struct loop_timer *again;     /* runs until a refused state is told once more */
    struct loop_timer *told_due;
    loop_fn *told;
    void *told_arg;
    bool reasons[PRESENCE_REASON_COUNT];
    int64_t session_lost_at_ms; /* wall clock; 0: none is shown */
    int64_t since_ms;           /* wall clock; counted from then on */
    int64_t told_counts[COUNTS_COUNT];
    bool is_starting;
    bool has_publisher;
    bool is_telling;     /* a message is with the publisher */
    bool is_outdated;    /* the state changed since */
    const char *offline; /* why, once stopping */
};

static const char *const REASONS[PRESENCE_REASON_COUNT] = {
    [PRESENCE_NOT_SUBSCRIBED] = "not_subscribed",
    [PRESENCE_SESSION_LOST] = "session_lost",
    [PRESENCE_CREDENTIALS_REFUSED] = "credentials_refused",
    [PRESENCE_STORE_UNAVAILABLE] = "store_unavailable",
    [PRESENCE_API_UNREACHABLE] = "api_unreachable",
    [PRESENCE_COMMAND_SET_ASIDE] = "command_set_aside",
    [PRESENCE_RELOAD_FAILED] = "reload_failed",
};

static void starting_over(void *arg);
static void counts_due(void *arg);
static void set_aside_over(void *arg);
static void again_due(void *arg);

static void told_now(void *arg)
{
    struct presence *presence = arg;
    loop_fn *told = presence->told;
    presence->told = NULL;
    if (told != NULL) {
        told(presence->told_arg);
    }
}

struct presence *presence_new(struct loop *loop, const struct settings *settings,
                              struct counters *counters)
{
    struct presence *presence = mem_zalloc(1, sizeof *presence);
    presence->settings = settings;
    presence->counters = counters;
    presence->since_ms = clock_wall_ms();
    presence->starting = loop_timer_new(loop, starting_over, presence);
    presence->counting = loop_timer_new(loop, counts_due, presence);
    presence->set_aside = loop_timer_new(loop, set_aside_over, presence);
    presence->again = loop_timer_new(loop, again_due, presence);
    presence->told_due = loop_timer_new(loop, told_now, presence);
    presence->is_starting = true;
    presence->reasons[PRESENCE_NOT_SUBSCRIBED] = true;
    loop_timer_start(presence->starting, STARTING_MS);
    return presence;
}

void presence_connect(struct presence *presence, struct mqtt_port *port, struct admin *admin)
{
    presence->port = port;
    presence->admin = admin;
}

void presence_free(struct presence *presence)
{
    if (presence != NULL) {
        loop_timer_free(presence->starting);
        loop_timer_free(presence->counting);
        loop_timer_free(presence->set_aside);
        loop_timer_free(presence->again);
        loop_timer_free(presence->told_due);
        free(presence);
    }
}

static const char *state_word(const struct presence *presence)
{
    if (presence->offline != NULL) {
        return "offline";
    }
    for (size_t i = 0; i < PRESENCE_REASON_COUNT; i++) {
        if (presence->reasons[i]) {
            return "degraded";
        }
    }
    return "online";
}

static void put_reasons(const struct presence *presence, struct buf *body)
{
    json_put_open(body, '[');
    for (size_t i = 0; i < PRESENCE_REASON_COUNT; i++) {
        if (presence->reasons[i]) {
            json_put_element(body, slice_text(REASONS[i]));
        }
    }
    json_put_close(body, ']');
}

static void put_time(struct buf *body, const char *name, int64_t wall_ms)
{
    char text[CLOCK_TEXT_BYTES];
    clock_format_ms(wall_ms, text);
    json_put_text(body, name, slice_text(text));
}

static void put_counts(const struct presence *presence, struct buf *body)
{
    json_put_name(body, "Counts");
    json_put_open(body, '{');
    put_time(body, "Since", presence->since_ms);
    for (size_t i = 0; i < COUNTS_COUNT; i++) {
        json_put_int(body, COUNTS[i].name, counter_get(presence->counters, COUNTS[i].counter));
    }
    json_put_close(body, '}');
}

/* What a bridge knows that runs. */
static void put_present(const struct presence *presence, struct buf *body)
{
    if (presence->session_lost_at_ms != 0) {
        put_time(body, "SessionLostAt", presence->session_lost_at_ms);
    }
    put_time(body, "At", clock_wall_ms());
    put_counts(presence, body);
}

/* Appends the status message; `presence` is NULL for the Last Will, which must not claim to know a
 * time. */
static enum status render(const struct presence *presence, const struct settings *settings,
                          struct buf *out)
{
    struct buf topic = {0};
    struct buf body = {0};
    const struct topic_values values = {.instance = settings->instance};
    const char *state = presence == NULL ? "offline" : state_word(presence);
    enum status status = topic_expand(settings->topics.status, &values, &topic);
    json_put_open(&body, '{');
    json_put_text(&body, "State", slice_text(state));
    if (presence == NULL) {
        json_put_text(&body, "Reason", slice_text("connection_lost"));
    } else if (presence->offline != NULL) {
        json_put_text(&body, "Reason", slice_text(presence->offline));
    } else if (strcmp(state, "degraded") == 0) {
        json_put_name(&body, "Reasons");
        put_reasons(presence, &body);
    }
    json_put_text(&body, "Instance", slice_text(settings->instance));
    json_put_text(&body, "Version", slice_text(BRIDGE_VERSION));
    if (presence != NULL) {
        put_present(presence, &body);
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

enum status presence_will(const struct settings *settings, struct buf *out)
{
    return render(NULL, settings, out);
}

static void log_state(const struct presence *presence)
{
    struct buf reasons = {0};
    put_reasons(presence, &reasons);
    LOG_INFO("status", LOG_TEXT("state", state_word(presence)),
             LOG_SLICE("reasons", buf_slice(&reasons)));
    buf_fini(&reasons);
}

/* Whether they are others than were told, and keeps them as told. */
static bool note_counts(struct presence *presence)
{
    bool has_changed = false;
    for (size_t i = 0; i < COUNTS_COUNT; i++) {
        int64_t count = counter_get(presence->counters, COUNTS[i].counter);
        has_changed |= presence->told_counts[i] != count;
        presence->told_counts[i] = count;
    }
    return has_changed;
}

static void tell(struct presence *presence)
{
    struct buf message = {0};
    if (!presence->has_publisher || (presence->is_starting && presence->offline == NULL)) {
        return;
    }
    if (presence->is_telling) {
        presence->is_outdated = true;
        return;
    }
    if (render(presence, presence->settings, &message) == STATUS_OK) {
        note_counts(presence);
        presence->is_telling = true;
        presence->is_outdated = false;
        loop_timer_stop(presence->again);
        mqtt_port_publish(presence->port, PRESENCE_MESSAGE_ID, buf_slice(&message));
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
    struct presence *presence = arg;
    if (presence->has_publisher && presence->offline == NULL && note_counts(presence)) {
        tell(presence);
        loop_timer_start(presence->counting, PRESENCE_COUNTS_MS);
    }
}

void presence_counts_changed(struct presence *presence)
{
    if (!loop_timer_is_running(presence->counting)) {
        loop_timer_start(presence->counting, PRESENCE_COUNTS_MS);
    }
}

static void changed(struct presence *presence)
{
    if (presence->admin != NULL) {
        admin_set_ready(presence->admin, presence->offline == NULL && presence->has_publisher &&
                                             !presence->reasons[PRESENCE_NOT_SUBSCRIBED] &&
                                             !presence->reasons[PRESENCE_STORE_UNAVAILABLE]);
    }
    log_state(presence);
    tell(presence);
}

static void starting_over(void *arg)
{
    struct presence *presence = arg;
    if (presence->is_starting) {
        presence->is_starting = false;
        changed(presence);
    }
}

void presence_set(struct presence *presence, enum presence_reason reason, bool is_on)
{
    if (presence->reasons[reason] != is_on) {
        presence->reasons[reason] = is_on;
        changed(presence);
    }
}

void presence_receivers_changed(struct presence *presence, size_t up_count, size_t wanted_count)
{
    if (up_count == wanted_count) {
        presence->is_starting = false;
    }
    presence_set(presence, PRESENCE_NOT_SUBSCRIBED, up_count < wanted_count);
}

void presence_publisher_changed(struct presence *presence, bool is_up)
{
    presence->has_publisher = is_up;
    presence->is_telling = false;
    changed(presence);
    if (!is_up && presence->offline != NULL) {
        loop_timer_start(presence->told_due, 0);
    }
}

void presence_published(struct presence *presence)
{
    presence->is_telling = false;
    if (presence->is_outdated) {
        tell(presence);
    } else if (presence->offline != NULL) {
        loop_timer_start(presence->told_due, 0);
    }
}

void presence_unpublished(struct presence *presence, bool is_final, struct slice why)
{
    LOG_WARN("status_not_published", LOG_SLICE("why", why));
    presence_published(presence);
    if (!is_final && !presence->is_telling && presence->offline == NULL) {
        loop_timer_start(presence->again, TELL_AGAIN_MS);
    }
}

void presence_recall_session_lost(struct presence *presence, int64_t at_ms)
{
    presence->session_lost_at_ms = at_ms;
    presence_set(presence, PRESENCE_SESSION_LOST, true);
}

/* The first of several is kept: from then on commands may be lost. */
void presence_session_lost(struct presence *presence, const char *client_id, int64_t at_ms)
{
    LOG_ERROR("session_lost", LOG_TEXT("client_id", client_id),
              LOG_TEXT("meaning", "the broker had forgotten this session: commands published while "
                                  "the bridge was away may be lost"),
              LOG_TEXT("until", "SIGUSR2 says that somebody has seen it"));
    if (presence->session_lost_at_ms == 0) {
        presence_recall_session_lost(presence, at_ms);
    }
}

int64_t presence_session_lost_at_ms(const struct presence *presence)
{
    return presence->session_lost_at_ms;
}

void presence_session_seen(struct presence *presence)
{
    presence->session_lost_at_ms = 0;
    presence_set(presence, PRESENCE_SESSION_LOST, false);
}

static void set_aside_over(void *arg)
{
    presence_set(arg, PRESENCE_COMMAND_SET_ASIDE, false);
}

void presence_set_aside(struct presence *presence)
{
    presence_set(presence, PRESENCE_COMMAND_SET_ASIDE, true);
    loop_timer_start(presence->set_aside, SET_ASIDE_SHOWN_MS);
}

void presence_stop(struct presence *presence, const char *why, loop_fn *told, void *arg)
{
    presence->offline = why;
    presence->told = told;
    presence->told_arg = arg;
    changed(presence);
    if (!presence->has_publisher) {
        loop_timer_start(presence->told_due, 0);
    }
}
