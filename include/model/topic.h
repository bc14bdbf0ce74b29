/*
 * topic - MQTT topic names, filters and the templates of the settings.
 *
 * Rules: MQTT 5, section 4.7. A template is a topic name with placeholders such as {ClientToken}.
 * In a value, '/', '+', '#', '%' and control characters are percent-encoded (upper-case hex), and
 * so is a '$' that a value would bring to the start of the topic: no value can change the topic
 * levels.
 *
 * Thread: any; pure.
 */
#ifndef MODEL_TOPIC_H
#define MODEL_TOPIC_H

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"

#include <stdbool.h>

/* MQTT's own limit for a string. */
#define TOPIC_BYTES_MAX 65535

struct topic_values {
    const char *instance;
    const char *route;
    struct slice region; /* absent: a template with {RegionId} cannot be filled; also below */
    struct slice group;
    struct slice token;
};

/* 1..65535 bytes of MQTT text (utf8.h) without wildcards. */
bool topic_is_name(struct slice topic);
/* The same with '+' and '#' only as whole levels and '#' only last. No "$share/" prefix. */
bool topic_is_filter(struct slice filter);
/* The number of levels: 1 more than the number of '/'. */
size_t topic_levels(struct slice topic);
/* Whether a valid filter matches a valid name; wildcards do not match a first level that begins
 * with '$'. */
bool topic_matches(struct slice filter, struct slice name);
/* Whether some topic name can match both filters. */
bool topic_filters_overlap(struct slice a, struct slice b);
/*
 * Whether the template is well formed: only {Instance} {Route} {RegionId} {ReplicaGroupId}
 * {ClientToken}, braces balanced, the rest a topic name. *out_why says what is wrong.
 */
bool topic_template_is_valid(const char *text, const char **out_why);
/* Whether the filled-in template can be a topic that the valid filter matches. */
bool topic_template_may_match(const char *text, struct slice filter);
/*
 * Appends the filled-in template, which must be valid. STATUS_NOT_FOUND where a value is absent or
 * the result is empty, STATUS_LIMIT where it has more than 65535 bytes; then `out` is unchanged.
 */
enum status topic_expand(const char *text, const struct topic_values *values, struct buf *out);

#endif
