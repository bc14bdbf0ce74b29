/*
 * The PostgreSQL store behind a proxy that cuts the connection at a message of the protocol, of
 * either side. Whatever message that is, each command must be answered once, as without a cut.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "ledger/postgres/postgres.h"
#include "ledger/postgres/store_private.h"
#include "support/postgres_server.h"
#include "support/store_batch.h"

#include <arpa/inet.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define STRIDE       37 /* every so many messages; the environment's CUTS_STRIDE changes it */
#define STRIDE_LEFT  9  /* where there are fewer */
#define STRIDE_ORDER 12
#define TRIES_MAX    50
#define NEVER        INT_MAX

/* ---- the proxy ---- */

static char proxy_folder[] = "/tmp/test-postgres-cuts-XXXXXX";
static int listener = -1;
static _Atomic int messages_left =
    NEVER; /* the connection is cut instead of passing the next one */
static _Atomic int message_count;

static int unix_socket(const char *folder, struct sockaddr_un *out_address)
{
    *out_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(out_address->sun_path, sizeof out_address->sun_path, "%s/.s.PGSQL.5432", folder);
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

/* One direction: bytes that are not a whole message yet. */
struct direction {
    int from;
    int to;
    struct buf bytes;
    bool is_startup; /* the first message of a client has no type */
};

static bool write_all(int fd, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t count = send(fd, data, length, MSG_NOSIGNAL);
        if (count <= 0) {
            return false;
        }
        data += count;
        length -= (size_t)count;
    }
    return true;
}

/* Passes whole messages; false: the connection ends. */
static bool pass(struct direction *direction)
{
    char block[4096];
    uint32_t length;
    ssize_t count = recv(direction->from, block, sizeof block, 0);
    if (count <= 0) {
        return false;
    }
    buf_append(&direction->bytes, slice_of(block, (size_t)count));
    for (;;) {
        size_t type_bytes = direction->is_startup ? 0 : 1;
        if (direction->bytes.length < type_bytes + sizeof length) {
            return true;
        }
        memcpy(&length, direction->bytes.data + type_bytes, sizeof length);
        size_t whole = type_bytes + ntohl(length);
        if (direction->bytes.length < whole) {
            return true;
        }
        message_count++;
        if (messages_left != NEVER && --messages_left < 0) {
            messages_left = NEVER;
            return false;
        }
        if (!write_all(direction->to, direction->bytes.data, whole)) {
            return false;
        }
        buf_consume(&direction->bytes, whole);
        direction->is_startup = false;
    }
}

static void *serve(void *arg)
{
    int client = *(int *)arg;
    struct sockaddr_un address;
    int server = unix_socket(postgres_server_folder(), &address);
    struct direction directions[] = {{.from = client, .to = server, .is_startup = true},
                                     {.from = server, .to = client}};
    bool is_open = connect(server, (struct sockaddr *)&address, sizeof address) == 0;
    free(arg);
    while (is_open) {
        struct pollfd ready[] = {{.fd = client, .events = POLLIN},
                                 {.fd = server, .events = POLLIN}};
        is_open = poll(ready, 2, -1) > 0;
        for (int i = 0; i < 2 && is_open; i++) {
            is_open = ready[i].revents == 0 || pass(&directions[i]);
        }
    }
    close(client);
    close(server);
    buf_fini(&directions[0].bytes);
    buf_fini(&directions[1].bytes);
    return NULL;
}

static void *accept_all(void *arg)
{
    pthread_attr_t detached;
    (void)arg;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    for (;;) {
        int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (client < 0) {
            return NULL;
        }
        pthread_t thread;
        int *given = mem_zalloc(1, sizeof *given);
        *given = client;
        pthread_create(&thread, &detached, serve, given);
    }
}

static pthread_t acceptor;

static int start(void **state)
{
    struct sockaddr_un address;
    int failed = postgres_server_start(state);
    if (failed != 0 || mkdtemp(proxy_folder) == NULL) {
        return -1;
    }
    listener = unix_socket(proxy_folder, &address);
    return bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
           listen(listener, 8) != 0 || pthread_create(&acceptor, NULL, accept_all, NULL) != 0;
}

static int stop(void **state)
{
    struct sockaddr_un address;
    shutdown(listener, SHUT_RDWR);
    pthread_join(acceptor, NULL);
    close(listener);
    close(unix_socket(proxy_folder, &address));
    unlink(address.sun_path);
    rmdir(proxy_folder);
    return postgres_server_stop(state);
}

/* ---- the life of some commands ---- */

struct life {
    struct store *store;
    struct store_batch batch;
    int64_t ids[3];
    size_t promoted_count;
    bool knows_watch; /* that of the third command's group */
};

static const struct store_ops *const OPS = &store_postgres_ops;

/* As the committer: an unknown batch comes again, one that failed begins anew. */
static void run(struct life *life)
{
    enum status status;
    int tries = 0;
    while ((status = store_batch_run(&life->batch)) != STATUS_OK) {
        if (++tries > TRIES_MAX) {
            fail_msg("%s", OPS->error(life->store));
        }
        if (status == STATUS_STORE) {
            ledger_batch_reset(&life->batch.batch);
        }
    }
    for (size_t i = 0; i < life->batch.batch.command_count; i++) {
        assert_string_equal(life->batch.batch.commands[i]->token, "second");
        life->promoted_count++;
    }
    for (size_t i = 0; i < life->batch.batch.watched_count; i++) {
        assert_string_equal(life->batch.batch.watched[i]->object, "h");
        life->knows_watch = true;
    }
}

static void end_batch(struct life *life)
{
    run(life);
    store_batch_begin(&life->batch);
}

static struct ledger_request *claim(struct life *life, const char *token, const char *group)
{
    life->batch.group = group;
    struct ledger_request *request = store_batch_claim(&life->batch, token);
    request->claim.ask.is_called_at_once = true;
    return request;
}

static struct finish_request *finish(struct life *life, const char *token, const char *group,
                                     int64_t id)
{
    life->batch.group = group;
    struct finish_request *finish =
        &store_batch_finish(&life->batch, token, id, INT64_MAX / 2)->finish;
    finish->command->attempts = 1;
    return finish;
}

static void arrive(struct life *life)
{
    struct ledger_request *first = claim(life, "first", "g");
    struct ledger_request *second = claim(life, "second", "g");
    struct ledger_request *third = claim(life, "third", "h");
    struct ledger_request *again = claim(life, "first", "g");
    third->claim.ask.wants_accepted = true;
    store_batch_post(&life->batch, slice_text("a message"));
    life->ids[0] = first->claim.id;
    life->ids[1] = second->claim.id;
    life->ids[2] = third->claim.id;
    run(life);
    assert_int_equal(first->claim.result, CLAIM_NEW);
    assert_false(first->claim.is_lined_up);
    assert_true(second->claim.is_lined_up);
    assert_int_equal(again->claim.result, CLAIM_WAITS);
    store_batch_begin(&life->batch);
}

/* Six replies: two of the first command, one each of the others with one `accepted`, a replay. */
static void live(struct life *life)
{
    arrive(life);
    struct finish_request *third = finish(life, "third", "h", life->ids[2]);
    third->watch = (struct watch_start){.started_at_ms = 5000, .ends_at_ms = 9000};
    store_batch_move(&life->batch, "first", life->ids[0], STATE_UNSURE)->move.attempts = 1;
    run(life);
    life->knows_watch |= !third->is_polled_elsewhere;
    store_batch_begin(&life->batch);
    finish(life, "first", "g", life->ids[0]);
    end_batch(life);
    assert_int_equal(life->promoted_count, 1);
    store_batch_move(&life->batch, "second", life->ids[1], STATE_CALLING)->move.attempts = 1;
    store_batch_delivered(&life->batch, 1);
    end_batch(life);
    finish(life, "second", "g", life->ids[1]);
    claim(life, "first", "g");
    end_batch(life);
}

static void report_fault(void *arg, const char *text)
{
    (void)arg;
    fail_msg("%s", text);
}

static void check_all(struct life *life, const char *token, uint32_t attempts)
{
    struct store_row row;
    assert_int_equal(OPS->find(life->store, slice_text(token), &row), STATUS_OK);
    assert_int_equal(row.state, STATE_DONE);
    assert_int_equal(row.attempts, attempts);
}

/* What the store holds at the end does not depend on the cut. */
static void check(struct life *life)
{
    struct store_summary summary;
    check_all(life, "first", 1);
    check_all(life, "second", 1);
    check_all(life, "third", 1);
    assert_int_equal(OPS->verify(life->store, report_fault, NULL), STATUS_OK);
    assert_int_equal(OPS->summarise(life->store, &summary), STATUS_OK);
    assert_int_equal(summary.messages, 6);
    assert_int_equal(summary.waiting, 0);
    assert_int_equal(life->promoted_count, 1);
    assert_true(life->knows_watch);
}

static void check_audit(struct life *life, size_t count)
{
    struct ledger_request *read = store_batch_read_audit(&life->batch, 1, 100);
    run(life);
    assert_int_equal(read->message_count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(life->batch.batch.messages[read->first_message + i].id, i + 1);
    }
}

static void open_life(struct life *life)
{
    struct buf why = {0};
    char uri[160];
    snprintf(uri, sizeof uri, "postgresql://bridge@/postgres?host=%s", proxy_folder);
    postgres_server_clear(postgres_server_uri(), false);
    if (OPS->open(STORE_AT(uri), false, &life->store, &why) != STATUS_OK) {
        fail_msg("%s", why.data);
    }
    store_batch_init(&life->batch, OPS, life->store);
}

static void close_life(struct life *life)
{
    store_batch_fini(&life->batch);
    OPS->close(life->store);
}

/* The life with a cut after so many messages; returns how many there were. With an audit there are
 * records of four claims, the message and three outcomes, and of the last claim. */
static int live_with_cut(int after, bool is_audited)
{
    struct life life = {0};
    open_life(&life);
    life.batch.limits.is_audited = is_audited;
    life.batch.limits.audit_rows_max = 1000;
    message_count = 0;
    messages_left = after;
    live(&life);
    messages_left = NEVER;
    int count = message_count;
    check(&life);
    check_audit(&life, is_audited ? 9 : 0);
    close_life(&life);
    return count;
}

static void test_each_command_is_answered_once_whichever_message_is_lost(void **state)
{
    const char *given = getenv("CUTS_STRIDE");
    int stride = given == NULL ? STRIDE : atoi(given);
    (void)state;
    for (int is_audited = 0; is_audited < 2; is_audited++) {
        int count = live_with_cut(NEVER, is_audited);
        assert_true(count > 100);
        for (int after = 0; after < count; after += stride) {
            print_message("cut after %d of %d messages\n", after, count);
            live_with_cut(after, is_audited);
        }
    }
}

/* ---- an operator's order ---- */

/* The command comes with the order, and not a second time as one that was found. */
static int retry_with_cut(int after)
{
    struct life life = {0};
    struct store_summary summary;
    open_life(&life);
    int64_t id = claim(&life, "first", "g")->claim.id;
    end_batch(&life);
    struct outcome *outcome = &finish(&life, "first", "g", id)->outcome;
    outcome_fini(outcome);
    outcome_of_error(outcome, ERROR_NO_DEFINITE_ANSWER, "nobody knows");
    end_batch(&life);
    const struct finish_request *order = &store_batch_retry(&life.batch, "first")->finish;
    message_count = 0;
    messages_left = after;
    run(&life);
    int count = message_count;
    messages_left = NEVER;
    assert_int_equal(order->order.result, LEDGER_ORDER_DONE);
    assert_false(order->is_lined_up);
    store_batch_begin(&life.batch);
    finish(&life, "first", "g", id);
    end_batch(&life);
    check_all(&life, "first", 1);
    assert_int_equal(OPS->verify(life.store, report_fault, NULL), STATUS_OK);
    assert_int_equal(OPS->summarise(life.store, &summary), STATUS_OK);
    assert_int_equal(summary.messages, 2);
    close_life(&life);
    return count;
}

static void test_an_order_gives_its_command_once_whichever_message_is_lost(void **state)
{
    const char *given = getenv("CUTS_STRIDE");
    int stride = given == NULL ? STRIDE_ORDER : atoi(given);
    (void)state;
    int count = retry_with_cut(NEVER);
    assert_true(count > 20);
    /* The last message is the answer to the commit. */
    for (int after = count - 1; after >= 0; after -= stride) {
        print_message("cut after %d of %d messages\n", after, count);
        retry_with_cut(after);
    }
}

/* ---- what another bridge has left ---- */

#define TURNS_MAX   50
#define DEADLINE_MS INT64_C(1767323100123) /* of the commands of store_batch */

struct heir {
    struct store *store;
    struct store_batch batch;
    struct lease lease;
    size_t commands; /* how often the bridge got the adopted command */
    size_t messages; /* and the adopted message */
    size_t overdue;  /* and the end of the one in line */
};

static void ignore_wake(void *arg)
{
    (void)arg;
}

/* A command that was called, one behind it, and a message, of a bridge that has stopped. */
static int64_t leave_work(void)
{
    struct life life = {0};
    struct buf why = {0};
    assert_int_equal(OPS->open(STORE_AT(postgres_server_uri()), false, &life.store, &why),
                     STATUS_OK);
    store_batch_init(&life.batch, OPS, life.store);
    int64_t id = claim(&life, "first", "g")->claim.id;
    end_batch(&life);
    assert_true(claim(&life, "second", "g")->claim.id > id);
    store_batch_post(&life.batch, slice_text("a message"));
    end_batch(&life);
    store_batch_fini(&life.batch);
    OPS->close(life.store);
    return id;
}

/* Its lease does not go through the proxy, so that the cut meets the work of the store. */
static void open_heir(struct heir *heir)
{
    struct buf why = {0};
    char uri[160];
    snprintf(uri, sizeof uri, "postgresql://bridge@/postgres?host=%s", proxy_folder);
    const struct store_place place = {.location = uri, .instance = "heir"};
    if (OPS->open(&place, false, &heir->store, &why) != STATUS_OK) {
        fail_msg("%s", why.data);
    }
    store_batch_init(&heir->batch, OPS, heir->store);
    lease_init(&heir->lease);
    lease_begin(&heir->lease);
    const struct postgres_lease_options options = {.uri = postgres_server_uri(),
                                                   .run = heir->store->run,
                                                   .lease_ms = heir->store->lease_ms,
                                                   .lease = &heir->lease,
                                                   .timeline = heir->store->timeline,
                                                   .wake = ignore_wake};
    heir->store->lease = postgres_lease_new(&options);
}

/* A batch without requests, until it is known; its results are counted. */
static void take_turn(struct heir *heir, int64_t now_ms)
{
    enum status status;
    int tries = 0;
    store_batch_begin(&heir->batch);
    struct ledger_batch *batch = &heir->batch.batch;
    batch->now_ms = now_ms;
    while ((status = store_batch_run(&heir->batch)) != STATUS_OK) {
        assert_true(++tries <= TRIES_MAX);
        if (status == STATUS_STORE) {
            ledger_batch_reset(batch);
        }
    }
    for (size_t i = 0; i < batch->command_count; i++) {
        heir->commands += strcmp(batch->commands[i]->token, "first") == 0;
    }
    heir->messages += batch->adopted_count;
    for (struct ledger_request *request = batch->overdue.head; request != NULL;
         request = request->next) {
        heir->overdue += request->status == STATUS_OK;
    }
}

/* The adoption, and then the end of the command in line, with a cut after so many messages. */
static int adopt_with_cut(int after)
{
    struct heir heir = {0};
    struct store_summary summary;
    postgres_server_clear(postgres_server_uri(), false);
    int64_t id = leave_work();
    open_heir(&heir);
    int64_t begin_ms = heir.batch.batch.now_ms;
    message_count = 0;
    messages_left = after;
    for (int i = 0; i < TURNS_MAX && (heir.commands == 0 || heir.messages == 0); i++) {
        take_turn(&heir, begin_ms);
    }
    for (int i = 0; i < TURNS_MAX && heir.overdue == 0; i++) {
        postgres_lease_call_again(heir.store->lease);
        take_turn(&heir, DEADLINE_MS + 1000);
    }
    int count = message_count;
    messages_left = NEVER;
    take_turn(&heir, begin_ms);
    heir.batch.group = "g";
    store_batch_begin(&heir.batch);
    store_batch_finish(&heir.batch, "first", id, INT64_MAX / 2)->finish.command->attempts = 1;
    assert_int_equal(store_batch_run(&heir.batch), STATUS_OK);
    assert_int_equal(heir.commands, 1);
    assert_int_equal(heir.messages, 1);
    assert_int_equal(heir.overdue, 1);
    assert_int_equal(OPS->verify(heir.store, report_fault, NULL), STATUS_OK);
    assert_int_equal(OPS->summarise(heir.store, &summary), STATUS_OK);
    assert_int_equal(summary.messages, 3); /* the adopted one and two replies, all of this run */
    assert_int_equal(summary.waiting, 0);
    store_batch_fini(&heir.batch);
    OPS->close(heir.store);
    return count;
}

static void test_what_a_bridge_left_is_taken_over_once_whichever_message_is_lost(void **state)
{
    const char *given = getenv("CUTS_STRIDE");
    int stride = given == NULL ? STRIDE_LEFT : atoi(given);
    (void)state;
    int count = adopt_with_cut(NEVER);
    assert_true(count > 40);
    for (int after = 0; after < count; after += stride) {
        print_message("cut after %d of %d messages\n", after, count);
        adopt_with_cut(after);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_command_is_answered_once_whichever_message_is_lost),
        cmocka_unit_test(test_an_order_gives_its_command_once_whichever_message_is_lost),
        cmocka_unit_test(test_what_a_bridge_left_is_taken_over_once_whichever_message_is_lost),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
