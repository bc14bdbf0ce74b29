#include "ledger_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "model/message.h"
#include "postgres_server.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GUARD_MS 20000

/* ---- lines ---- */

static void add_line(struct fixture *fixture, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void add_line(struct fixture *fixture, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    buf_vprintf(&fixture->log, format, arguments);
    va_end(arguments);
    buf_append_char(&fixture->log, '\n');
    fixture->line_count++;
    if (fixture->line_count >= fixture->awaited_count) {
        loop_stop(fixture->loop);
    }
}

static void too_late(void *arg)
{
    struct fixture *fixture = arg;
    add_line(fixture, "nothing more came in %d ms", GUARD_MS);
    loop_stop(fixture->loop);
}

static size_t count_lines(const char *text)
{
    size_t count = 0;
    for (; *text != '\0'; text++) {
        count += *text == '\n' ? 1 : 0;
    }
    return count;
}

void fixture_expect(struct fixture *fixture, const char *lines)
{
    fixture->awaited_count = count_lines(lines);
    if (fixture->line_count < fixture->awaited_count) {
        loop_timer_start(fixture->guard, GUARD_MS);
        loop_run(fixture->loop);
        loop_timer_stop(fixture->guard);
    }
    fixture->awaited_count = SIZE_MAX;
    assert_string_equal(fixture->log.data == NULL ? "" : fixture->log.data, lines);
    buf_clear(&fixture->log);
    fixture->line_count = 0;
}

/* ---- the ledger's callbacks ---- */

static void resumed(void *arg, struct command *command)
{
    struct fixture *fixture = arg;
    assert_true(fixture->held_count < FIXTURE_HELD_MAX);
    fixture->held[fixture->held_count++] = command;
    add_line(fixture, "claimed %s %s", command->token, state_text(command->state));
}

static struct slice text_of(const struct json *object, const char *name)
{
    return json_text(json_member(object, name));
}

static void describe_reply(struct fixture *fixture, const struct message *message, struct buf *out)
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
    buf_clear(&fixture->last_body);
    buf_append(&fixture->last_body, message->body);
    json_free(body);
}

static void add_message_line(struct fixture *fixture, const char *verb, int64_t id,
                             struct slice bytes)
{
    struct message message;
    struct buf text = {0};
    if (message_decode(bytes, &message) == STATUS_OK) {
        describe_reply(fixture, &message, &text);
    } else {
        buf_append(&text, bytes);
    }
    fixture->last_message_id = id;
    add_line(fixture, "%s %s", verb, text.data);
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
    struct fixture *fixture = arg;
    assert_true(is_failing == (text[0] != '\0'));
    if (is_failing) {
        buf_clear(&fixture->last_trouble);
        buf_append_text(&fixture->last_trouble, text);
    }
    add_line(fixture, is_failing ? "failing" : "working");
}

/* The argument of a callback: the fixture and the token. */
struct asked {
    struct fixture *fixture;
    char token[64];
};

static struct asked *asked_new(struct fixture *fixture, const char *token)
{
    struct asked *asked = mem_zalloc(1, sizeof *asked);
    asked->fixture = fixture;
    strncpy(asked->token, token, sizeof asked->token - 1);
    return asked;
}

static void claim_done(void *arg, enum status status, enum claim_result result,
                       struct command *command_take)
{
    static const char *const TEXTS[] = {
        [CLAIM_NEW] = "new",           [CLAIM_AGAIN] = "again",       [CLAIM_WAITS] = "waits",
        [CLAIM_REPLAYED] = "replayed", [CLAIM_MISMATCH] = "mismatch", [CLAIM_REFUSED] = "refused",
    };
    struct asked *asked = arg;
    if (command_take != NULL) {
        resumed(asked->fixture, command_take);
    }
    add_line(asked->fixture, "done %s %s", asked->token,
             status == STATUS_OK ? TEXTS[result] : status_text(status));
    free(asked);
}

static void begin_done(void *arg, enum status status)
{
    struct asked *asked = arg;
    assert_int_equal(status, STATUS_OK);
    add_line(asked->fixture, "begun %s", asked->token);
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

static void audited(void *arg, int64_t seq)
{
    struct fixture *fixture = arg;
    fixture->audited_seq = seq;
}

void fixture_open(struct fixture *fixture)
{
    const struct ledger_hooks hooks = {
        .arg = fixture, .resumed = resumed, .posted = posted, .audited = audited, .health = health};
    struct buf why = {0};
    enum status status =
        ledger_open(fixture->loop, &fixture->options, &hooks, &fixture->ledger, &why);
    assert_string_equal(why.data == NULL ? "" : why.data, "");
    assert_int_equal(status, STATUS_OK);
    ledger_start(fixture->ledger);
    buf_fini(&why);
}

void fixture_close(struct fixture *fixture, int64_t timeout_ms)
{
    ledger_close(fixture->ledger, timeout_ms);
    fixture->ledger = NULL;
    for (size_t i = 0; i < fixture->held_count; i++) {
        command_free(fixture->held[i]);
    }
    fixture->held_count = 0;
}

void fixture_open_again(struct fixture *fixture)
{
    fixture_close(fixture, 1000);
    for (int i = 0; i < COUNTER_COUNT; i++) {
        counter_set(&fixture->counters, (enum counter)i, 0);
    }
    fixture_open(fixture);
}

static void clear_server(const char *uri)
{
#ifdef WITH_POSTGRESQL
    postgres_server_clear(uri, false);
#else
    fail_msg("%s: this build has no PostgreSQL", uri);
#endif
}

bool fixture_is_shared(const struct fixture *fixture)
{
    return strncmp(fixture->store, "sqlite:", strlen("sqlite:")) != 0;
}

struct store *fixture_open_store(const struct fixture *fixture, const struct store_ops **out_ops)
{
    struct store_place place = {0};
    struct store *store = NULL;
    struct buf why = {0};
    assert_int_equal(store_choose(fixture->store, out_ops, &place.location, &why), STATUS_OK);
    assert_int_equal((*out_ops)->open(&place, false, &store, &why), STATUS_OK);
    buf_fini(&why);
    return store;
}

int fixture_setup(void **state)
{
    struct fixture *fixture = mem_zalloc(1, sizeof *fixture);
    struct buf store = {0};
    const char *given = getenv("LEDGER_STORE");
    fixture->folder = mem_strdup("/tmp/test-ledger-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    if (given == NULL) {
        buf_printf(&store, "sqlite:%s/ledger.db", fixture->folder);
    } else {
        buf_append_text(&store, given);
        clear_server(given);
    }
    fixture->store = buf_take(&store);
    fixture->loop = loop_new();
    fixture->guard = loop_timer_new(fixture->loop, too_late, fixture);
    fixture->awaited_count = SIZE_MAX;
    fixture->route.name = (char *)"start";
    fixture->options = (struct ledger_options){
        .store = fixture->store,
        .success_ttl_s = 86400,
        .failure_ttl_s = 300,
        .pending_max = 100000,
        .waiters_max = 64,
        .replies = {1, 3600},
        .routes = &fixture->route,
        .route_count = 1,
        .counters = &fixture->counters,
    };
    fixture_open(fixture);
    *state = fixture;
    return 0;
}

static void remove_folder(struct fixture *fixture)
{
    static const char *const NAMES[] = {"ledger.db", "ledger.db.lock", "ledger.db-wal",
                                        "ledger.db-shm"};
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        struct buf name = {0};
        buf_printf(&name, "%s/%s", fixture->folder, NAMES[i]);
        unlink(name.data);
        buf_fini(&name);
    }
    rmdir(fixture->folder);
}

int fixture_teardown(void **state)
{
    struct fixture *fixture = *state;
    if (fixture->ledger != NULL) {
        fixture_settle(fixture);
    }
    char *unexpected = buf_take(&fixture->log);
    fixture_close(fixture, 1000);
    remove_folder(fixture);
    loop_timer_free(fixture->guard);
    loop_free(fixture->loop);
    buf_fini(&fixture->last_body);
    buf_fini(&fixture->last_trouble);
    free(fixture->folder);
    free(fixture->store);
    free(fixture);
    bool is_clean = unexpected[0] == '\0';
    if (!is_clean) {
        print_error("unexpected lines:\n%s", unexpected);
    }
    free(unexpected);
    return is_clean ? 0 : -1;
}

/* ---- requests ---- */

void fixture_claim_as(struct fixture *fixture, const struct fixture_claim *claim)
{
    struct buf topic = {0};
    buf_printf(&topic, "replies/%s", claim->token);
    struct slice group = slice_text(claim->group == NULL ? claim->token : claim->group);
    const struct action *action =
        claim->action == NULL ? &action_rows[ACTION_StartDiskReplicaGroup] : claim->action;
    const char *params = claim->action != NULL ? "{}"
                         : claim->one_shot     ? "{\"OneShot\":true}"
                                               : "{\"OneShot\":false}";
    struct ledger_claim ask = {
        .command = command_of_record(&fixture->route, action, slice_text("cn-beijing"), group,
                                     slice_text(claim->token), slice_text(params)),
        .reply_to = {.topic = mem_strdup(claim->topic == NULL ? topic.data : claim->topic),
                     .correlation_id = mem_strdup(claim->correlation_id)},
        .unless_found = claim->unless_found,
        .unless_message = "It is too late.",
        .is_called_at_once = fixture->is_called_at_once,
        .wants_accepted = claim->wants_accepted,
    };
    ask.command->received_at_ms = clock_wall_ms();
    ask.command->deadline_at_ms = ask.command->received_at_ms + 300000;
    ledger_claim(fixture->ledger, &ask, claim_done, asked_new(fixture, claim->token));
    buf_fini(&topic);
}

void fixture_claim(struct fixture *fixture, const char *token)
{
    fixture_claim_as(fixture, &(struct fixture_claim){.token = token});
}

static size_t held_index(struct fixture *fixture, const char *token)
{
    for (size_t i = 0; i < fixture->held_count; i++) {
        if (strcmp(fixture->held[i]->token, token) == 0) {
            return i;
        }
    }
    fail_msg("no command %s is held", token);
    return 0;
}

struct command *fixture_command(struct fixture *fixture, const char *token)
{
    return fixture->held[held_index(fixture, token)];
}

void fixture_begin(struct fixture *fixture, const char *token)
{
    struct command *command = fixture_command(fixture, token);
    command->attempts++;
    ledger_begin(fixture->ledger, command, begin_done, asked_new(fixture, token));
}

void fixture_pause(struct fixture *fixture, const char *token, enum move move)
{
    const struct outcome answer = {.status =
                                       move == MOVE_NO_ANSWER ? OUTCOME_UNKNOWN : OUTCOME_FAILED,
                                   .code = (char *)"ServiceUnavailable",
                                   .request_id = (char *)"A1B2"};
    ledger_pause(fixture->ledger, fixture_command(fixture, token), move, &answer);
}

void fixture_finish(struct fixture *fixture, const char *token, const struct outcome *outcome)
{
    size_t index = held_index(fixture, token);
    struct command *command = fixture->held[index];
    fixture->held[index] = fixture->held[--fixture->held_count];
    bool is_called = command->state == STATE_CALLING || command->state == STATE_RECALLING;
    ledger_finish(fixture->ledger, command, outcome, is_called ? outcome : NULL);
}

void fixture_succeed(struct fixture *fixture, const char *token)
{
    const struct outcome outcome = {.status = OUTCOME_SUCCEEDED,
                                    .retention = RETENTION_SUCCESS,
                                    .request_id = (char *)"C123F94F-4E38-19AE-942A-A8D6F44F0000",
                                    .retry_after_ms = -1};
    fixture_finish(fixture, token, &outcome);
}

void fixture_fail(struct fixture *fixture, const char *token, enum retention retention)
{
    const struct outcome outcome = {.status = retention == RETENTION_UNSURE ? OUTCOME_UNKNOWN
                                                                            : OUTCOME_FAILED,
                                    .retention = retention,
                                    .request_id = (char *)"473469C7-AA6F-4DC5-B3DB-A3DC0DE3C83E",
                                    .code = (char *)"OperationDenied",
                                    .message = (char *)"The operation is not permitted.",
                                    .http_status = 403,
                                    .category = CATEGORY_CONFLICT,
                                    .retry_after_ms = retention == RETENTION_COOLDOWN ? 0 : -1};
    fixture_finish(fixture, token, &outcome);
}

void fixture_post(struct fixture *fixture, const char *bytes, bool is_dead_letter)
{
    ledger_post(fixture->ledger, slice_text(bytes), is_dead_letter, ERROR_MALFORMED_PAYLOAD, NULL,
                post_done, fixture);
}

void fixture_read(struct fixture *fixture, int64_t from_id, size_t limit)
{
    ledger_read_outbox(fixture->ledger, from_id, limit, found, read_done, fixture);
}

static void ignore_message(void *arg, int64_t id, struct slice message)
{
    (void)arg;
    (void)id;
    (void)message;
}

static void settled(void *arg, size_t count)
{
    struct fixture *fixture = arg;
    (void)count;
    loop_stop(fixture->loop);
}

/* Results come in order: this request is answered last. */
void fixture_settle(struct fixture *fixture)
{
    ledger_read_outbox(fixture->ledger, INT64_MAX, 1, ignore_message, settled, fixture);
    loop_timer_start(fixture->guard, GUARD_MS);
    loop_run(fixture->loop);
    loop_timer_stop(fixture->guard);
}

int64_t fixture_counter(struct fixture *fixture, enum counter counter)
{
    return counter_get(&fixture->counters, counter);
}

/* Counters have no callback, so they are polled. */
struct waiting {
    struct fixture *fixture;
    enum counter counter;
    int64_t value;
    struct loop_timer *timer;
    int64_t until_ms;
};

static void look(void *arg)
{
    struct waiting *waiting = arg;
    if (fixture_counter(waiting->fixture, waiting->counter) >= waiting->value ||
        clock_mono_ms() > waiting->until_ms) {
        loop_stop(waiting->fixture->loop);
    } else {
        loop_timer_start(waiting->timer, 2);
    }
}

void fixture_await(struct fixture *fixture, enum counter counter, int64_t value)
{
    struct waiting waiting = {fixture, counter, value, NULL, clock_mono_ms() + GUARD_MS};
    waiting.timer = loop_timer_new(fixture->loop, look, &waiting);
    loop_timer_start(waiting.timer, 0);
    loop_run(fixture->loop);
    loop_timer_free(waiting.timer);
    assert_true(fixture_counter(fixture, counter) >= value);
}
