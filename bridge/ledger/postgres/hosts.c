#include "hosts.h"

#include "base/clock.h"

#include <stdlib.h>

/* A search for the primary. */
struct search {
    const char *uri;
    const char *password_file;
    bool is_full;
    struct timeline *timeline;
    int64_t end_ms;                         /* monotonic */
    struct postgres_connection *connection; /* the best so far; NULL: none */
    struct postgres_server server;
    size_t refused;     /* hosts that cannot be used as they are */
    bool is_ambiguous;  /* two of them are different database systems */
    enum status status; /* of the last host that is not used */
};

static void take_server(void *arg, size_t index, const PGresult *result)
{
    struct postgres_server *server = arg;
    (void)index;
    if (PQntuples(result) == 1 && PQnfields(result) == 3) {
        server->system = strtoull(PQgetvalue(result, 0, 0), NULL, 10);
        server->timeline = (unsigned)strtoul(PQgetvalue(result, 0, 1), NULL, 16);
        server->has_standby = PQgetlength(result, 0, 2) > 0;
    }
}

/* A service with another storage does not say which it is: all is 0 then. */
static enum status read_server(struct postgres_connection *connection, int timeout_ms,
                               struct postgres_server *out_server, struct buf *out_why)
{
    *out_server = (struct postgres_server){0};
    postgres_send_text(connection,
                       "SELECT system_identifier, left(pg_walfile_name(pg_current_wal_lsn()), 8),"
                       " current_setting('synchronous_standby_names') FROM pg_control_system()");
    enum status status = postgres_exchange(connection, timeout_ms, take_server, out_server);
    if (status == STATUS_UNAVAILABLE) {
        buf_append_text(out_why, postgres_error(connection));
        return status;
    }
    return STATUS_OK;
}

/* Two hosts that both take writes, and nothing says which of them is the ledger's. */
static enum status compare_systems(struct search *search, const struct postgres_server *server,
                                   struct buf *out_why)
{
    if (search->connection == NULL || search->server.system == 0 || server->system == 0 ||
        search->server.system == server->system) {
        return STATUS_OK;
    }
    search->is_ambiguous = true;
    buf_append_text(out_why, "the hosts of ledger.store are different database systems, and each "
                             "takes writes: name those of one only");
    return STATUS_INVALID;
}

static enum status ask(struct search *search, const struct postgres_host *host, int timeout_ms,
                       struct buf *out_why)
{
    struct postgres_connection *connection = NULL;
    struct postgres_server server;
    enum status status = postgres_open_host(search->uri, host, search->password_file,
                                            search->is_full, timeout_ms, &connection, out_why);
    if (status == STATUS_OK) {
        status = read_server(connection, timeout_ms, &server, out_why);
    }
    if (status == STATUS_OK) {
        status = timeline_check(search->timeline, &server, out_why);
    }
    if (status == STATUS_OK) {
        status = compare_systems(search, &server, out_why);
    }
    if (status == STATUS_OK &&
        (search->connection == NULL || server.timeline > search->server.timeline)) {
        postgres_close(search->connection);
        search->connection = connection;
        search->server = server;
        return STATUS_OK;
    }
    postgres_close(connection);
    return status;
}

/* Each host that is left gets an equal part of the time that is left. */
static int share_ms(const struct search *search, size_t left)
{
    int64_t ms = (search->end_ms - clock_mono_ms()) / (int64_t)left;
    return ms < 1 ? 1 : (int)ms;
}

static void ask_all(struct search *search, const struct postgres_hosts *hosts, struct buf *out_why)
{
    for (size_t i = 0; i < hosts->count; i++) {
        struct buf why = {0};
        enum status status =
            ask(search, &hosts->hosts[i], share_ms(search, hosts->count - i), &why);
        if (status != STATUS_OK) {
            buf_append_text(out_why, out_why->length == 0 ? "" : "; ");
            if (hosts->count > 1) {
                const struct postgres_host *host = &hosts->hosts[i];
                buf_printf(out_why, "%s:%s: ", host->name[0] != '\0' ? host->name : host->address,
                           host->port);
            }
            buf_append(out_why, buf_slice(&why));
            search->refused += status == STATUS_INVALID ? 1 : 0;
            search->status = status;
        }
        buf_fini(&why);
    }
}

enum status postgres_open_primary(const char *uri, const char *password_file, bool is_full,
                                  bool prepares, int timeout_ms, struct timeline *timeline,
                                  struct postgres_connection **out_connection,
                                  struct postgres_server *out_server, struct buf *out_why)
{
    struct buf why = {0};
    struct postgres_hosts hosts;
    struct search search = {.uri = uri,
                            .password_file = password_file,
                            .is_full = is_full,
                            .timeline = timeline,
                            .end_ms = clock_mono_ms() + timeout_ms};
    enum status status = postgres_read_hosts(uri, &hosts, out_why);
    if (status != STATUS_OK) {
        return status;
    }
    ask_all(&search, &hosts, &why);
    if (search.is_ambiguous) {
        status = STATUS_INVALID;
    } else if (search.connection == NULL) {
        bool is_refused = search.refused == hosts.count;
        status = hosts.count == 1 || is_refused ? search.status : STATUS_UNAVAILABLE;
    } else if (prepares) {
        status = postgres_prepare(search.connection, timeout_ms);
        buf_clear(&why);
        buf_append_text(&why, status == STATUS_OK ? "" : postgres_error(search.connection));
    }
    if (status == STATUS_OK) {
        timeline_use(timeline, &search.server);
        *out_connection = search.connection;
        *out_server = search.server;
    } else {
        postgres_close(search.connection);
        buf_append(out_why, buf_slice(&why));
    }
    buf_fini(&why);
    return status;
}

enum status postgres_open(const char *uri, const char *password_file, bool is_full, bool prepares,
                          int timeout_ms, struct postgres_connection **out_connection,
                          struct buf *out_why)
{
    struct postgres_server server;
    return postgres_open_primary(uri, password_file, is_full, prepares, timeout_ms, NULL,
                                 out_connection, &server, out_why);
}

enum status postgres_open_to_read(const char *uri, const char *password_file, int timeout_ms,
                                  struct postgres_connection **out_connection, struct buf *out_why)
{
    struct buf why = {0};
    bool must_prepare = false;
    enum status status =
        postgres_open(uri, password_file, false, true, timeout_ms, out_connection, &why);
    if (status == STATUS_UNAVAILABLE) {
        buf_clear(&why);
        status = postgres_open_any(uri, password_file, timeout_ms, out_connection, &why);
        must_prepare = true;
    }
    buf_append(out_why, buf_slice(&why));
    buf_fini(&why);
    if (status != STATUS_OK) {
        return status;
    }
    status = postgres_run(*out_connection, timeout_ms,
                          "SET statement_timeout = 0; SET default_transaction_read_only = on");
    if (status == STATUS_OK && must_prepare) {
        status = postgres_prepare(*out_connection, timeout_ms);
    }
    if (status != STATUS_OK) {
        buf_append_text(out_why, postgres_error(*out_connection));
        postgres_close(*out_connection);
        *out_connection = NULL;
    }
    return status;
}
