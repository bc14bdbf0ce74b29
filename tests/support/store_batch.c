#include "store_batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

#define KEPT_MS INT64_C(1767322800000)

static struct route ROUTE = {.name = (char *)"start"};

static const struct request_type TYPES[REQUEST_COUNT] = {
    [REQUEST_CLAIM] = {.kind = REQUEST_CLAIM},
    [REQUEST_POST] = {.kind = REQUEST_POST},
    [REQUEST_REPLACE] = {.kind = REQUEST_REPLACE},
    [REQUEST_BEGIN] = {.kind = REQUEST_BEGIN},
    [REQUEST_FINISH] = {.kind = REQUEST_FINISH},
    [REQUEST_DELIVERED] = {.kind = REQUEST_DELIVERED},
    [REQUEST_READ] = {.kind = REQUEST_READ},
    [REQUEST_REMEMBER] = {.kind = REQUEST_REMEMBER},
    [REQUEST_ADD_AUDIT] = {.kind = REQUEST_ADD_AUDIT},
    [REQUEST_READ_AUDIT] = {.kind = REQUEST_READ_AUDIT},
    [REQUEST_EXPORTED] = {.kind = REQUEST_EXPORTED},
    [REQUEST_QUERY] = {.kind = REQUEST_QUERY},
    [REQUEST_RETRY] = {.kind = REQUEST_RETRY},
    [REQUEST_WATCH] = {.kind = REQUEST_WATCH},
};

void store_batch_init(struct store_batch *batch, const struct store_ops *ops, struct store *store)
{
    struct store_summary summary;
    assert_int_equal(ops->summarise(store, &summary), STATUS_OK);
    *batch = (struct store_batch){
        .ops = ops,
        .store = store,
        .limits = {.success_ttl_s = 0,
                   .failure_ttl_s = 86400,
                   .pending_max = INT64_MAX,
                   .waiters_max = 64,
                   .replies = {1, 3600},
                   .events = {.topic = "events/{ReplicaGroupId}", .instance = "i", .qos = 1},
                   .watches_max = 2,
                   .routes = &ROUTE,
                   .route_count = 1},
        .last_id = summary.last_id,
        .batch = {.now_ms = KEPT_MS},
        .next_message_id = summary.last_message_id + 1,
        .last_audit_seq = summary.last_audit_seq,
    };
}

void store_batch_begin(struct store_batch *batch)
{
    struct ledger_request *request;
    while ((request = request_list_take(&batch->batch.requests)) != NULL) {
        ledger_request_free(request);
    }
    ledger_batch_reset(&batch->batch);
    batch->batch.now_ms = KEPT_MS;
    batch->batch.kept_ms = KEPT_MS;
    batch->batch.expire_max = 0;
}

void store_batch_fini(struct store_batch *batch)
{
    store_batch_begin(batch);
    buf_fini(&batch->batch.bytes);
    buf_fini(&batch->batch.scratch);
    free(batch->batch.messages);
    batch->batch = (struct ledger_batch){0};
}

static struct ledger_request *add(struct store_batch *batch, enum request_kind kind)
{
    struct ledger_request *request = mem_zalloc(1, sizeof *request);
    request->type = &TYPES[kind];
    request_list_append(&batch->batch.requests, request);
    return request;
}

static struct command *make_command(const struct store_batch *batch, const char *token)
{
    char group[COMMAND_GROUP_BYTES_MAX];
    snprintf(group, sizeof group, "pg-%s", token);
    struct command *command = command_of_record(
        &ROUTE, &action_rows[ACTION_StartDiskReplicaGroup], slice_text("cn-beijing"),
        slice_text(batch->group == NULL ? group : batch->group), slice_text(token),
        slice_text("{\"OneShot\":true}"));
    command->received_at_ms = KEPT_MS + 123;
    command->deadline_at_ms = KEPT_MS + 300123;
    command->not_before_ms = KEPT_MS + 100000;
    return command;
}

struct ledger_request *store_batch_claim(struct store_batch *batch, const char *token)
{
    struct ledger_request *request = add(batch, REQUEST_CLAIM);
    request->claim.ask.command = make_command(batch, token);
    request->claim.ask.reply_to.topic = mem_strdup("replies/a");
    request->claim.id = ++batch->last_id;
    return request;
}

struct ledger_request *store_batch_move(struct store_batch *batch, const char *token, int64_t id,
                                        enum state state)
{
    struct ledger_request *request = add(batch, REQUEST_BEGIN);
    request->move.id = id;
    snprintf(request->move.token, sizeof request->move.token, "%s", token);
    request->move.state = state;
    return request;
}

struct ledger_request *store_batch_finish(struct store_batch *batch, const char *token, int64_t id,
                                          int64_t expires_at_ms)
{
    static const struct outcome SUCCESS = {.status = OUTCOME_SUCCEEDED,
                                           .retention = RETENTION_SUCCESS,
                                           .request_id = (char *)"C123F94F",
                                           .retry_after_ms = -1};
    struct ledger_request *request = add(batch, REQUEST_FINISH);
    struct finish_request *finish = &request->finish;
    finish->command = make_command(batch, token);
    finish->command->id = id;
    finish->command->attempts = 2;
    outcome_copy(&finish->outcome, &SUCCESS);
    finish->completed_at_ms = KEPT_MS + 456;
    finish->kept_from_ms = expires_at_ms; /* the time to live is 0 */
    return request;
}

struct ledger_request *store_batch_retry(struct store_batch *batch, const char *token)
{
    struct ledger_request *request = add(batch, REQUEST_RETRY);
    buf_append_text(&request->finish.order.token, token);
    request->finish.order.deadline_at_ms = KEPT_MS + 600123;
    return request;
}

struct ledger_request *store_batch_watch(struct store_batch *batch, const struct watch *watch,
                                         const struct watch_step *step, const char *message)
{
    struct ledger_request *request = add(batch, REQUEST_WATCH);
    request->watch = (struct watch_request){.id = watch->id,
                                            .expected_seq = watch->state.seq,
                                            .state = step->state,
                                            .is_over = watch_step_is_final(step),
                                            .message_count = 1};
    request->watch.messages = mem_zalloc(1, sizeof request->watch.messages[0]);
    buf_append_text(&request->watch.messages[0], message);
    return request;
}

struct ledger_request *store_batch_post(struct store_batch *batch, struct slice message)
{
    struct ledger_request *request = add(batch, REQUEST_POST);
    buf_append(&request->post.message, message);
    return request;
}

struct ledger_request *store_batch_delivered(struct store_batch *batch, int64_t id)
{
    struct ledger_request *request = add(batch, REQUEST_DELIVERED);
    request->delivered.message.id = id;
    return request;
}

struct ledger_request *store_batch_replace(struct store_batch *batch, int64_t id,
                                           struct slice dead_letter)
{
    struct ledger_request *request = add(batch, REQUEST_REPLACE);
    buf_append(&request->post.message, dead_letter);
    request->post.replaced.id = id;
    return request;
}

struct ledger_request *store_batch_read(struct store_batch *batch, int64_t from_id, size_t limit)
{
    struct ledger_request *request = add(batch, REQUEST_READ);
    request->read.from_id = from_id;
    request->read.limit = limit;
    return request;
}

struct ledger_request *store_batch_remember(struct store_batch *batch, const char *key,
                                            int64_t value)
{
    struct ledger_request *request = add(batch, REQUEST_REMEMBER);
    request->remember.key = mem_strdup(key);
    request->remember.value = value;
    return request;
}

struct ledger_request *store_batch_add_audit(struct store_batch *batch, int64_t number)
{
    struct ledger_request *request = add(batch, REQUEST_ADD_AUDIT);
    request->add_audit.event = "claimed";
    json_put_int(&request->add_audit.members, "Number", number);
    return request;
}

struct ledger_request *store_batch_read_audit(struct store_batch *batch, int64_t from_seq,
                                              size_t limit)
{
    struct ledger_request *request = add(batch, REQUEST_READ_AUDIT);
    request->read.from_id = from_seq;
    request->read.limit = limit;
    return request;
}

struct ledger_request *store_batch_exported(struct store_batch *batch, int64_t seq)
{
    struct ledger_request *request = add(batch, REQUEST_EXPORTED);
    request->exported.tip = (struct audit_tip){.seq = seq, .offset = 10 * seq};
    memset(request->exported.tip.hash, 'f', sizeof request->exported.tip.hash - 1);
    return request;
}

enum status store_batch_run(struct store_batch *batch)
{
    batch->batch.limits = &batch->limits;
    batch->batch.next_message_id = batch->next_message_id;
    batch->batch.last_audit_seq = batch->last_audit_seq;
    batch->batch.exported_seq = batch->exported_seq;
    enum status status = batch->ops->carry_out(batch->store, &batch->batch);
    batch->next_message_id = batch->batch.next_message_id;
    if (status == STATUS_OK) {
        batch->last_audit_seq = batch->batch.last_audit_seq;
        batch->exported_seq = batch->batch.exported_seq;
    }
    return status;
}

enum status store_write_meta(const struct store_ops *ops, struct store *store, const char *key,
                             int64_t value)
{
    struct ledger_batch batch = {.limits = &(struct ledger_limits){0}};
    ledger_batch_add_meta(&batch, key, value);
    return ops->carry_out(store, &batch);
}
