/*
 * admin - the HTTP endpoint for operators: the page / with its files, /status, /api/commands,
 * /api/commands/TOKEN, /api/watches, /livez, /readyz, /metrics. All are read-only.
 *
 * Wraps libmicrohttpd, the only code that does, with a thread of its own for each address. These
 * threads answer from counters, health and shared texts, so that they answer also while the loop
 * hangs. What only the loop's thread knows (/api/) it is asked for; the request waits meanwhile,
 * and keeps no other one waiting. At most ADMIN_ASKS_MAX requests wait; a further one gets a 503.
 *
 * Thread: the loop's.
 */
#ifndef ADMIN_SERVER_H
#define ADMIN_SERVER_H

#include "base/buf.h"
#include "base/counters.h"
#include "base/health.h"
#include "base/loop.h"
#include "base/shared_text.h"
#include "base/slice.h"
#include "base/status.h"

struct admin;
/* A request that the loop's thread answers. */
struct admin_ask;

#define ADMIN_ASKS_MAX 8

/* Each is called on the loop's thread, to be answered by admin_answer(), then or later. */
struct admin_hooks {
    void *arg;
    void (*commands)(void *arg, struct admin_ask *ask);
    /* The token is what the request names: any bytes but NUL, valid until the answer. */
    void (*command)(void *arg, struct admin_ask *ask, struct slice token);
    void (*watches)(void *arg, struct admin_ask *ask);
};

/* What the pages show; all of it must outlive the endpoint. */
struct admin_options {
    /* "host:port": IPv4, IPv6 in brackets, or a name that resolves at once: all its addresses. */
    const char *listen;
    const char *instance;
    const struct health *health;
    struct counters *counters;
    struct shared_text *sessions; /* the sessions at the broker, a JSON array; or empty */
    struct loop *loop;
    struct admin_hooks hooks;
};

/* Appends the page /metrics. `listen` is not used. Thread: any. */
void admin_put_metrics(const struct admin_options *options, struct buf *out);
/* Appends the JSON object of /status and a line feed. `listen` is not used. Thread: any. */
void admin_put_status(const struct admin_options *options, struct buf *out);

/* STATUS_INVALID or STATUS_UNAVAILABLE where it cannot listen at all; *out_why is appended to. An
 * address of several that cannot be listened on is logged and left out. */
enum status admin_new(const struct admin_options *options, struct admin **out_admin,
                      struct buf *out_why);
/* The `arg` of the hooks. */
void *admin_ask_arg(const struct admin_ask *ask);
/* Answers with this HTTP status and JSON; once for each request, before admin_free(). */
void admin_answer(struct admin_ask *ask, unsigned http_status, struct buf *json_take);
/* The port it listens on. */
int admin_port(const struct admin *admin);
/* Requests that were not answered get a 503. Takes NULL. */
void admin_free(struct admin *admin);
/* libmicrohttpd's version, for `version`. */
const char *admin_library_version(void);

#endif
