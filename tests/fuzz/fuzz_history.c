/*
 * Any bytes are a history, as a damaged ledger may have it. Reading ends, and events that are
 * appended are there: the last ones, and never more than the limit.
 */
#include "ledger/history.h"

#include <assert.h>

#define FLAGGED_MAX 2 /* events of one entry */

static size_t count_events(struct slice history, struct ledger_event *out_last)
{
    struct history_reader reader = {.rest = history};
    struct ledger_event event;
    size_t count = 0;
    while (history_read(&reader, &event)) {
        assert(event.kind > 0 && event.kind < LEDGER_EVENT_KIND_COUNT);
        assert(event.at_ms >= 0 && event.at_ms < INT64_C(1) << 48);
        assert(event.code.length + event.request_id.length < 256);
        *out_last = event;
        count++;
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice history = slice_of(data, size);
    struct ledger_event last = {0};
    struct buf event = {0};
    struct buf all = {0};
    struct buf carried = {0};
    size_t count = count_events(history, &last);
    history_carry_over(history, slice_text("Code"), slice_text("Id"), &carried);
    assert(count_events(buf_slice(&carried), &last) == count);
    history_put_start(&event, 1, 7);
    history_append(buf_slice(&carried), buf_slice(&event), &all);
    assert(count_events(buf_slice(&all), &last) <=
               FLAGGED_MAX * (HISTORY_FIRST_COUNT + HISTORY_LAST_COUNT) + 1 ||
           all.length <= 512);
    assert(last.kind == LEDGER_EVENT_ATTEMPT_STARTED && last.attempt == 7);
    for (int state = STATE_READY; state < STATE_COUNT; state++) {
        history_fault(history, (enum state)state);
    }
    buf_fini(&event);
    buf_fini(&all);
    buf_fini(&carried);
    return 0;
}
