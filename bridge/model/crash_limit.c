#include "model/crash_limit.h"

#include <assert.h>
#include <string.h>

#define CRASH_COUNT_MAX 1000000 /* no end of a bridge is counted so often */

enum blame blame_of(const struct blame_charges *charges)
{
    if (charges->ends >= BLAME_ENDS_SET_ASIDE && charges->alone >= BLAME_ALONE_MIN) {
        return BLAME_SET_ASIDE;
    }
    return charges->ends >= BLAME_ENDS_ALONE ? BLAME_ALONE : BLAME_NONE;
}

enum blame blame_of_ends(uint32_t ends)
{
    return blame_of(&(struct blame_charges){.ends = ends, .alone = ends});
}

/* ---- deliveries ---- */

static bool is_free(const struct blame_mark *mark)
{
    return mark->crash_count == 0 && mark->taking == 0;
}

bool blame_marks_are_sound(const struct blame_mark marks[BLAME_MARKS])
{
    for (size_t i = 0; i < BLAME_MARKS; i++) {
        if (marks[i].crash_count > CRASH_COUNT_MAX || marks[i].taking > BLAME_TAKING_MAX) {
            return false;
        }
    }
    return true;
}

size_t blame_marks_charge(struct blame_mark marks[BLAME_MARKS])
{
    size_t count = 0;
    for (size_t i = 0; i < BLAME_MARKS; i++) {
        if (marks[i].taking > 0) {
            marks[i].crash_count += marks[i].crash_count < CRASH_COUNT_MAX;
            marks[i].taking = 0;
            count++;
        }
    }
    return count;
}

void blame_marks_release(struct blame_mark marks[BLAME_MARKS])
{
    for (size_t i = 0; i < BLAME_MARKS; i++) {
        marks[i].taking = 0;
    }
}

static const struct blame_mark *find(const struct blame_mark marks[BLAME_MARKS],
                                     const uint8_t digest[DIGEST_SHA256_BYTES])
{
    for (size_t i = 0; i < BLAME_MARKS; i++) {
        if (!is_free(&marks[i]) && memcmp(marks[i].digest, digest, DIGEST_SHA256_BYTES) == 0) {
            return &marks[i];
        }
    }
    return NULL;
}

uint32_t blame_marks_count(const struct blame_mark marks[BLAME_MARKS],
                           const uint8_t digest[DIGEST_SHA256_BYTES])
{
    const struct blame_mark *mark = find(marks, digest);
    return mark == NULL ? 0 : mark->crash_count;
}

/* A free one, else the least charged of those that are not being taken. */
static struct blame_mark *find_room(struct blame_mark marks[BLAME_MARKS])
{
    struct blame_mark *best = NULL;
    for (size_t i = 0; i < BLAME_MARKS; i++) {
        if (marks[i].taking == 0 && (best == NULL || marks[i].crash_count < best->crash_count)) {
            best = &marks[i];
        }
        if (best != NULL && best->crash_count == 0) {
            break;
        }
    }
    return best;
}

struct blame_mark *blame_mark_begin(struct blame_mark marks[BLAME_MARKS],
                                    const uint8_t digest[DIGEST_SHA256_BYTES])
{
    struct blame_mark *mark = (struct blame_mark *)find(marks, digest);
    if (mark == NULL && (mark = find_room(marks)) != NULL) {
        mark->crash_count = 0;
        memcpy(mark->digest, digest, DIGEST_SHA256_BYTES);
    }
    if (mark == NULL || mark->taking == BLAME_TAKING_MAX) {
        return NULL;
    }
    /* Last: whenever the process ends, a mark that counts names its delivery. */
    __atomic_signal_fence(__ATOMIC_RELEASE);
    mark->taking++;
    return mark;
}

void blame_mark_leave(struct blame_mark *mark)
{
    assert(mark->taking > 0);
    mark->taking--;
}

void blame_mark_end(struct blame_mark *mark)
{
    if (mark != NULL) {
        blame_mark_leave(mark);
        mark->crash_count = 0;
    }
}

/* ---- one suspect at a time ---- */

void blame_gate_join(struct blame_gate *gate, blame_freed_fn *freed, void *arg)
{
    size_t place = gate->parties[0].freed == NULL ? 0 : 1;
    assert(gate->parties[place].freed == NULL);
    gate->parties[place].freed = freed;
    gate->parties[place].arg = arg;
}

bool blame_gate_is_open(const struct blame_gate *gate, const void *party)
{
    return gate->holder == NULL || gate->holder == party;
}

bool blame_gate_enter(struct blame_gate *gate, const void *party)
{
    if (!blame_gate_is_open(gate, party)) {
        return false;
    }
    gate->holder = party;
    return true;
}

void blame_gate_leave(struct blame_gate *gate, const void *party)
{
    if (gate->holder != party) {
        return;
    }
    gate->holder = NULL;
    for (size_t i = 0; i < 2; i++) {
        if (gate->parties[i].freed != NULL && gate->parties[i].arg != party) {
            gate->parties[i].freed(gate->parties[i].arg);
        }
    }
}
