/*
 * What the texts of the settings must be. A rule is one row: the phrase that tells a user what is
 * allowed, and the function that says what is wrong.
 */
#include "table.h"

#include "base/utf8.h"
#include "model/region.h"
#include "model/topic.h"
#include "settings/url.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define ITEM_BYTES_MAX    65535
#define ALPN_BYTES_MAX    255  /* RFC 7301, section 3.1 */
#define PATTERN_BYTES_MAX 1024 /* what it is matched with has at most 128 */
#define INSTANCE_MARK     "{Instance}"

static bool has_only(const char *text, bool (*is_allowed)(unsigned char c))
{
    for (; *text != '\0'; text++) {
        if (!is_allowed((unsigned char)*text)) {
            return false;
        }
    }
    return true;
}

static bool is_word_byte(unsigned char c)
{
    return isalnum(c) || c == '_' || c == '-';
}

static bool is_printable_byte(unsigned char c)
{
    return c >= 0x20 && c < 0x7f;
}

static bool is_role_byte(unsigned char c)
{
    return is_word_byte(c) || c == '.';
}

static bool is_session_byte(unsigned char c)
{
    return is_role_byte(c) || c == '@';
}

static bool is_graphic_byte(unsigned char c)
{
    return c > 0x20 && c < 0x7f;
}

static const char *why_instance(const char *text)
{
    return strpbrk(text, "{}") == NULL ? NULL : "holds a brace";
}

static const char *why_broker_uri(const char *text)
{
    const char *why = NULL;
    return url_is_valid(text, URL_BROKER, &why) ? NULL : why;
}

static const char *why_client_id(const char *text)
{
    while (*text != '\0') {
        if (strncmp(text, INSTANCE_MARK, strlen(INSTANCE_MARK)) == 0) {
            text += strlen(INSTANCE_MARK);
        } else if (*text == '{' || *text == '}') {
            return "has a brace that is no " INSTANCE_MARK;
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
        return "names something that is no regular file";
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
        return "names something that is no directory";
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
            return "is no version date";
        }
    }
    return NULL;
}

static const char *why_proxy(const char *text)
{
    const char *why = NULL;
    return url_is_valid(text, URL_PROXY, &why) ? NULL : why;
}

static const char *why_metadata_url(const char *text)
{
    const char *why = NULL;
    return url_is_valid(text, URL_METADATA, &why) ? NULL : why;
}

static const char *why_credentials_uri(const char *text)
{
    const char *why = NULL;
    return url_is_valid(text, URL_CREDENTIALS, &why) ? NULL : why;
}

static const char *why_sts_endpoint(const char *text)
{
    const char *why = NULL;
    return url_is_valid(text, URL_STS, &why) ? NULL : why;
}

static const char *why_role_name(const char *text)
{
    return has_only(text, is_role_byte) ? NULL : "has a character other than these";
}

static const char *why_ram_arn(const char *text)
{
    if (strncmp(text, "acs:ram::", 9) != 0) {
        return "does not begin with acs:ram::";
    }
    return has_only(text, is_graphic_byte) ? NULL : "has a character other than these";
}

static const char *why_session_name(const char *text)
{
    if (strlen(text) < 2) {
        return "is shorter than 2 characters";
    }
    return has_only(text, is_session_byte) ? NULL : "has a character other than these";
}

static const char *why_store(const char *text)
{
    static const char prefix[] = "sqlite:";
    if (strncmp(text, "postgresql:", 11) == 0 || strncmp(text, "postgres:", 9) == 0) {
        return "names a PostgreSQL store, which this build does not have";
    }
    if (strncmp(text, prefix, strlen(prefix)) != 0) {
        return "names no store this build has";
    }
    text += strlen(prefix);
    if (*text == '\0') {
        return "has no path behind sqlite:";
    }
    return strcmp(text, ":memory:") == 0 ? "would be kept in memory and lost" : NULL;
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
    return has_command_value(text) ? "has a placeholder that a dead letter has no value for" : NULL;
}

static const char *why_status_template(const char *text)
{
    const char *why = why_template(text);
    if (why != NULL) {
        return why;
    }
    return has_command_value(text) || strstr(text, "{Route}") != NULL
               ? "has a placeholder that the status has no value for"
               : NULL;
}

static const char *why_listen(const char *text)
{
    const char *why = NULL;
    struct slice host;
    int port;
    return url_split_listen(text, &host, &port, &why) ? NULL : why;
}

static const char *why_route_name(const char *text)
{
    return has_only(text, is_word_byte) ? NULL : "has a character other than these";
}

static const char *why_filter(const char *text)
{
    return topic_is_filter(slice_text(text)) ? NULL : "is no topic filter";
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
    return strpbrk(text, "/+#") == NULL ? NULL : "holds '/', '+' or '#'";
}

/* Behind the bracket expression that begins here; NULL where it has no end, so that the '[' would
 * stand for itself. */
static const char *end_of_bracket(const char *text)
{
    text++;
    text += *text == '!' || *text == '^';
    text += *text == ']';
    const char *end = strchr(text, ']');
    return end == NULL ? NULL : end + 1;
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
            text = end_of_bracket(text);
            if (text == NULL) {
                return "has a '[' without its ']' (write \\\\[ for a bracket itself)";
            }
        } else {
            text += *text == '\\' ? 2 : 1;
        }
    }
    return NULL;
}

static const char *why_region(const char *text)
{
    return region_is_valid(slice_text(text)) ? NULL : "has a character other than these";
}

static const char *why_group_id(const char *text)
{
    return has_only(text, is_printable_byte) ? NULL : "has a character other than these";
}

static const struct {
    const char *allowed;
    const char *(*why)(const char *text);
} rules[] = {
    [RULE_NONE] = {"", NULL},
    [RULE_INSTANCE] = {"a text without braces", why_instance},
    [RULE_BROKER_URI] = {"scheme://host[:port] with the scheme mqtt, mqtts, ws or wss; a path "
                         "behind it with ws and wss",
                         why_broker_uri},
    [RULE_CLIENT_ID] = {"a text in which " INSTANCE_MARK " may stand", why_client_id},
    [RULE_FILE] = {"the path of a readable file", why_file},
    [RULE_SECRET_FILE] = {"the path of a readable file", why_file},
    [RULE_DIRECTORY] = {"the path of a readable directory", why_directory},
    [RULE_ALPN] = {"at most 255 bytes", why_alpn},
    [RULE_ENDPOINT] =
        {"https://host[:port], or http://host[:port] to loopback or with api.allow_http; "
         "{RegionId} may stand in the host",
         NULL},
    [RULE_VERSION] = {"a date as 2021-07-30", why_version},
    [RULE_PROXY] = {"scheme://[user:password@]host[:port] with the scheme http, https, socks4, "
                    "socks4a, socks5 or socks5h",
                    why_proxy},
    [RULE_METADATA_URL] = {"http://100.100.100.200, or http://host[:port] on loopback",
                           why_metadata_url},
    [RULE_CREDENTIALS_URI] = {"http:// or https:// host[:port][/path]", why_credentials_uri},
    [RULE_STS_ENDPOINT] = {"https://host[:port], or http://host[:port] to loopback",
                           why_sts_endpoint},
    [RULE_ROLE_NAME] = {"letters, digits, '-', '_' and '.'", why_role_name},
    [RULE_RAM_ARN] = {"acs:ram::ACCOUNT:..., printable ASCII without spaces", why_ram_arn},
    [RULE_SESSION_NAME] = {"at least 2 of letters, digits, '.', '@', '-' and '_'",
                           why_session_name},
    [RULE_STORE] = {"sqlite:PATH", why_store},
    [RULE_TEMPLATE] = {"a topic name in which {Instance}, {Route}, {RegionId}, {ReplicaGroupId} "
                       "and {ClientToken} may stand",
                       why_template},
    [RULE_STATUS_TEMPLATE] = {"a topic name in which {Instance} may stand", why_status_template},
    [RULE_DEAD_LETTER_TEMPLATE] = {"a topic name in which {Instance} and {Route} may stand",
                                   why_dead_letter_template},
    [RULE_LISTEN] = {"host:port, IPv6 addresses in brackets", why_listen},
    [RULE_ROUTE_NAME] = {"letters, digits, '-' and '_'", why_route_name},
    [RULE_COMMAND_FILTER] = {"a topic filter; + and # stand for whole levels, # only at the end",
                             why_command_filter},
    [RULE_FILTER] = {"a topic filter; + and # stand for whole levels, # only at the end",
                     why_filter},
    [RULE_SHARE] = {"a name without '/', '+' and '#'", why_share},
    [RULE_PATTERN] = {"a shell pattern of at most 1024 bytes", why_pattern},
    [RULE_REGION] = {"letters, digits and '-'", why_region},
    [RULE_GROUP_ID] = {"printable ASCII", why_group_id},
};

const char *settings_text_why(const struct settings_row *row, const char *text)
{
    size_t length = strlen(text);
    bool is_item = row->type == SETTINGS_LIST;
    if (row->type == SETTINGS_CHOICE || row->type == SETTINGS_SWITCH) {
        return settings_row_choice(row, text) >= 0 ? NULL : "is not one of the choices";
    }
    if (length == 0) {
        return is_item || row->min > 0 ? "is empty" : NULL;
    }
    if (!utf8_is_mqtt_text(slice_of(text, length))) {
        return "holds a control character or bytes that are no UTF-8";
    }
    if (length > (is_item ? ITEM_BYTES_MAX : (size_t)row->max)) {
        return "is too long";
    }
    return rules[row->rule].why == NULL ? NULL : rules[row->rule].why(text);
}

bool settings_row_is_path(const struct settings_row *row)
{
    return row->rule == RULE_FILE || row->rule == RULE_SECRET_FILE || row->rule == RULE_DIRECTORY;
}

static void allowed_choices(const char *choices, struct buf *out)
{
    for (;;) {
        size_t length = strcspn(choices, "|");
        buf_append_char(out, '"');
        buf_append(out, slice_of(choices, length));
        buf_append_char(out, '"');
        if (choices[length] == '\0') {
            return;
        }
        choices += length + 1;
        buf_append_text(out, strchr(choices, '|') == NULL ? " or " : ", ");
    }
}

static void allowed_text(const struct settings_row *row, struct buf *out)
{
    const char *phrase = rules[row->rule].allowed;
    if (phrase[0] == '\0') {
        phrase = row->min > 0 ? "a text" : "any text";
    } else if (row->min < 1) {
        buf_append_text(out, "empty, or ");
    }
    buf_printf(out, "%s (at most %.0f bytes)", phrase, row->max);
}

static void allowed_list(const struct settings_row *row, struct buf *out)
{
    buf_printf(out, "a list (\"...\", ...) of %.0f to %.0f texts, each ", row->min, row->max);
    settings_row_allowed_item(row, out);
}

void settings_row_allowed_item(const struct settings_row *row, struct buf *out)
{
    if (row->type == SETTINGS_LIST) {
        buf_append_text(out, rules[row->rule].allowed);
    } else {
        buf_append_text(out, "a group { ... }");
    }
}

static void allowed_whole_number(const struct settings_row *row, struct buf *out)
{
    const char *between = row->max - row->min > 1 ? "to" : "or";
    buf_printf(out, "a whole number, %.0f %s %.0f", row->min, between, row->max);
}

void settings_row_allowed(const struct settings_row *row, struct buf *out)
{
    switch (row->type) {
    case SETTINGS_GROUP:
        buf_append_text(out, "a group { ... }");
        break;
    case SETTINGS_ROUTES:
        buf_append_text(out, "a list of at least one group ({ ... }, ...)");
        break;
    case SETTINGS_TEXT:
    case SETTINGS_OPTIONAL_TEXT:
        allowed_text(row, out);
        break;
    case SETTINGS_CHOICE:
    case SETTINGS_SWITCH:
        allowed_choices(row->choices, out);
        break;
    case SETTINGS_INT:
    case SETTINGS_SMALL:
        allowed_whole_number(row, out);
        break;
    case SETTINGS_FLOAT:
        buf_printf(out, "a number, %g to %.0f", row->min, row->max);
        break;
    case SETTINGS_BOOL:
    case SETTINGS_OPTIONAL_BOOL:
        buf_append_text(out, "true or false");
        break;
    case SETTINGS_LIST:
        allowed_list(row, out);
        break;
    }
}
