/*
 * deadlines - the commands that wait, by their deadlines.
 *
 * A binary heap: senders choose deadlines (NotAfter), and in a sorted list each of many waiting
 * commands with deadlines in any order would cost a search.
 *
 * Thread: the loop's.
 */
#ifndef DISPATCH_DEADLINES_H
#define DISPATCH_DEADLINES_H

#include "queue.h"

struct deadlines {
    struct task **tasks; /* each one's deadline is not before that of its parent, (index - 1) / 2 */
    size_t count;
    size_t capacity;
};

/* The tasks stay the caller's. */
void deadlines_fini(struct deadlines *deadlines);
/* Nothing where the task is in it already. */
void deadlines_add(struct deadlines *deadlines, struct task *task);
/* Nothing where the task is not in it. */
void deadlines_remove(struct deadlines *deadlines, struct task *task);
/* The task with the earliest deadline; NULL for none. */
struct task *deadlines_first(const struct deadlines *deadlines);

#endif
