/*
 * The rules for texts in the settings. A rule is one row: a phrase for users that says what is
 * allowed, and the columns that decide it.
 */
#include "table.h"

#include "base/json_pointer.h"
#include "base/utf8.h"
#include "model/ram.h"
#include "model/region.h"
#include "model/template.h"
#include "model/topic.h"
#include "settings/store_uri.h"
#include "settings/url.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define ITEM_BYTES_MAX    65535
#define ALPN_BYTES_MAX    255  /* RFC 7301, section 3.1 */
#define PATTERN_BYTES_MAX 1024 /* the texts that are matched have at most 128 bytes */
#define INSTANCE_MARK     "{Instance}"

#define WORD_BYTES    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
#define GRAPHIC_BYTES WORD_BYTES "!\"#$%&'()*+,./:;<=>?@[\\]^`{|}~"

static const char *why_instance(const char *text)
{
    return strpbrk(text, "{}") == NULL ? NULL : "contains a brace";
}

static const char *why_client_id(const char *text)
{
    while (*text != '\0') {
        if (strncmp(text, INSTANCE_MARK, strlen(INSTANCE_MARK)) == 0) {
            text += strlen(INSTANCE_MARK);
        } else if (*text == '{' || *text == '}') {
            return "has a brace that is not part of " INSTANCE_MARK;
        } else {
            text++;
        }
    }
    return NULL;
}

static const char *why_file(const char *text)
{
    struct stat info;
    if (stat(text, &info) != 0) {
        return errno == ENOENT ? "names a file that does not exist"
                               : "names a file that cannot be reached";
    }
    if (!S_ISREG(info.st_mode)) {
        return "names something that is not a regular file";
    }
    return access(text, R_OK) == 0 ? NULL : "names a file that this user may not read";
}

static const char *why_directory(const char *text)
{
    struct stat info;
    if (stat(text, &info) != 0) {
        return errno == ENOENT ? "names a directory that does not exist"
                               : "names a directory that cannot be reached";
    }
    if (!S_ISDIR(info.st_mode)) {
        return "names something that is not a directory";
    }
    return access(text, R_OK | X_OK) == 0 ? NULL : "names a directory that this user may not read";
}

static const char *why_alpn(const char *text)
{
    return strlen(text) <= ALPN_BYTES_MAX ? NULL : "is longer than 255 bytes";
}

static const char *why_version(const char *text)
{
    static const char form[] = "dddd-dd-dd";
    for (size_t i = 0; i < sizeof form; i++) {
        if (form[i] == 'd' ? !isdigit((unsigned char)text[i]) : text[i] != form[i]) {
            return "is not a version date";
        }
    }
    return NULL;
}

static const char *why_ram_arn(const char *text)
{
    return strncmp(text, "acs:ram::", 9) == 0 ? NULL : "does not begin with acs:ram::";
}

static const char *why_session_name(const char *text)
{
    return strlen(text) >= RAM_SESSION_BYTES_MIN ? NULL : "is shorter than 2 characters";
}

static const char *why_store(const char *text)
{
    static const char prefix[] = "sqlite:";
    struct store_uri uri;
    const char *why = NULL;
    if (store_uri_is_shared(text)) {
        if (store_uri_read(text, &uri, &why)) {
            store_uri_fini(&uri);
        }
        return why;
    }
    if (strncmp(text, prefix, strlen(prefix)) != 0) {
        return "names neither a SQLite file nor a PostgreSQL database";
    }
    text += strlen(prefix);
    if (*text == '\0') {
        return "has no path after sqlite:";
    }
    return strcmp(text, ":memory:") == 0 ? "would be in memory only and lost at the end" : NULL;
}

static const char *why_template(const char *text)
{
    const char *why = NULL;
    return topic_template_is_valid(text, &why) ? NULL : why;
}

static bool has_command_value(const char *text)
{
    return strstr(text, "{RegionId}") != NULL || strstr(text, "{ReplicaGroupId}") != NULL ||
           strstr(text, "{ClientToken}") != NULL;
}

static const char *why_dead_letter_template(const char *text)
{
    const char *why = why_template(text);
    if (why != NULL) {
        return why;
    }
    return has_command_value(text) ? "has a placeholder that has no value for a dead letter" : NULL;
}

static const char *why_status_template(const char *text)
{
    const char *why = why_template(text);
    if (why != NULL) {
        return why;
    }
    return has_command_value(text) || strstr(text, "{Route}") != NULL
               ? "has a placeholder that has no value in the status topic"
               : NULL;
}

static const char *why_listen(const char *text)
{
    const char *why = NULL;
    struct slice host;
    int port;
    return url_split_listen(text, &host, &port, &why) ? NULL : why;
}

static const char *why_socket(const char *text)
{
    return strlen(text) <= SETTINGS_SOCKET_BYTES_MAX ? NULL : "is too long for a Unix socket";
}

static const char *why_filter(const char *text)
{
    return topic_is_filter(slice_text(text)) ? NULL : "is not a valid topic filter";
}

static const char *why_command_filter(const char *text)
{
    if (strncmp(text, "$share/", 7) == 0) {
        return "begins with $share/ (use the route's key `share`)";
    }
    return why_filter(text);
}

static const char *why_share(const char *text)
{
    return strpbrk(text, "/+#") == NULL ? NULL : "contains '/', '+' or '#'";
}

static const char *why_pattern(const char *text)
{
    if (strlen(text) > PATTERN_BYTES_MAX) {
        return "is too long";
    }
    while (*text != '\0') {
        if (*text == '\\' && text[1] == '\0') {
            return "ends with a backslash";
        }
        if (*text == '[') {
            /* A ']' at the start of the brackets is one of their characters. */
            text++;
            text += *text == '!' || *text == '^';
            text += *text == ']';
            text = strchr(text, ']');
            if (text == NULL) { /* fnmatch() would match the '[' itself */
                return "has a '[' without its ']' (write \\\\[ for a bracket itself)";
            }
            text++;
        } else {
            text += *text == '\\' ? 2 : 1;
        }
    }
    return NULL;
}

static const char *why_pointer(const char *text)
{
    const char *why = NULL;
    return json_pointer_is_valid(slice_text(text), &why) ? NULL : why;
}

static const char *why_template_of_field(const char *text)
{
    const char *why = NULL;
    return template_is_valid(text, &why) ? NULL : why;
}

static const char *why_region(const char *text)
{
    return region_is_valid(slice_text(text)) ? NULL : "has a character that is not allowed";
}

static const struct {
    const char *allowed;
    const char *(*why)(const char *text);
    const char *bytes; /* the text may contain only these; NULL: any */
    bool is_url;       /* a URL for this use: */
    enum url_use use;
    enum { PLAIN, PATH, MASKED } form; /* of the text in messages */
} rules[] = {
    [RULE_NONE] = {"", .why = NULL},
    [RULE_INSTANCE] = {"a text without braces", .why = why_instance},
    [RULE_BROKER_URI] = {"scheme://host[:port] with the scheme mqtt, mqtts, ws or wss; a path "
                         "may follow with ws and wss",
                         .is_url = true, .use = URL_BROKER},
    [RULE_CLIENT_ID] = {"a text that may contain " INSTANCE_MARK, .why = why_client_id},
    [RULE_FILE] = {"the path of a readable file", .why = why_file, .form = PATH},
    [RULE_SECRET_FILE] = {"the path of a readable file", .why = why_file, .form = PATH},
    [RULE_DIRECTORY] = {"the path of a readable directory", .why = why_directory, .form = PATH},
    [RULE_ALPN] = {"at most 255 bytes", .why = why_alpn},
    [RULE_ENDPOINT] =
        {"https://host[:port], or http://host[:port] to loopback or with api.allow_http; "
         "the host may contain {RegionId}",
         .why = NULL},
    [RULE_VERSION] = {"a date like 2021-07-30", .why = why_version},
    [RULE_PROXY] = {"scheme://[user:password@]host[:port] with the scheme http, https, socks4, "
                    "socks4a, socks5 or socks5h",
                    .is_url = true, .use = URL_PROXY, .form = MASKED},
    [RULE_METADATA_URL] = {"http://100.100.100.200, or http://host[:port] on loopback",
                           .is_url = true, .use = URL_METADATA},
    [RULE_CREDENTIALS_URI] = {"http:// or https:// host[:port][/path]", .is_url = true,
                              .use = URL_CREDENTIALS, .form = MASKED},
    [RULE_STS_ENDPOINT] = {"https://host[:port], or http://host[:port] to loopback", .is_url = true,
                           .use = URL_STS},
    [RULE_ROLE_NAME] = {"letters, digits, '-', '_' and '.'", .bytes = RAM_ROLE_BYTES},
    [RULE_RAM_ARN] = {"acs:ram::ACCOUNT:..., printable ASCII without spaces", .why = why_ram_arn,
                      .bytes = GRAPHIC_BYTES},
    [RULE_SESSION_NAME] = {"at least 2 of letters, digits, '.', '@', '-' and '_'",
                           .why = why_session_name, .bytes = RAM_SESSION_BYTES},
    [RULE_STORE] = {"sqlite:PATH or postgresql://[USER@]HOST[:PORT]/DATABASE[?OPTION=VALUE&...]",
                    .why = why_store},
    [RULE_TEMPLATE] = {"a topic name that may contain {Instance}, {Route}, {RegionId}, "
                       "{ReplicaGroupId} and {ClientToken}",
                       .why = why_template},
    [RULE_STATUS_TEMPLATE] = {"a topic name that may contain {Instance}",
                              .why = why_status_template},
    [RULE_DEAD_LETTER_TEMPLATE] = {"a topic name that may contain {Instance} and {Route}",
                                   .why = why_dead_letter_template},
    [RULE_LISTEN] = {"host:port, IPv6 addresses in brackets", .why = why_listen},
    [RULE_TRACE_ENDPOINT] = {"http:// or https:// host[:port][/path]", .is_url = true,
                             .use = URL_TRACES, .form = MASKED},
    [RULE_SOCKET] = {"a path of at most 107 bytes, or none", .why = why_socket},
    [RULE_WORD] = {"letters, digits, '-' and '_'", .bytes = WORD_BYTES},
    [RULE_ROUTE_NAME] = {"letters, digits, '-' and '_'", .bytes = WORD_BYTES},
    [RULE_COMMAND_FILTER] = {"a topic filter (+ and # are whole levels, # is the last one)",
                             .why = why_command_filter},
    [RULE_FILTER] = {"a topic filter (+ and # are whole levels, # is the last one)",
                     .why = why_filter},
    [RULE_SHARE] = {"a name without '/', '+' and '#'", .why = why_share},
    [RULE_PATTERN] = {"a shell pattern of at most 1024 bytes", .why = why_pattern},
    [RULE_REGION] = {"lower-case letters, digits and '-'", .why = why_region},
    [RULE_GROUP_ID] = {"printable ASCII", .bytes = GRAPHIC_BYTES " "},
    [RULE_POINTER] = {"a JSON Pointer like /alerts", .why = why_pointer},
    [RULE_TEMPLATE_OF_FIELD] = {"a template like \"am:{/fingerprint}\"",
                                .why = why_template_of_field},
};

const char *settings_text_why(const struct settings_row *row, const char *text)
{
    size_t length = strlen(text);
    bool is_item = row->type == SETTINGS_LIST || row->type == SETTINGS_PAIRS;
    if (length == 0) {
        return is_item || row->min > 0 ? "is empty" : NULL;
    }
    if (!utf8_is_mqtt_text(slice_of(text, length))) {
        return "contains a control character or bytes that are not UTF-8";
    }
    if (length > (is_item ? ITEM_BYTES_MAX : (size_t)row->max)) {
        return "is too long";
    }
    const char *why = NULL;
    const char *bytes = rules[row->rule].bytes;
    if (rules[row->rule].is_url) {
        (void)url_is_valid(text, rules[row->rule].use, &why);
    } else if (rules[row->rule].why != NULL) {
        why = rules[row->rule].why(text);
    }
    if (why == NULL && bytes != NULL && text[strspn(text, bytes)] != '\0') {
        why = "has a character that is not allowed";
    }
    return why;
}

const char *settings_rule_allowed(enum settings_rule rule)
{
    return rules[rule].allowed;
}

bool settings_rule_is_path(enum settings_rule rule)
{
    return rules[rule].form == PATH;
}

bool settings_rule_is_masked(enum settings_rule rule)
{
    return rules[rule].form == MASKED;
}
