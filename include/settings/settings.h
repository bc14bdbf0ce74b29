/*
 * settings - the configuration file: reads, checks and prints it.
 *
 * Wraps libconfig. Every key is a row of tables/settings.def with name, type, default, range and
 * meaning; reading, checking, printing and the users' page all come from that table.
 *
 * Thread: any. A running bridge changes its settings only on the loop's thread, when it reloads
 * (settings_exchange_live()): other threads must not keep a pointer to a live value.
 */
#ifndef SETTINGS_SETTINGS_H
#define SETTINGS_SETTINGS_H

#include "base/buf.h"
#include "base/log.h"
#include "base/status.h"
#include "model/route.h"
#include "model/text_table.h"

#include <stdbool.h>
#include <stdint.h>

struct settings {
    char *instance;             /* never empty */
    bool is_instance_host_name; /* it is not in the file: the host name stands in for it */
    char *client_id_template;   /* broker.client_id before {Instance} is filled in */
    struct {
        struct text_list uris;
        char *profile;    /* a row of tables/broker_profiles.def */
        int64_t protocol; /* 5 or 4 */
        char *client_id;  /* {Instance} filled in */
        char *username;
        char *password_file;
        int64_t session_expiry_s;
        int64_t session_lost_hold_s;
        int64_t keepalive_s;
        int64_t receive_maximum;
        int64_t reconnect_min_s;
        int64_t reconnect_max_s;
        bool will;
        bool retain;
        double publish_per_s; /* 0: no limit */
        struct {
            char *ca_file;
            char *ca_path;
            char *cert_file;
            char *key_file;
            char *key_password_file;
            struct text_list alpn;
            bool verify;
        } tls;
        struct {
            char *instance_id; /* "" for another login */
            char *mode;        /* "device", "signature" or "token" */
            char *group_id;
            char *device_id; /* may contain {Instance} */
            char *access_key_id;
            char *secret_file;
            char *credentials_file;
            char *token_file;
        } apsaramq;
    } broker;
    struct {
        char *preset; /* "ebs" or "ecs" */
        char *endpoint;
        char *version;
        char *network;   /* "public" or "vpc" */
        char *signature; /* "v3" or "v1" */
        int64_t connect_timeout_ms;
        int64_t read_timeout_ms;
        int64_t max_in_flight;
        int64_t max_in_flight_per_region;
        int64_t max_connection_age_s;
        double rate_per_s;
        int64_t rate_burst;
        char *ca_file;
        char *ca_path;
        char *cert_file;
        char *key_file;
        char *key_password_file;
        char *proxy;
        bool allow_http;
        int64_t rpo_s;
    } api;
    struct credential_settings {
        char *provider; /* "default", or one source by name */
        char *metadata_url;
        char *role_name; /* of the instance */
        bool disable_imdsv1;
        char *uri;
        char *profile;
        char *cli_profile_file;
        char *profile_file;
        char *role_arn;
        char *role_session_name;
        int64_t role_session_s;
        char *role_policy;
        char *role_external_id;
        char *role_source;
        char *oidc_provider_arn;
        char *oidc_token_file;
        char *sts_endpoint;
        char *sts_region;
        bool sts_vpc;
    } credentials;
    struct {
        char *store;         /* "sqlite:PATH", or a URI, see settings/store_uri.h */
        char *durability;    /* "full" or "process" */
        char *password_file; /* "" for libpq's own ways to find a password */
        int64_t lease_s;
        int64_t session_adopt_s; /* 0: never */
        char *failover;          /* "strict" or "loss-accepted" */
    } ledger;
    struct {
        char *file; /* "" for none */
        bool chain;
    } audit;
    struct {
        int64_t success_ttl_s;
        int64_t failure_ttl_s;
    } dedup;
    struct {
        int64_t payload_bytes;
        int64_t pending;
        int64_t deadline_s;
        int64_t waiters_per_token;
        int64_t reply_topic_bytes;
        int64_t correlation_bytes;
        int64_t outbox_messages;
        int64_t outbox_bytes;
        int64_t commands_per_message;
    } limits;
    struct {
        int64_t qos;
        int64_t expiry_s;
    } replies;
    struct {
        char *dead_letters; /* templates, see model/topic.h */
        char *status;
        char *events;
    } topics;
    struct {
        char *listen; /* host:port, "" for off */
    } admin;
    struct {
        char *endpoint; /* URL, "" for no traces */
    } trace;
    struct {
        char *socket; /* "" for beside the ledger, "none"; see settings_control_path() */
    } control;
    struct {
        int64_t poll_min_s;
        int64_t poll_max_s;
        double rate_per_s; /* per region */
        int64_t batch;
        int64_t give_up_s;
        int64_t begin_s;
        int64_t stall_s;
        double lag_factor;
        int64_t blind_s;
        int64_t progress_s; /* 0: never */
        bool retain;
        int64_t event_expiry_s;
        int64_t max;
    } watch;
    struct {
        char *level;
        char *format; /* "logfmt" or "json" */
    } log;
    struct text_tables tables;
    struct route *routes;
    size_t route_count;
};

/* What the checks found: a line each, "FILE:LINE: key: what is wrong; allowed: ...". */
struct settings_report {
    struct buf errors;   /* lines; empty: usable */
    struct buf warnings; /* lines: usable but dangerous */
    int error_count;
    int warning_count;
};

/*
 * Reads and checks a file; with NULL as `path` the settings are the defaults. All errors are
 * reported, not only the first. `report` is {0} or has earlier lines, which stay. STATUS_OK with
 * *out_settings (free it with settings_free()), STATUS_NOT_FOUND where the file is missing, else
 * STATUS_INVALID.
 */
enum status settings_load(const char *path, struct settings **out_settings,
                          struct settings_report *report);
/* "PATH=VALUE" texts of the command line, which come after the file, in their order: any setting
 * but those of routes. Messages about them name `--set` as the file. */
struct settings_options {
    const char *const *items;
    size_t count;
};
/* The same with options; NULL for none. */
enum status settings_load_with(const char *path, const struct settings_options *options,
                               struct settings **out_settings, struct settings_report *report);
/* Where a bridge's settings come from. */
struct settings_source {
    const char *path;
    struct settings_options options;
};
/* What a file that is read again changes: paths of keys, separated by ", ". */
struct settings_changes {
    struct buf live;    /* a running bridge takes these */
    struct buf restart; /* these it takes at its next start */
};
/*
 * Reads the source again and compares it with the settings that a bridge runs on. STATUS_OK with
 * *out_fresh, of which settings_exchange_live() may be used. STATUS_INVALID also where the file is
 * good but its live values contradict those that change only at the next start. `out_changes` is
 * {0}; free it in every case. Reports as settings_load_with().
 */
enum status settings_load_again(const struct settings_source *source,
                                const struct settings *running, struct settings **out_fresh,
                                struct settings_changes *out_changes,
                                struct settings_report *report);
/* Exchanges the values of all live rows and the routes: `fresh` has the former ones then, which may
 * still be in use. The other values of `running` keep their place in memory. */
void settings_exchange_live(struct settings *running, struct settings *fresh);
void settings_changes_fini(struct settings_changes *changes);
/*
 * As settings_load() for a text in memory; messages use `name` as the file's name. STATUS_OK or
 * STATUS_INVALID.
 */
enum status settings_parse(struct slice text, const char *name, struct settings **out_settings,
                           struct settings_report *report);
/* Replaces the instance, and fills it into the client id. Before anything uses the settings. */
void settings_set_instance(struct settings *settings, const char *instance);
void settings_free(struct settings *settings);
void settings_report_fini(struct settings_report *report);
/* Appends all settings as a configuration file, which reads as the same settings again, except that
 * secrets are masked as "***". */
void settings_print(const struct settings *settings, struct buf *out);
/* Appends a configuration file with the default of every key, and its meaning as a comment. */
void settings_example(struct buf *out);

enum log_level settings_log_level(const struct settings *settings);
/*
 * The path of the broker password: broker.password_file, else $CREDENTIALS_DIRECTORY/mqtt-password
 * where that exists (systemd.exec(5), LoadCredential=). A heap string, or NULL for no password.
 */
char *settings_password_path(const struct settings *settings);
/* Whether ledger.store is shared by several bridges. */
bool settings_is_shared(const struct settings *settings);
/* Whether a server of such a ledger is warned of whose fail-over can lose commits: with
 * ledger.durability "process" they may be lost anyway, and ledger.failover may accept it. */
bool settings_warns_of_loss(const struct settings *settings);
/* The longest path of a Unix socket: sockaddr_un.sun_path without the NUL (unix(7)). */
#define SETTINGS_SOCKET_BYTES_MAX 107
/*
 * The path of the control socket: control.socket, else the ledger's path with ".sock" behind it,
 * with a shared ledger ecs-mqtt-bridge.sock in $RUNTIME_DIRECTORY or $STATE_DIRECTORY
 * (systemd.exec(5)) or the working directory. It may be longer than SETTINGS_SOCKET_BYTES_MAX. A
 * heap string, or NULL for no socket.
 */
char *settings_control_path(const struct settings *settings);
/* What somebody needs who talks to a running bridge. Free all. */
struct settings_paths {
    char *control;       /* as settings_control_path() */
    char *store;         /* ledger.store */
    char *password_file; /* ledger.password_file */
};
/*
 * The same from a file, for somebody who needs nothing else of it: errors in other settings do not
 * matter. STATUS_INVALID or STATUS_NOT_FOUND, with lines in `report`, where the file cannot be read
 * at all.
 */
enum status settings_find_paths(const struct settings_source *source,
                                struct settings_paths *out_paths, struct settings_report *report);

#endif
