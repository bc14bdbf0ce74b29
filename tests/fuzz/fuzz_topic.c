/*
 * The input is two texts, separated by a line end, which are used as names, as filters and as a
 * template with its value. The results for them must agree with each other, and no value may change
 * the levels of a topic.
 */
#include "base/mem.h"
#include "base/utf8.h"
#include "model/topic.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

static size_t level_count(struct slice topic)
{
    size_t count = 1;
    for (size_t i = 0; i < topic.length; i++) {
        count += topic.data[i] == '/';
    }
    return count;
}

static void check_pair(struct slice a, struct slice b)
{
    assert(!topic_is_name(a) || utf8_is_mqtt_text(a));
    if (topic_is_name(a) && topic_is_filter(a)) {
        assert(topic_matches(a, a));
    }
    if (!topic_is_filter(a)) {
        return;
    }
    assert(topic_filters_overlap(a, a));
    assert(topic_matches(slice_text("#"), b) || b.length == 0 || b.data[0] == '$' ||
           !topic_is_name(b));
    if (topic_is_filter(b)) {
        assert(topic_filters_overlap(a, b) == topic_filters_overlap(b, a));
    }
    if (topic_is_name(b) && topic_matches(a, b)) {
        size_t levels = level_count(a);
        bool is_open = a.data[a.length - 1] == '#';
        assert(is_open ? level_count(b) + 1 >= levels : level_count(b) == levels);
    }
}

static void check_template(struct slice text, struct slice value)
{
    char *template = mem_dup(text.data, text.length);
    const char *why = NULL;
    struct topic_values values = {.instance = "edge",
                                  .route = "start",
                                  .region = value,
                                  .group = slice_text("$"),
                                  .token = value};
    struct buf out = {0};
    buf_append_text(&out, "-");
    if (topic_template_is_valid(template, &why)) {
        assert(why == NULL);
        enum status status = topic_expand(template, &values, &out);
        struct slice topic = slice_of(out.data + 1, out.length - 1);
        assert(status == STATUS_OK ? topic_is_name(topic) : topic.length == 0);
        assert(status != STATUS_OK || level_count(topic) == level_count(slice_text(template)));
        assert(status != STATUS_OK || value.length == 0 ||
               topic_template_may_match(template, topic));
    } else {
        assert(why != NULL);
    }
    buf_fini(&out);
    free(template);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size == 0 ? NULL : memchr(data, '\n', size);
    size_t length = end == NULL ? size : (size_t)(end - data);
    struct slice a = slice_of(data, length);
    struct slice b = end == NULL ? slice_text("") : slice_of(end + 1, size - length - 1);
    check_pair(a, b);
    check_pair(b, a);
    check_template(a, b);
    return 0;
}
