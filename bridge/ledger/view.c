/*
 * Reads a store while a bridge may be running on it, and prints rows as JSON.
 */
#include "ledger/view.h"

#include "audit_rows.h"
#include "base/json.h"
#include "clock.h"
#include "ledger/ledger.h"
#include "ledger/sqlite/sqlite.h"
#include "record.h"
#include "store.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <stdlib.h>

#define PAGE_ROWS 500

struct view {
    const struct store_ops *ops;
    struct store *store;
    int64_t steps_ms; /* the stored sum of the wall clock's steps: ledger's times are printed as
                         wall clock times */
};

static enum status open_view(const struct ledger_source *source, struct view *out_view,
                             struct buf *out_why)
{
    struct store_place place = {.instance = source->instance,
                                .password_file = source->password_file};
    struct ledger_clock_meta clock;
    enum status status = store_choose(source->store, &out_view->ops, &place.location, out_why);
    if (status == STATUS_OK) {
        status = out_view->ops->open_to_read(&place, &out_view->store, out_why);
    }
    if (status != STATUS_OK) {
        return status;
    }
    status = ledger_clock_load(out_view->ops, out_view->store, &clock);
    out_view->steps_ms = clock.steps_ms;
    if (status != STATUS_OK) {
        buf_append_text(out_why, out_view->ops->error(out_view->store));
        out_view->ops->close(out_view->store);
    }
    return status;
}

/* Closes the store and appends the reason of a failure. */
static enum status close_view(const struct view *view, enum status status, struct buf *out_why)
{
    if (status == STATUS_STORE && out_why->length == 0) {
        buf_append_text(out_why, view->ops->error(view->store));
    }
    view->ops->close(view->store);
    return status;
}

static void put_record(const struct ledger_record *record, bool has_history, struct buf *out)
{
    struct buf object = {0}; /* JSON is written to a text of its own, or it would continue a list */
    ledger_record_put(record, has_history, &object);
    buf_append(out, buf_slice(&object));
    buf_append_char(out, '\n');
    buf_fini(&object);
}

enum status ledger_show(const struct ledger_source *source, struct slice token, struct buf *out,
                        struct buf *out_why)
{
    struct view view;
    struct store_row row;
    enum status status = open_view(source, &view, out_why);
    if (status != STATUS_OK) {
        return status;
    }
    status = view.ops->find(view.store, token, &row);
    if (status == STATUS_OK) {
        struct watch *watch = NULL;
        struct ledger_record *record = record_new(&row, view.steps_ms);
        status = view.ops->find_watch(view.store, record->group, &watch);
        if (status == STATUS_OK || status == STATUS_NOT_FOUND) {
            bool is_its_own = watch != NULL && slice_equals_text(token, watch->token);
            record->watch = is_its_own ? watch : NULL;
            put_record(record, true, out);
            status = STATUS_OK;
        }
        free(record);
        watch_free(watch);
    }
    return close_view(&view, status, out_why);
}

/* ---- lists ---- */

/* Reads all rows of a list, a page at a time. */
struct pages {
    const struct view *view;
    void (*row)(struct pages *pages, const struct store_row *row);
    enum status (*page_end)(struct pages *pages); /* after each page; not STATUS_OK: stop there */
    int64_t last_id;
    size_t count; /* of the rows of this page */
};

static void page_row(void *arg, const struct store_row *row)
{
    struct pages *pages = arg;
    pages->last_id = row->id;
    pages->count++;
    pages->row(pages, row);
}

static enum status read_pages(struct pages *pages, enum store_list list)
{
    const struct view *view = pages->view;
    enum status status;
    do {
        pages->count = 0;
        status = view->ops->each(view->store, list, pages->last_id, PAGE_ROWS, page_row, pages);
        if (status == STATUS_OK) {
            status = pages->page_end(pages);
        }
    } while (status == STATUS_OK && pages->count == PAGE_ROWS);
    return status;
}

struct listing {
    struct pages pages; /* the first member */
    const struct ledger_filter *filter;
    ledger_text_fn *put;
    void *arg;
    struct buf lines; /* of this page */
    int64_t listed;
};

static bool matches(const char *pattern, struct slice value)
{
    if (pattern == NULL) {
        return true;
    }
    struct buf text = {0};
    buf_append(&text, value);
    bool is_match = fnmatch(pattern, text.length == 0 ? "" : text.data, 0) == 0;
    buf_fini(&text);
    return is_match;
}

static bool is_listed(const struct ledger_filter *filter, const struct store_row *row)
{
    return (filter->state == STATE_NONE || filter->state == row->state) &&
           (!filter->has_status ||
            (row->state == STATE_DONE && row->status == (int)filter->status)) &&
           row->received_at_ms >= filter->since_ms && row->received_at_ms < filter->until_ms &&
           (filter->route == NULL || slice_equals_text(row->route, filter->route)) &&
           matches(filter->region, row->region) && matches(filter->group, row->group);
}

static void list_row(struct pages *pages, const struct store_row *row)
{
    struct listing *listing = (struct listing *)pages;
    if (listing->listed < listing->filter->limit && is_listed(listing->filter, row)) {
        struct ledger_record *record = record_new(row, pages->view->steps_ms);
        put_record(record, listing->filter->has_history, &listing->lines);
        free(record);
        listing->listed++;
    }
}

static enum status list_page(struct pages *pages)
{
    struct listing *listing = (struct listing *)pages;
    listing->put(listing->arg, buf_slice(&listing->lines));
    buf_clear(&listing->lines);
    return listing->listed < listing->filter->limit ? STATUS_OK : STATUS_NOT_FOUND;
}

void ledger_filter_init(struct ledger_filter *filter)
{
    *filter =
        (struct ledger_filter){.since_ms = INT64_MIN, .until_ms = INT64_MAX, .limit = INT64_MAX};
}

enum status ledger_filter_set_state(struct ledger_filter *filter, const char *text)
{
    for (int state = STATE_READY; state < STATE_COUNT; state++) {
        if (strcmp(text, state_text((enum state)state)) == 0) {
            filter->state = (enum state)state;
            filter->has_finished = filter->has_finished || state == STATE_DONE;
            return STATUS_OK;
        }
    }
    if (!outcome_status_read(slice_text(text), &filter->status)) {
        return STATUS_INVALID;
    }
    filter->has_status = true;
    filter->has_finished = true;
    return STATUS_OK;
}

enum status ledger_list(const struct ledger_source *source, const struct ledger_filter *filter,
                        ledger_text_fn *put, void *arg, struct buf *out_why)
{
    struct view view;
    struct listing listing = {
        .pages = {.view = &view, .row = list_row, .page_end = list_page},
        .filter = filter,
        .put = put,
        .arg = arg,
    };
    enum status status = open_view(source, &view, out_why);
    if (status != STATUS_OK) {
        return status;
    }
    status =
        read_pages(&listing.pages, filter->has_finished ? STORE_LIST_ALL : STORE_LIST_UNFINISHED);
    buf_fini(&listing.lines);
    return close_view(&view, status == STATUS_NOT_FOUND ? STATUS_OK : status, out_why);
}

/* ---- numbers ---- */

struct tally {
    struct pages pages;            /* the first member */
    int64_t by_state[STATE_COUNT]; /* of unfinished commands */
    int64_t unfinished;
    int64_t oldest_ms; /* when the oldest unfinished one was received; 0: there is none */
};

static void tally_row(struct pages *pages, const struct store_row *row)
{
    struct tally *tally = (struct tally *)pages;
    if (tally->unfinished++ == 0) {
        tally->oldest_ms = row->received_at_ms;
    }
    tally->by_state[row->state]++;
}

static enum status tally_page(struct pages *pages)
{
    (void)pages;
    return STATUS_OK;
}

static enum status count_unfinished(const struct view *view, struct tally *out_tally)
{
    *out_tally = (struct tally){.pages = {view, tally_row, tally_page, 0, 0}};
    return read_pages(&out_tally->pages, STORE_LIST_UNFINISHED);
}

enum status ledger_count(const struct ledger_source *source, struct buf *out, struct buf *out_why)
{
    struct view view;
    struct tally tally;
    struct store_summary summary;
    enum status status = open_view(source, &view, out_why);
    if (status != STATUS_OK) {
        return status;
    }
    status = count_unfinished(&view, &tally);
    if (status == STATUS_OK) {
        status = view.ops->summarise(view.store, &summary);
    }
    if (status == STATUS_OK) {
        json_put_open(out, '{');
        json_put_int(out, "Unfinished", tally.unfinished);
        json_put_int(out, "Waiting", summary.waiting);
        json_put_int(out, "Outbox", summary.messages);
        json_put_close(out, '}');
        buf_append_char(out, '\n');
    }
    return close_view(&view, status, out_why);
}

static void count_watch(void *arg, const struct watch *watch)
{
    (void)watch;
    ++*(int64_t *)arg;
}

static void put_stats(const struct tally *tally, const struct store_summary *summary,
                      const struct store_statistics *statistics, int64_t watches, struct buf *out)
{
    json_put_open(out, '{');
    json_put_int(out, "Schema", statistics->schema);
    json_put_name(out, "Records");
    json_put_open(out, '{');
    for (int state = STATE_READY; state < STATE_DONE; state++) {
        json_put_int(out, state_text((enum state)state), tally->by_state[state]);
    }
    json_put_int(out, state_text(STATE_DONE), statistics->records - tally->unfinished);
    json_put_close(out, '}');
    json_put_int(out, "Waiting", summary->waiting);
    json_put_int(out, "Outbox", summary->messages);
    json_put_int(out, "OutboxBytes", summary->message_bytes);
    json_put_int(out, "Watches", watches);
    json_put_int(out, "AuditRecords", statistics->audit_records);
    if (tally->unfinished > 0) {
        json_put_time(out, "OldestUnfinished", tally->oldest_ms);
    }
    json_put_time_if(out, "OldestRecord", statistics->oldest_received_at_ms);
    json_put_int(out, "FileBytes", statistics->file_bytes);
    json_put_int(out, "LogBytes", statistics->log_bytes);
    json_put_int(out, "PageBytes", statistics->page_bytes);
    json_put_int(out, "Pages", statistics->pages);
    json_put_int(out, "FreePages", statistics->free_pages);
    json_put_close(out, '}');
    buf_append_char(out, '\n');
}

enum status ledger_stats(const struct ledger_source *source, struct buf *out, struct buf *out_why)
{
    struct view view;
    struct tally tally;
    struct store_summary summary;
    struct store_statistics statistics;
    int64_t watches = 0;
    enum status status = open_view(source, &view, out_why);
    if (status != STATUS_OK) {
        return status;
    }
    status = count_unfinished(&view, &tally);
    if (status == STATUS_OK) {
        status = view.ops->summarise(view.store, &summary);
    }
    if (status == STATUS_OK) {
        status = view.ops->get_statistics(view.store, &statistics);
    }
    if (status == STATUS_OK) {
        status = view.ops->each_watch(view.store, count_watch, &watches);
    }
    if (status == STATUS_OK) {
        put_stats(&tally, &summary, &statistics, watches, out);
    }
    return close_view(&view, status, out_why);
}

/* ---- verify ---- */

struct verification {
    struct pages pages; /* the first member */
    ledger_text_fn *put;
    void *arg;
    int64_t faults;
    int64_t records;
};

static void report_fault(void *arg, const char *text)
{
    struct verification *verification = arg;
    struct buf line = {0};
    buf_printf(&line, "%s\n", text);
    verification->put(verification->arg, buf_slice(&line));
    verification->faults++;
    buf_fini(&line);
}

static void verify_row(struct pages *pages, const struct store_row *row)
{
    struct verification *verification = (struct verification *)pages;
    const char *fault = history_fault(row->history, row->state);
    verification->records++;
    if (fault != NULL) {
        struct buf text = {0};
        buf_printf(&text, "command %" PRId64 ": %s", row->id, fault);
        report_fault(verification, text.data);
        buf_fini(&text);
    }
}

enum status ledger_verify(const struct ledger_source *source, ledger_text_fn *put, void *arg,
                          int64_t *out_faults, int64_t *out_records, struct buf *out_why)
{
    struct view view;
    struct verification verification = {
        .pages = {.view = &view, .row = verify_row, .page_end = tally_page},
        .put = put,
        .arg = arg,
    };
    enum status status = open_view(source, &view, out_why);
    if (status != STATUS_OK) {
        return status;
    }
    status = view.ops->verify(view.store, report_fault, &verification);
    if (status == STATUS_OK) {
        status = read_pages(&verification.pages, STORE_LIST_ALL);
    }
    *out_faults = verification.faults;
    *out_records = verification.records;
    return close_view(&view, status, out_why);
}

/* ---- the others ---- */

enum status ledger_backup(const struct ledger_source *source, const char *path, struct buf *out_why)
{
    struct view view;
    enum status status = open_view(source, &view, out_why);
    return status == STATUS_OK
               ? close_view(&view, view.ops->backup(view.store, path, out_why), out_why)
               : status;
}

enum status ledger_audit_tip(const struct ledger_source *source, struct audit_tip *out_tip,
                             struct buf *out_why)
{
    struct view view;
    enum status status = open_view(source, &view, out_why);
    return status == STATUS_OK
               ? close_view(&view, audit_tip_load(view.ops, view.store, out_tip), out_why)
               : status;
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
