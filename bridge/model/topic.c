/*
 * Topics are read level by level from the left. Templates are read piece by piece; a piece is one
 * character or one placeholder.
 */
#include "model/topic.h"

#include "base/utf8.h"

#include <assert.h>

/* The levels of a topic that were not yet read. "a/" has two levels, the second one empty. */
struct levels {
    struct slice rest;
    bool is_over;
};

static struct slice next_level(struct levels *levels)
{
    struct slice rest = levels->rest;
    const char *slash = rest.length == 0 ? NULL : memchr(rest.data, '/', rest.length);
    if (slash == NULL) {
        levels->is_over = true;
        return rest;
    }
    size_t length = (size_t)(slash - rest.data);
    levels->rest = slice_of(slash + 1, rest.length - length - 1);
    return slice_of(rest.data, length);
}

static bool is_char(struct slice level, char c)
{
    return level.length == 1 && level.data[0] == c;
}

static bool is_wildcard(struct slice level)
{
    return is_char(level, '+') || is_char(level, '#');
}

static bool begins_with(struct slice text, const char *prefix)
{
    size_t length = strlen(prefix);
    return text.length >= length && memcmp(text.data, prefix, length) == 0;
}

static bool contains(struct slice text, char c)
{
    return text.length > 0 && memchr(text.data, c, text.length) != NULL;
}

static bool is_topic_text(struct slice topic)
{
    return topic.length > 0 && topic.length <= TOPIC_BYTES_MAX && utf8_is_mqtt_text(topic);
}

bool topic_is_name(struct slice topic)
{
    return is_topic_text(topic) && !contains(topic, '+') && !contains(topic, '#');
}

bool topic_is_filter(struct slice filter)
{
    if (!is_topic_text(filter) || begins_with(filter, "$share/")) {
        return false;
    }
    struct levels levels = {.rest = filter};
    while (!levels.is_over) {
        struct slice level = next_level(&levels);
        bool is_plain = !contains(level, '+') && !contains(level, '#');
        if (!is_plain && !is_wildcard(level)) {
            return false;
        }
        if (is_char(level, '#') && !levels.is_over) {
            return false;
        }
    }
    return true;
}

size_t topic_levels(struct slice topic)
{
    size_t count = 0;
    for (struct levels levels = {.rest = topic}; !levels.is_over; count++) {
        (void)next_level(&levels);
    }
    return count;
}

/* Whether one is a wildcard and the other begins with '$': as first levels they do not match. */
static bool is_wildcard_with_dollar(struct slice a, struct slice b)
{
    return (is_wildcard(a) && begins_with(b, "$")) || (is_wildcard(b) && begins_with(a, "$"));
}

/* Whether the rest of a filter matches a topic that ends here: nothing is left, or only '#'. */
static bool ends_here(const struct levels *levels)
{
    return levels->is_over || is_char(levels->rest, '#');
}

bool topic_filters_overlap(struct slice a, struct slice b)
{
    struct levels levels_a = {.rest = a};
    struct levels levels_b = {.rest = b};
    bool is_first = true;
    while (!levels_a.is_over && !levels_b.is_over) {
        struct slice level_a = next_level(&levels_a);
        struct slice level_b = next_level(&levels_b);
        if (is_first && is_wildcard_with_dollar(level_a, level_b)) {
            return false;
        }
        if (is_char(level_a, '#') || is_char(level_b, '#')) {
            return true;
        }
        /* "+" and "/#" overlap only in the empty name, which is not a topic name. */
        if (is_first && (level_a.length == 0 || level_b.length == 0) &&
            (levels_a.is_over || levels_b.is_over)) {
            return false;
        }
        if (!is_wildcard(level_a) && !is_wildcard(level_b) && !slice_equals(level_a, level_b)) {
            return false;
        }
        is_first = false;
    }
    return ends_here(&levels_a) && ends_here(&levels_b);
}

bool topic_matches(struct slice filter, struct slice name)
{
    /* A name is a filter without wildcards, so the same walk answers both questions. */
    return topic_filters_overlap(filter, name);
}

enum placeholder { INSTANCE, ROUTE, REGION, GROUP, TOKEN, PLACEHOLDER_COUNT };

static const char *const placeholder_names[PLACEHOLDER_COUNT] = {
    [INSTANCE] = "{Instance}",    [ROUTE] = "{Route}",       [REGION] = "{RegionId}",
    [GROUP] = "{ReplicaGroupId}", [TOKEN] = "{ClientToken}",
};

/* The placeholder at the beginning of the text, or PLACEHOLDER_COUNT. */
static enum placeholder placeholder_at(const char *text)
{
    for (int i = 0; i < PLACEHOLDER_COUNT; i++) {
        if (begins_with(slice_text(text), placeholder_names[i])) {
            return (enum placeholder)i;
        }
    }
    return PLACEHOLDER_COUNT;
}

bool topic_template_is_valid(const char *text, const char **out_why)
{
    struct buf filled = {0};
    const char *why = NULL;
    for (const char *at = text; *at != '\0' && why == NULL;) {
        if (*at == '}') {
            why = "has a '}' without a '{'";
        } else if (*at != '{') {
            buf_append_char(&filled, *at++);
        } else if (placeholder_at(at) == PLACEHOLDER_COUNT) {
            why = "has a placeholder other than {Instance}, {Route}, {RegionId}, "
                  "{ReplicaGroupId} and {ClientToken}";
        } else {
            buf_append_char(&filled, 'x');
            at += strlen(placeholder_names[placeholder_at(at)]);
        }
    }
    if (why == NULL && !topic_is_name(buf_slice(&filled))) {
        why =
            "is not a topic name: 1 to 65535 bytes of text without '+', '#' and control characters";
    }
    buf_fini(&filled);
    if (why != NULL) {
        *out_why = why;
    }
    return why == NULL;
}

/* Whether a level of a template can become this level; a placeholder can become anything. */
static bool level_may_become(struct slice level, struct slice literal)
{
    const char *open = level.length == 0 ? NULL : memchr(level.data, '{', level.length);
    if (open == NULL) {
        return slice_equals(level, literal);
    }
    const char *close = memrchr(level.data, '}', level.length);
    if (close == NULL) {
        return false;
    }
    size_t front = (size_t)(open - level.data);
    size_t back = (size_t)(level.data + level.length - (close + 1));
    return front + back <= literal.length && memcmp(level.data, literal.data, front) == 0 &&
           memcmp(close + 1, literal.data + literal.length - back, back) == 0;
}

bool topic_template_may_match(const char *text, struct slice filter)
{
    struct levels topic = {.rest = slice_text(text)};
    struct levels wanted = {.rest = filter};
    for (bool is_first = true; !topic.is_over && !wanted.is_over; is_first = false) {
        struct slice level = next_level(&topic);
        struct slice literal = next_level(&wanted);
        if (is_first && is_wildcard_with_dollar(level, literal)) {
            return false;
        }
        if (is_char(literal, '#')) {
            return true;
        }
        if (!is_wildcard(literal) && !level_may_become(level, literal)) {
            return false;
        }
    }
    return topic.is_over && ends_here(&wanted);
}

/* Percent-encodes what would end the level, be a wildcard or not be text, and a '$' at the start of
 * the topic. */
static void append_value(struct buf *out, struct slice value, size_t topic_start)
{
    bool is_text = utf8_is_mqtt_text(value);
    for (size_t i = 0; i < value.length; i++) {
        char c = value.data[i];
        unsigned char byte = (unsigned char)c;
        bool is_encoded = byte >= 0x80 ? !is_text
                                       : byte < 0x20 || byte == 0x7f || strchr("/+#%", c) != NULL ||
                                             (c == '$' && out->length == topic_start);
        if (is_encoded) {
            buf_printf(out, "%%%02X", (unsigned)byte);
        } else {
            buf_append_char(out, c);
        }
    }
}

enum status topic_expand(const char *text, const struct topic_values *values, struct buf *out)
{
    const struct slice all[PLACEHOLDER_COUNT] = {
        [INSTANCE] = slice_text(values->instance),
        [ROUTE] = slice_text(values->route),
        [REGION] = values->region,
        [GROUP] = values->group,
        [TOKEN] = values->token,
    };
    size_t start = out->length;
    enum status status = STATUS_OK;
    for (const char *at = text; *at != '\0' && status == STATUS_OK;) {
        if (*at == '{') {
            enum placeholder placeholder = placeholder_at(at);
            assert(placeholder != PLACEHOLDER_COUNT);
            at += strlen(placeholder_names[placeholder]);
            if (slice_is_present(all[placeholder])) {
                append_value(out, all[placeholder], start);
            } else {
                status = STATUS_NOT_FOUND;
            }
        } else if (*at == '$' && at > text && out->length == start) {
            /* Only a '$' at the start of the template may start the topic. */
            buf_append_text(out, "%24");
            at++;
        } else {
            buf_append_char(out, *at++);
        }
    }
    if (status == STATUS_OK && out->length == start) {
        status = STATUS_NOT_FOUND;
    } else if (status == STATUS_OK && out->length - start > TOPIC_BYTES_MAX) {
        status = STATUS_LIMIT;
    }
    if (status != STATUS_OK && out->data != NULL) {
        out->length = start;
        out->data[start] = '\0';
    }
    return status;
}
