/*
 * admin - the HTTP endpoint for operators: /livez, /readyz, /status, /metrics.
 *
 * Wraps libmicrohttpd, the only code that does, with a thread of its own for each address. They
 * read counters and health and change nothing.
 *
 * Thread: the loop's.
 */
#ifndef ADMIN_SERVER_H
#define ADMIN_SERVER_H

#include "base/buf.h"
#include "base/counters.h"
#include "base/health.h"
#include "base/shared_text.h"
#include "base/status.h"

struct admin;

/* What the pages show; all of it must outlive the endpoint. */
struct admin_options {
    /* "host:port": IPv4, IPv6 in brackets, or a name that resolves at once: all its addresses. */
    const char *listen;
    const char *instance;
    const struct health *health;
    struct counters *counters;
    struct shared_text *sessions; /* the sessions at the broker, a JSON array; or empty */
};

/* Appends the JSON object of /status and a line feed. `listen` is not used. Thread: any. */
void admin_put_status(const struct admin_options *options, struct buf *out);

/* STATUS_INVALID or STATUS_UNAVAILABLE where it cannot listen at all; *out_why is appended to. An
 * address of several that cannot be listened on is logged and left out. */
enum status admin_new(const struct admin_options *options, struct admin **out_admin,
                      struct buf *out_why);
/* The port it listens on. */
int admin_port(const struct admin *admin);
/* Takes NULL. */
void admin_free(struct admin *admin);
/* libmicrohttpd's version, for `version`. */
const char *admin_library_version(void);

#endif
