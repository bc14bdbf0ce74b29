#include "ledger_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "model/message.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GUARD_MS 20000

/* ---- lines ---- */

static void add_line(struct rig *rig, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void add_line(struct rig *rig, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    buf_vprintf(&rig->log, format, arguments);
    va_end(arguments);
    buf_append_char(&rig->log, '\n');
    rig->line_count++;
    if (rig->line_count >= rig->awaited_count) {
        loop_stop(rig->loop);
    }
}

static void too_late(void *arg)
{
    struct rig *rig = arg;
    add_line(rig, "nothing more came in %d ms", GUARD_MS);
    loop_stop(rig->loop);
}

static size_t count_lines(const char *text)
{
    size_t count = 0;
    for (; *text != '\0'; text++) {
        count += *text == '\n' ? 1 : 0;
    }
    return count;
}

void rig_expect(struct rig *rig, const char *lines)
{
    rig->awaited_count = count_lines(lines);
    if (rig->line_count < rig->awaited_count) {
        loop_timer_start(rig->guard, GUARD_MS);
        loop_run(rig->loop);
        loop_timer_stop(rig->guard);
    }
    rig->awaited_count = SIZE_MAX;
    assert_string_equal(rig->log.data == NULL ? "" : rig->log.data, lines);
    buf_clear(&rig->log);
    rig->line_count = 0;
}

/* ---- the ledger's callbacks ---- */

static bool reserve(void *arg, const struct command *command)
{
    struct rig *rig = arg;
    (void)command;
    rig->asked_count++;
    return rig->may_reserve;
}

static void release(void *arg, const struct command *command)
{
    add_line(arg, "released %s", command->token);
}

static void claimed(void *arg, struct command *command)
{
    struct rig *rig = arg;
    assert_true(rig->held_count < RIG_HELD_MAX);
    rig->held[rig->held_count++] = command;
    add_line(rig, "claimed %s %s", command->token, state_text(command->state));
}

static struct slice text_of(const struct json *object, const char *name)
{
    return json_text(json_member(object, name));
}

static void describe_reply(struct rig *rig, const struct message *message, struct buf *out)
{
    struct json_fault fault;
    struct json *body = json_parse(message->body, 3, &fault);
    assert_non_null(body);
    struct slice status = text_of(body, "Status");
    struct slice token = text_of(body, "ClientToken");
    struct slice code = text_of(json_member(body, "Error"), "Code");
    struct slice correlation_id = text_of(body, "CorrelationId");
    const struct json *replayed = json_member(body, "Replayed");
    buf_printf(out, "%.*s %.*s", (int)status.length, status.data, (int)token.length, token.data);
    if (slice_is_present(code)) {
        buf_printf(out, " %.*s", (int)code.length, code.data);
    }
    if (replayed != NULL && json_kind(replayed) == JSON_TRUE) {
        buf_append_text(out, " replayed");
    }
    buf_printf(out, " to %.*s", (int)message->topic.length, message->topic.data);
    if (slice_is_present(correlation_id)) {
        buf_printf(out, " #%.*s", (int)correlation_id.length, correlation_id.data);
    }
    buf_clear(&rig->last_body);
    buf_append(&rig->last_body, message->body);
    json_free(body);
}

static void add_message_line(struct rig *rig, const char *verb, int64_t id, struct slice bytes)
{
    struct message message;
    struct buf text = {0};
    if (message_decode(bytes, &message) == STATUS_OK) {
        describe_reply(rig, &message, &text);
    } else {
        buf_append(&text, bytes);
    }
    rig->last_message_id = id;
    add_line(rig, "%s %s", verb, text.data);
    buf_fini(&text);
}

static void posted(void *arg, int64_t id, struct slice message)
{
    add_message_line(arg, "posted", id, message);
}

static void found(void *arg, int64_t id, struct slice message)
{
    add_message_line(arg, "found", id, message);
}

static void health(void *arg, bool is_failing, const char *text)
{
    struct rig *rig = arg;
    assert_true(is_failing == (text[0] != '\0'));
    if (is_failing) {
        buf_clear(&rig->last_trouble);
        buf_append_text(&rig->last_trouble, text);
    }
    add_line(rig, is_failing ? "failing" : "working");
}

/* A callback's argument: the rig, and the token it is about. */
struct asked {
    struct rig *rig;
    char token[64];
};

static struct asked *asked_new(struct rig *rig, const char *token)
{
    struct asked *asked = mem_zalloc(1, sizeof *asked);
    asked->rig = rig;
    strncpy(asked->token, token, sizeof asked->token - 1);
    return asked;
}

static void claim_done(void *arg, enum status status, enum claim_result result)
{
    static const char *const TEXTS[] = {
        [CLAIM_NEW] = "new",           [CLAIM_AGAIN] = "again",       [CLAIM_WAITS] = "waits",
        [CLAIM_REPLAYED] = "replayed", [CLAIM_MISMATCH] = "mismatch", [CLAIM_REFUSED] = "refused",
    };
    struct asked *asked = arg;
    add_line(asked->rig, "done %s %s", asked->token,
             status == STATUS_OK ? TEXTS[result] : status_text(status));
    free(asked);
}

static void begin_done(void *arg, enum status status)
{
    struct asked *asked = arg;
    assert_int_equal(status, STATUS_OK);
    add_line(asked->rig, "begun %s", asked->token);
    free(asked);
}

static void post_done(void *arg, enum status status)
{
    add_line(arg, status == STATUS_OK ? "kept" : "not kept");
}

static void read_done(void *arg, size_t count)
{
    add_line(arg, "read %zu", count);
}

/* ---- opening and closing ---- */

void rig_open(struct rig *rig)
{
    const struct ledger_hooks hooks = {rig, reserve, release, claimed, posted, health};
    struct buf why = {0};
    enum status status = ledger_open(rig->loop, &rig->options, &hooks, &rig->ledger, &why);
    assert_string_equal(why.data == NULL ? "" : why.data, "");
    assert_int_equal(status, STATUS_OK);
    ledger_start(rig->ledger);
    buf_fini(&why);
}

void rig_close(struct rig *rig, int64_t timeout_ms)
{
    ledger_close(rig->ledger, timeout_ms);
    rig->ledger = NULL;
    for (size_t i = 0; i < rig->held_count; i++) {
        command_free(rig->held[i]);
    }
    rig->held_count = 0;
}

void rig_open_again(struct rig *rig)
{
    rig_close(rig, 1000);
    for (int i = 0; i < COUNTER_COUNT; i++) {
        counter_set(&rig->counters, (enum counter)i, 0);
    }
    rig_open(rig);
}

int rig_setup(void **state)
{
    struct rig *rig = mem_zalloc(1, sizeof *rig);
    struct buf store = {0};
    rig->folder = mem_strdup("/tmp/test-ledger-XXXXXX");
    assert_non_null(mkdtemp(rig->folder));
    buf_printf(&store, "sqlite:%s/ledger.db", rig->folder);
    rig->store = buf_take(&store);
    rig->loop = loop_new();
    rig->guard = loop_timer_new(rig->loop, too_late, rig);
    rig->awaited_count = SIZE_MAX;
    rig->route.name = (char *)"start";
    rig->options = (struct ledger_options){
        .store = rig->store,
        .success_ttl_s = 86400,
        .failure_ttl_s = 300,
        .pending_max = 100000,
        .waiters_max = 64,
        .replies = {1, 3600},
        .routes = &rig->route,
        .route_count = 1,
        .counters = &rig->counters,
    };
    rig_open(rig);
    *state = rig;
    return 0;
}

static void remove_folder(struct rig *rig)
{
    static const char *const NAMES[] = {"ledger.db", "ledger.db.lock", "ledger.db-wal",
                                        "ledger.db-shm"};
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        struct buf name = {0};
        buf_printf(&name, "%s/%s", rig->folder, NAMES[i]);
        unlink(name.data);
        buf_fini(&name);
    }
    rmdir(rig->folder);
}

int rig_teardown(void **state)
{
    struct rig *rig = *state;
    if (rig->ledger != NULL) {
        rig_settle(rig);
    }
    char *unexpected = buf_take(&rig->log);
    rig_close(rig, 1000);
    remove_folder(rig);
    loop_timer_free(rig->guard);
    loop_free(rig->loop);
    buf_fini(&rig->last_body);
    buf_fini(&rig->last_trouble);
    free(rig->folder);
    free(rig->store);
    free(rig);
    bool is_clean = unexpected[0] == '\0';
    if (!is_clean) {
        print_error("not expected:\n%s", unexpected);
    }
    free(unexpected);
    return is_clean ? 0 : -1;
}

/* ---- what a test asks ---- */

void rig_claim_as(struct rig *rig, const struct rig_claim *claim)
{
    struct buf topic = {0};
    buf_printf(&topic, "replies/%s", claim->token);
    struct slice group = slice_text(claim->group == NULL ? claim->token : claim->group);
    struct ledger_claim ask = {
        .command = command_of_record(&rig->route, slice_text("StartDiskReplicaGroup"),
                                     slice_text("cn-beijing"), group, slice_text(claim->token),
                                     claim->one_shot),
        .asker = {.topic = mem_strdup(claim->topic == NULL ? topic.data : claim->topic),
                  .correlation_id = mem_strdup(claim->correlation_id)},
        .unless_found = claim->unless_found,
        .unless_message = "It is too late.",
        .wants_accepted = claim->wants_accepted,
    };
    ask.command->received_at_ms = clock_wall_ms();
    ask.command->deadline_at_ms = ask.command->received_at_ms + 300000;
    ledger_claim(rig->ledger, &ask, claim_done, asked_new(rig, claim->token));
    buf_fini(&topic);
}

void rig_claim(struct rig *rig, const char *token)
{
    rig_claim_as(rig, &(struct rig_claim){.token = token});
}

static size_t held_index(struct rig *rig, const char *token)
{
    for (size_t i = 0; i < rig->held_count; i++) {
        if (strcmp(rig->held[i]->token, token) == 0) {
            return i;
        }
    }
    fail_msg("no command %s is held", token);
    return 0;
}

struct command *rig_command(struct rig *rig, const char *token)
{
    return rig->held[held_index(rig, token)];
}

void rig_begin(struct rig *rig, const char *token)
{
    struct command *command = rig_command(rig, token);
    command->attempts++;
    ledger_begin(rig->ledger, command, begin_done, asked_new(rig, token));
}

void rig_pause(struct rig *rig, const char *token, enum move move)
{
    ledger_pause(rig->ledger, rig_command(rig, token), move);
}

void rig_finish(struct rig *rig, const char *token, const struct outcome *outcome)
{
    size_t index = held_index(rig, token);
    struct command *command = rig->held[index];
    rig->held[index] = rig->held[--rig->held_count];
    ledger_finish(rig->ledger, command, outcome);
}

void rig_succeed(struct rig *rig, const char *token)
{
    const struct outcome outcome = {.status = OUTCOME_SUCCEEDED,
                                    .keep = KEEP_SUCCESS,
                                    .request_id = (char *)"C123F94F-4E38-19AE-942A-A8D6F44F0000",
                                    .retry_after_ms = -1};
    rig_finish(rig, token, &outcome);
}

void rig_fail(struct rig *rig, const char *token, enum keep keep)
{
    const struct outcome outcome = {.status =
                                        keep == KEEP_UNSURE ? OUTCOME_UNKNOWN : OUTCOME_FAILED,
                                    .keep = keep,
                                    .request_id = (char *)"473469C7-AA6F-4DC5-B3DB-A3DC0DE3C83E",
                                    .code = (char *)"OperationDenied",
                                    .message = (char *)"The operation is not permitted.",
                                    .http_status = 403,
                                    .category = CATEGORY_CONFLICT,
                                    .retry_after_ms = keep == KEEP_COOLDOWN ? 0 : -1};
    rig_finish(rig, token, &outcome);
}

void rig_post(struct rig *rig, const char *bytes, bool is_dead_letter)
{
    ledger_post(rig->ledger, slice_text(bytes), is_dead_letter, NULL, post_done, rig);
}

void rig_read(struct rig *rig, int64_t from_id, size_t limit)
{
    ledger_read_outbox(rig->ledger, from_id, limit, found, read_done, rig);
}

static void ignore_message(void *arg, int64_t id, struct slice message)
{
    (void)arg;
    (void)id;
    (void)message;
}

static void settled(void *arg, size_t count)
{
    struct rig *rig = arg;
    (void)count;
    loop_stop(rig->loop);
}

/* Results come in order, so what is asked last is answered last. */
void rig_settle(struct rig *rig)
{
    ledger_read_outbox(rig->ledger, INT64_MAX, 1, ignore_message, settled, rig);
    loop_timer_start(rig->guard, GUARD_MS);
    loop_run(rig->loop);
    loop_timer_stop(rig->guard);
}

int64_t rig_counter(struct rig *rig, enum counter counter)
{
    return counter_get(&rig->counters, counter);
}

/* Counters have no callback, so they are looked at. */
struct waiting {
    struct rig *rig;
    enum counter counter;
    int64_t value;
    struct loop_timer *timer;
    int64_t until_ms;
};

static void look(void *arg)
{
    struct waiting *waiting = arg;
    if (rig_counter(waiting->rig, waiting->counter) >= waiting->value ||
        clock_mono_ms() > waiting->until_ms) {
        loop_stop(waiting->rig->loop);
    } else {
        loop_timer_start(waiting->timer, 2);
    }
}

void rig_await(struct rig *rig, enum counter counter, int64_t value)
{
    struct waiting waiting = {rig, counter, value, NULL, clock_mono_ms() + GUARD_MS};
    waiting.timer = loop_timer_new(rig->loop, look, &waiting);
    loop_timer_start(waiting.timer, 0);
    loop_run(rig->loop);
    loop_timer_free(waiting.timer);
    assert_true(rig_counter(rig, counter) >= value);
}
