/*
 * commands_json - what the admin endpoint answers about commands and what they have started.
 *
 * /api/commands is {At, Pending, InWork, Outcomes}: the first COMMANDS_SHOWN_MAX unfinished
 * commands, each with why it waits, and the OUTCOMES_SHOWN_MAX last outcomes. Outcomes is left out
 * while the ledger cannot be read.
 *
 * /api/commands/TOKEN is the record of the token with its history, as `ledger show` prints it; its
 * Watch also has the last event, where that is known. 404 where there is no record, 503 while the
 * ledger cannot be read.
 *
 * /api/watches is watcher_put_list() with at most WATCHES_SHOWN_MAX groups.
 *
 * Thread: the loop's.
 */
#ifndef APP_COMMANDS_JSON_H
#define APP_COMMANDS_JSON_H

#include "admin/server.h"
#include "dispatch/dispatch.h"
#include "ledger/ledger.h"
#include "watch/watcher.h"

#define COMMANDS_SHOWN_MAX 100
#define OUTCOMES_SHOWN_MAX 30
#define WATCHES_SHOWN_MAX  100

struct commands_json {
    struct dispatch *dispatch;
    struct ledger *ledger;
    struct counters *counters;
    const struct watcher *watcher;
};

/* The hooks of the admin endpoint; `json` must outlive it. */
struct admin_hooks commands_json_hooks(struct commands_json *json);

#endif
