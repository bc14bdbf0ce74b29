/*
 * uri - what the URI of a PostgreSQL database says, without connecting.
 *
 * Thread: any.
 */
#ifndef LEDGER_POSTGRES_URI_H
#define LEDGER_POSTGRES_URI_H

#include "base/buf.h"
#include "base/status.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>

#define POSTGRES_HOSTS_MAX 16

/* One host of the URI, as text. What is empty is as the URI says. */
struct postgres_host {
    char name[256]; /* or the folder of a socket */
    char address[64];
    char port[8];
};

struct postgres_hosts {
    struct postgres_host hosts[POSTGRES_HOSTS_MAX];
    size_t count; /* at least 1 */
    bool is_off;  /* one of them is not this machine: its certificate must be verified */
};

/*
 * Checks "postgresql://..." without connecting. Off loopback and sockets the server's certificate
 * must be verified: sslmode is verify-full, which is the default here, and nothing weaker.
 * STATUS_INVALID: the reason is appended to *out_why, without the password.
 */
enum status postgres_check_uri(const char *uri, struct buf *out_why);

/* The hosts of the URI, in order. Fails as postgres_check_uri(). */
enum status postgres_read_hosts(const char *uri, struct postgres_hosts *out_hosts,
                                struct buf *out_why);

#endif
