#include "batch.h"

#include "base/json.h"
#include "base/mem.h"
#include "record.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void request_list_append(struct request_list *list, struct ledger_request *request)
{
    request->next = NULL;
    if (list->head == NULL) {
        list->head = request;
    } else {
        list->tail->next = request;
    }
    list->tail = request;
}

struct ledger_request *request_list_take(struct request_list *list)
{
    struct ledger_request *request = list->head;
    if (request != NULL) {
        list->head = request->next;
    }
    return request;
}

void query_clear(struct query_request *query)
{
    for (size_t i = 0; i < query->count; i++) {
        free(query->records[i]);
    }
    query->count = 0;
    watch_free(query->watch);
    query->watch = NULL;
}

void query_add(void *arg, const struct store_row *row)
{
    struct query_request *query = arg;
    query->records =
        mem_realloc(query->records, (query->count + 1) * sizeof(struct ledger_record *));
    query->records[query->count++] = record_new(row, query->steps_ms);
}

void absent_clear(struct absent_request *absent)
{
    for (size_t i = 0; i < absent->count; i++) {
        free(absent->numbers[i].instance);
        free(absent->numbers[i].key);
    }
    absent->count = 0;
}

static void finish_fini(struct finish_request *finish)
{
    buf_fini(&finish->order.token);
    buf_fini(&finish->order.note);
    command_free(finish->command);
    outcome_fini(&finish->outcome);
    buf_fini(&finish->error);
    buf_fini(&finish->traceparent);
    watch_free(finish->begun);
}

void ledger_request_free(struct ledger_request *request)
{
    buf_fini(&request->events);
    switch (request->type->kind) {
    case REQUEST_CLAIM:
        command_free(request->claim.ask.command);
        reply_to_fini(&request->claim.ask.reply_to);
        buf_fini(&request->claim.ask.audit);
        break;
    case REQUEST_POST:
    case REQUEST_REPLACE:
        buf_fini(&request->post.message);
        buf_fini(&request->post.audit);
        break;
    case REQUEST_FINISH:
    case REQUEST_RETRY:
    case REQUEST_RESOLVE:
        finish_fini(&request->finish);
        break;
    case REQUEST_WATCH:
        for (size_t i = 0; i < request->watch.message_count; i++) {
            buf_fini(&request->watch.messages[i]);
        }
        free(request->watch.messages);
        break;
    case REQUEST_REMEMBER:
        free(request->remember.instance);
        free(request->remember.key);
        break;
    case REQUEST_ALLOWANCE:
        free(request->allowance.name);
        break;
    case REQUEST_ABSENT:
        absent_clear(&request->absent);
        free(request->absent.numbers);
        free(request->absent.lease_of);
        break;
    case REQUEST_ADD_AUDIT:
        buf_fini(&request->add_audit.members);
        break;
    case REQUEST_QUERY:
        query_clear(&request->query);
        free(request->query.records);
        buf_fini(&request->query.token);
        buf_fini(&request->query.fingerprint);
        buf_fini(&request->query.group);
        break;
    case REQUEST_BEGIN:
    case REQUEST_PAUSE:
    case REQUEST_DELIVERED:
    case REQUEST_READ:
    case REQUEST_READ_AUDIT:
    case REQUEST_EXPORTED:
    case REQUEST_COUNT:
        break;
    }
    free(request);
}

static void free_found(struct ledger_batch *batch)
{
    struct ledger_request *request;
    while ((request = request_list_take(&batch->overdue)) != NULL) {
        ledger_request_free(request);
    }
    for (size_t i = 0; i < batch->command_count; i++) {
        command_free(batch->commands[i]);
    }
    free(batch->commands);
    batch->commands = NULL;
    batch->command_count = 0;
    batch->command_waiters = 0;
    batch->adopted_count = 0;
    for (size_t i = 0; i < batch->watched_count; i++) {
        watch_free(batch->watched[i]);
    }
    free(batch->watched);
    batch->watched = NULL;
    batch->watched_count = 0;
    for (size_t i = 0; i < batch->region_count; i++) {
        free(batch->regions[i].name);
    }
    free(batch->regions);
    batch->regions = NULL;
    batch->region_count = 0;
}

void ledger_batch_reset(struct ledger_batch *batch)
{
    buf_clear(&batch->bytes);
    batch->message_count = 0;
    batch->meta_count = 0;
    batch->expired_count = 0;
    batch->alone_count = 0;
    batch->alone_us = 0;
    batch->has_replaced = false;
    batch->may_have_lost = false;
    batch->has_more_free = false;
    for (struct ledger_request *request = batch->requests.head; request != NULL;
         request = request->next) {
        request->audit_seq = 0;
    }
    free_found(batch);
}

void ledger_batch_free(struct ledger_batch *batch)
{
    if (batch == NULL) {
        return;
    }
    struct ledger_request *request;
    while ((request = request_list_take(&batch->requests)) != NULL) {
        ledger_request_free(request);
    }
    free_found(batch);
    buf_fini(&batch->bytes);
    buf_fini(&batch->scratch);
    buf_fini(&batch->health_text);
    free(batch->messages);
    free(batch);
}

struct slice finish_error(const struct finish_request *finish)
{
    return finish->error.length > 0 ? buf_slice(&finish->error) : (struct slice){0};
}

void ledger_batch_add_meta(struct ledger_batch *batch, const char *key, int64_t value)
{
    for (size_t i = 0; i < batch->meta_count; i++) {
        if (strcmp(batch->metas[i].key, key) == 0) {
            batch->metas[i].value = value;
            return;
        }
    }
    assert(batch->meta_count < BATCH_METAS_MAX);
    batch->metas[batch->meta_count++] = (struct batch_meta){key, value};
}

int64_t ledger_batch_message_id(struct ledger_batch *batch)
{
    return batch->next_message_id++;
}

static void add_message(struct ledger_batch *batch, int64_t id, size_t offset)
{
    if (batch->message_count == batch->message_capacity) {
        batch->message_capacity = batch->message_capacity == 0 ? 64 : batch->message_capacity * 2;
        batch->messages =
            mem_realloc(batch->messages, batch->message_capacity * sizeof *batch->messages);
    }
    batch->messages[batch->message_count++] =
        (struct batch_message){id, {offset, batch->bytes.length - offset}};
}

void ledger_batch_add_message(struct ledger_batch *batch, struct ledger_request *request,
                              int64_t id, size_t offset)
{
    assert(request->first_message + request->message_count == batch->message_count);
    add_message(batch, id, offset);
    request->message_count++;
}

void ledger_batch_adopt_message(struct ledger_batch *batch, int64_t id, size_t offset)
{
    add_message(batch, id, offset);
    batch->adopted_count++;
}

struct command *ledger_batch_command(const struct ledger_batch *batch, const struct store_row *row)
{
    const struct ledger_limits *limits = batch->limits;
    char *route_name = mem_dup(row->route.data, row->route.length);
    const struct route *route = route_of_name(limits->routes, limits->route_count, route_name);
    struct command *command = command_of_record(route, action_find(row->action), row->region,
                                                row->group, row->token, row->params);
    free(route_name);
    command->id = row->id;
    command->state = row->state;
    command->received_at_ms = row->received_at_ms;
    command->deadline_at_ms = row->deadline_at_ms;
    command->attempts = row->attempts;
    command->not_before_ms = row->not_before_ms;
    command->crashes = row->crashes;
    return command;
}

bool store_row_is_sound(const struct store_row *row)
{
    const struct action *action = action_find(row->action);
    struct json *document;
    struct action_values values;
    if (action == NULL ||
        action_params_read(action, row->params, &document, &values) != STATUS_OK) {
        return false;
    }
    json_free(document);
    return row->state > STATE_NONE && row->state < STATE_COUNT &&
           row->status >= OUTCOME_SUCCEEDED && row->status <= OUTCOME_UNKNOWN &&
           row->retention >= RETENTION_SUCCESS && row->retention <= RETENTION_SET_ASIDE;
}

void ledger_batch_add_command(struct ledger_batch *batch, const struct store_row *row)
{
    ledger_batch_take_command(batch, ledger_batch_command(batch, row));
}

void ledger_batch_take_command(struct ledger_batch *batch, struct command *command_take)
{
    if ((batch->command_count & (batch->command_count - 1)) == 0) {
        size_t capacity = batch->command_count == 0 ? 1 : batch->command_count * 2;
        batch->commands = mem_realloc(batch->commands, capacity * sizeof(struct command *));
    }
    batch->commands[batch->command_count++] = command_take;
}

void ledger_batch_add_watch(void *arg, const struct watch *watch)
{
    struct ledger_batch *batch = arg;
    if ((batch->watched_count & (batch->watched_count - 1)) == 0) {
        size_t capacity = batch->watched_count == 0 ? 1 : batch->watched_count * 2;
        batch->watched = mem_realloc(batch->watched, capacity * sizeof(struct watch *));
    }
    batch->watched[batch->watched_count++] = watch_copy(watch);
    if (batch->region_count > 0) {
        batch->regions[batch->region_count - 1].count++;
    }
}

struct slice ledger_batch_history(const struct ledger_batch *batch,
                                  const struct ledger_request *request)
{
    return request->history.length > 0 ? ledger_batch_text(batch, request->history)
                                       : buf_slice(&request->events);
}

struct slice ledger_batch_text(const struct ledger_batch *batch, struct batch_text text)
{
    return slice_of(batch->bytes.data + text.offset, text.length);
}

void ledger_batch_begin_region(struct ledger_batch *batch, struct slice name)
{
    batch->regions =
        mem_realloc(batch->regions, (batch->region_count + 1) * sizeof batch->regions[0]);
    batch->regions[batch->region_count++] = (struct batch_region){
        .name = mem_dup(name.data, name.length), .first = batch->watched_count};
}
