/*
 * Reads a store while a bridge may be running on it, and prints rows as JSON.
 */
#include "ledger/ledger.h"

#include "audit_rows.h"
#include "base/json.h"
#include "clock.h"
#include "ledger/sqlite/sqlite.h"
#include "record.h"
#include "store.h"

#include <stdlib.h>

/* The output, and the stored sum of the wall clock's steps, to print the ledger's times as times of
 * the wall clock. */
struct view {
    struct buf *out;
    int64_t steps_ms;
    bool has_history;
};

static void put_row(void *arg, const struct store_row *row)
{
    const struct view *view = arg;
    struct buf object = {0};
    struct ledger_record *record = record_new(row, view->steps_ms);
    ledger_record_put(record, view->has_history, &object);
    buf_append(view->out, buf_slice(&object));
    buf_append_char(view->out, '\n');
    buf_fini(&object);
    free(record);
}

static enum status open_view(const char *name, const struct store_ops **out_ops,
                             struct store **out_store, struct buf *out_why)
{
    const char *location = NULL;
    enum status status = store_choose(name, out_ops, &location, out_why);
    return status == STATUS_OK ? (*out_ops)->open_to_read(location, out_store, out_why) : status;
}

/* Closes the store and appends the reason of a failure. */
static enum status close_view(const struct store_ops *ops, struct store *store, enum status status,
                              struct buf *out_why)
{
    if (status == STATUS_STORE) {
        buf_append_text(out_why, ops->error(store));
    }
    ops->close(store);
    return status;
}

enum status ledger_show(const char *store_name, struct slice token, struct buf *out,
                        struct buf *out_why)
{
    const struct store_ops *ops;
    struct store *store;
    struct store_row row;
    struct ledger_clock_meta clock;
    struct view view = {.out = out, .has_history = true};
    enum status status = open_view(store_name, &ops, &store, out_why);
    if (status != STATUS_OK) {
        return status;
    }
    status = ledger_clock_load(ops, store, &clock);
    if (status == STATUS_OK) {
        view.steps_ms = clock.steps_ms;
        status = ops->find(store, token, &row);
    }
    if (status == STATUS_OK) {
        put_row(&view, &row);
    }
    return close_view(ops, store, status, out_why);
}

enum status ledger_list(const char *store_name, struct buf *out, struct buf *out_why)
{
    const struct store_ops *ops;
    struct store *store;
    struct view view = {.out = out};
    enum status status = open_view(store_name, &ops, &store, out_why);
    if (status != STATUS_OK) {
        return status;
    }
    return close_view(
        ops, store, ops->each(store, STORE_LIST_UNFINISHED, 0, SIZE_MAX, put_row, &view), out_why);
}

static void count_row(void *arg, const struct store_row *row)
{
    (void)row;
    ++*(int64_t *)arg;
}

enum status ledger_count(const char *store_name, struct buf *out, struct buf *out_why)
{
    const struct store_ops *ops;
    struct store *store;
    int64_t unfinished = 0;
    struct store_summary summary;
    enum status status = open_view(store_name, &ops, &store, out_why);
    if (status != STATUS_OK) {
        return status;
    }
    status = ops->each(store, STORE_LIST_UNFINISHED, 0, SIZE_MAX, count_row, &unfinished);
    if (status == STATUS_OK) {
        status = ops->summarise(store, &summary);
    }
    if (status == STATUS_OK) {
        json_put_open(out, '{');
        json_put_int(out, "Unfinished", unfinished);
        json_put_int(out, "Waiting", summary.waiting);
        json_put_int(out, "Outbox", summary.messages);
        json_put_close(out, '}');
        buf_append_char(out, '\n');
    }
    return close_view(ops, store, status, out_why);
}

enum status ledger_audit_tip(const char *store_name, struct audit_tip *out_tip, struct buf *out_why)
{
    const struct store_ops *ops;
    struct store *store;
    enum status status = open_view(store_name, &ops, &store, out_why);
    if (status != STATUS_OK) {
        return status;
    }
    return close_view(ops, store, audit_tip_load(ops, store, out_tip), out_why);
}

const char *ledger_library_version(void)
{
    return store_sqlite_version();
}

void ledger_inspect(const char *name, ledger_finding_fn *found, void *arg)
{
    const struct store_ops *ops = NULL;
    const char *location = NULL;
    struct buf why = {0};
    if (store_choose(name, &ops, &location, &why) == STATUS_OK) {
        ops->inspect(location, found, arg);
    } else {
        found(arg, true, why.data);
    }
    buf_fini(&why);
}
