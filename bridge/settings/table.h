/*
 * table - the rows of tables/settings.def at run time, and what the files of this room share.
 *
 * A row has the offset of its value in struct settings or struct route (`base` in the functions
 * below), so reading, printing and freeing are loops over rows.
 *
 * Thread: any, on different settings.
 */
#ifndef SETTINGS_TABLE_H
#define SETTINGS_TABLE_H

#include "settings/settings.h"

enum settings_type {
    SETTINGS_GROUP,         /* a group of other rows, no value */
    SETTINGS_ROUTES,        /* the list of routes, no value */
    SETTINGS_TEXT,          /* char * */
    SETTINGS_CHOICE,        /* char *, one of the choices */
    SETTINGS_INT,           /* int64_t */
    SETTINGS_SMALL,         /* int */
    SETTINGS_FLOAT,         /* double */
    SETTINGS_BOOL,          /* bool */
    SETTINGS_SWITCH,        /* bool, written as one of two choices; the second is true */
    SETTINGS_LIST,          /* struct text_list */
    SETTINGS_OPTIONAL_TEXT, /* char *, NULL where absent */
    SETTINGS_OPTIONAL_BOOL, /* struct optional_bool, not set where absent */
    SETTINGS_PAIRS,         /* struct text_pairs */
    SETTINGS_TABLES,        /* struct text_tables, a list of groups with rows of their own */
    SETTINGS_CONDITIONS,    /* struct route_conditions, likewise */
};

/* What a text must be, besides its length; the empty text passes where the row allows 0 bytes. */
enum settings_rule {
    RULE_NONE,
    RULE_INSTANCE,
    RULE_BROKER_URI,
    RULE_CLIENT_ID,
    RULE_WORD,
    RULE_FILE,
    RULE_SECRET_FILE,
    RULE_DIRECTORY,
    RULE_ALPN,
    RULE_ENDPOINT,
    RULE_VERSION,
    RULE_PROXY,
    RULE_METADATA_URL,
    RULE_CREDENTIALS_URI,
    RULE_STS_ENDPOINT,
    RULE_ROLE_NAME,
    RULE_RAM_ARN,
    RULE_SESSION_NAME,
    RULE_STORE,
    RULE_TEMPLATE,
    RULE_STATUS_TEMPLATE,
    RULE_DEAD_LETTER_TEMPLATE,
    RULE_LISTEN,
    RULE_TRACE_ENDPOINT,
    RULE_SOCKET,
    RULE_ROUTE_NAME,
    RULE_COMMAND_FILTER,
    RULE_FILTER,
    RULE_SHARE,
    RULE_PATTERN,
    RULE_REGION,
    RULE_GROUP_ID,
    RULE_POINTER,
    RULE_TEMPLATE_OF_FIELD,
};

/* When a running bridge takes a new value. */
enum settings_reload {
    SETTINGS_RESTART, /* at its next start */
    SETTINGS_LIVE,    /* on reload */
};

struct settings_row {
    const char *path; /* "broker.tls.ca_file"; of a route's row without "routes" */
    enum settings_type type;
    size_t offset; /* of the member in its base */
    const char *fallback;
    double min;
    double max;
    const char *choices; /* "a|b", or "" */
    enum settings_rule rule;
    enum settings_reload reload;
    const char *meaning;
};

struct settings_table {
    const struct settings_row *rows;
    size_t count;
};

/* The rows of struct settings, and of struct route. */
struct settings_table settings_main_table(void);
struct settings_table settings_route_table(void);
/* The row with this path, or NULL. */
const struct settings_row *settings_row_find(struct settings_table table, const char *path);
/* The part of the path after the last dot. */
const char *settings_row_name(const struct settings_row *row);

/* Settings with every default and no routes; `instance` is still empty and `client_id` not filled
 * in. */
struct settings *settings_new_defaults(void);
/* The rows of the groups in a TABLES or CONDITIONS; without rows for other types. */
struct settings_table settings_row_group_table(const struct settings_row *row);
/* The group number `index` of its value, or NULL behind the last. */
void *settings_row_group_at(const struct settings_row *row, const void *base, size_t index);
/* Adds a group with every default. */
void *settings_row_add_group(const struct settings_row *row, void *base);
/* Adds a route with every default; the pointer is valid until the next one is added. */
struct route *settings_add_route(struct settings *settings);
/* A value as it is in a file. A list is read item by item. */
enum settings_value_kind {
    SETTINGS_VALUE_GROUP,
    SETTINGS_VALUE_LIST,
    SETTINGS_VALUE_TEXT,
    SETTINGS_VALUE_WHOLE,
    SETTINGS_VALUE_FRACTION,
    SETTINGS_VALUE_BOOL,
    SETTINGS_VALUE_PAIR, /* a list of two texts */
};

struct settings_value {
    enum settings_value_kind kind;
    const char *text;
    const char *second; /* of a pair */
    int64_t whole;
    double number; /* of both kinds of number */
    bool flag;
};

/* "is a group", "is a text"... */
const char *settings_value_text(enum settings_value_kind kind);
/*
 * Stores the value, or adds one item to a list or to pairs. Appends to `why` what is wrong with it,
 * as a phrase; a text is then stored anyway.
 */
void settings_row_read(const struct settings_row *row, void *base,
                       const struct settings_value *value, struct buf *why);
/* Stores the default, where the row has one. */
void settings_row_set_default(const struct settings_row *row, void *base);
/* Frees and empties a list, pairs, groups or a text; does nothing to other types. */
void settings_row_clear(const struct settings_row *row, void *base);
/* How many bytes its member has. */
size_t settings_row_size(const struct settings_row *row);
/* Whether an optional value is set; true for all others. */
bool settings_row_is_set(const struct settings_row *row, const void *base);
/* Appends the value as libconfig writes it, masked where it contains a secret. */
void settings_row_print(const struct settings_row *row, const void *base, struct buf *out);
/* Whether the value is the same in both, as it is printed. */
bool settings_row_is_equal(const struct settings_row *row, const void *a, const void *b);
/* Appends what values are allowed, as a phrase: "a whole number, 1 to 64". */
void settings_row_allowed(const struct settings_row *row, struct buf *out);
/* The same for one item of a list, or of the routes. */
void settings_row_allowed_item(const struct settings_row *row, struct buf *out);
/* The value of a TEXT, CHOICE or OPTIONAL_TEXT. */
const char *settings_row_text(const struct settings_row *row, const void *base);
/* How many texts the value has: those of a LIST, 1 of a TEXT, CHOICE or OPTIONAL_TEXT that is set,
 * 0 of all others. */
size_t settings_row_text_count(const struct settings_row *row, const void *base);
const char *settings_row_text_at(const struct settings_row *row, const void *base, size_t index);

/* What the rule allows, as a phrase; "" for any text. */
const char *settings_rule_allowed(enum settings_rule rule);
/* Whether the text names a file or a directory, which messages then repeat. */
bool settings_rule_is_path(enum settings_rule rule);
/* Whether the text may contain a password, which is then not printed. */
bool settings_rule_is_masked(enum settings_rule rule);
/*
 * NULL where the text may be the row's value, or an item of its list; else a phrase that says what
 * is wrong with it ("has no host"). Looks at the file system where the text is a path.
 */
const char *settings_text_why(const struct settings_row *row, const char *text);

/* The line of a key, or else of its route; 0 where neither is in the file. */
struct settings_place {
    unsigned line;
    bool is_given; /* the key is in the file, or on the command line */
};

/* Adds one line to the report: "FILE:LINE: key: text". */
void settings_report_error(struct settings_report *report, const char *file, unsigned line,
                           const char *key, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
void settings_report_warning(struct settings_report *report, const char *file, unsigned line,
                             const char *key, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* What the checks across settings read. */
struct settings_view {
    const struct settings *settings;
    const char *file;
    const struct settings_place *places; /* one for each row of the main table */
    const struct settings_place
        *route_places; /* for each route one for each row of the route table */
    struct settings_report *report;
};

/* The key itself, and not an item of its list. */
#define SETTINGS_NO_ITEM SIZE_MAX
/* Adds a line about a key of a route, or about one item of its list. */
void settings_report_route(const struct settings_view *view, bool is_error, size_t route,
                           const char *path, size_t item, const char *format, ...)
    __attribute__((format(printf, 6, 7)));

/* Gives the defaults of broker.profile to what is not given. `places` are those of the main table,
 * and behind them those of each route. */
void settings_set_profile_defaults(struct settings *settings, const struct settings_place *places);

/* Fills in the host's name where no instance is given, and the client id, which must not contradict
 * the login of ApsaraMQ. */
void settings_fill_instance(struct settings *settings, const struct settings_view *view);

/* Errors and warnings that need more than one key, or the state of the machine. */
void settings_check(const struct settings_view *view);
/* The same for the ledger, and for what a shared one asks of other settings. */
void settings_check_ledger(const struct settings_view *view);
/* The same for topics: overlaps and loops. */
void settings_check_topics(const struct settings_view *view);
/* The same for the patterns of routes. */
void settings_check_patterns(const struct settings_view *view);
/* The same for the limits of broker.profile. */
void settings_check_profile(const struct settings_view *view);
/* The same for what routes make of payloads, and for the tables. */
void settings_check_payloads(const struct settings_view *view);
/* The line of a key, 0 for none. */
unsigned settings_line_of(const struct settings_view *view, const char *path);
unsigned settings_route_line_of(const struct settings_view *view, size_t route, const char *path);

#endif
