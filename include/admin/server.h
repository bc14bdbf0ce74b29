/*
 * admin - the HTTP endpoint for operators: /livez, /readyz, /metrics.
 *
 * Wraps libmicrohttpd, the only code that does, with one thread of its own that reads counters and
 * one atomic word, nothing else.
 *
 * Thread: the loop's; admin_set_ready() from any.
 */
#ifndef ADMIN_SERVER_H
#define ADMIN_SERVER_H

#include "base/buf.h"
#include "base/counters.h"
#include "base/status.h"

#include <stdbool.h>

struct admin;

/*
 * Listens on "host:port" (IPv4, IPv6 in brackets, or a name that resolves at once).
 * STATUS_UNAVAILABLE where it cannot; *out_why is appended to.
 */
enum status admin_new(const char *listen, struct counters *counters, struct admin **out_admin,
                      struct buf *out_why);
void admin_set_ready(struct admin *admin, bool is_ready);
/* The port it listens on. */
int admin_port(const struct admin *admin);
/* Takes NULL. */
void admin_free(struct admin *admin);
/* The counters in Prometheus' text format. */
void admin_metrics(struct counters *counters, struct buf *out);
const char *admin_library_version(void);

#endif
