/*
 * admin - the HTTP endpoint for operators: /livez, /readyz, /status, /metrics.
 *
 * Wraps libmicrohttpd, the only code that does, with one thread of its own, which reads counters
 * and health and changes nothing.
 *
 * Thread: the loop's.
 */
#ifndef ADMIN_SERVER_H
#define ADMIN_SERVER_H

#include "base/buf.h"
#include "base/counters.h"
#include "base/health.h"
#include "base/status.h"

struct admin;

/* What the pages show; all of it must outlive the endpoint. */
struct admin_options {
    const char *listen; /* "host:port": IPv4, IPv6 in brackets, or a name that resolves at once */
    const char *instance;
    const struct health *health;
    struct counters *counters;
};

/* STATUS_INVALID or STATUS_UNAVAILABLE where it cannot listen; *out_why is appended to. */
enum status admin_new(const struct admin_options *options, struct admin **out_admin,
                      struct buf *out_why);
/* The port it listens on. */
int admin_port(const struct admin *admin);
/* Takes NULL. */
void admin_free(struct admin *admin);
/* libmicrohttpd's version, for `version`. */
const char *admin_library_version(void);

#endif
