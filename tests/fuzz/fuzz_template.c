/*
 * The input is a template, a line end and a document. A text is a template or has a reason why not;
 * a filled-in one is UTF-8, and a failed one changes nothing and names its source.
 */
#include "base/mem.h"
#include "base/utf8.h"
#include "model/template.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

static struct text_pair pairs[] = {{"", "empty"}, {"a", "1"}, {"true", "b"}};
static struct text_table table = {"t", {pairs, 3}};
static const struct text_tables tables = {&table, 1};

static void check(const struct template *template, const struct json *document, bool is_event)
{
    struct buf properties = {0};
    struct buf out = {0};
    struct template_problem problem = {0};
    delivery_put_property(&properties, slice_text("p"), slice_text("value"));
    struct delivery delivery = {.topic = slice_text("a/b/c"), .properties = buf_slice(&properties)};
    struct template_scope scope = {
        .element = document,
        .document = document,
        .event = is_event ? document : NULL,
        .delivery = &delivery,
        .is_cloudevent = is_event,
        .tables = &tables,
    };
    buf_append_text(&out, "-");
    enum template_result result = template_fill(template, &scope, &out, &problem);
    if (result == TEMPLATE_FILLED) {
        assert(utf8_is_valid(buf_slice(&out)));
    } else {
        assert(out.length == 1 && problem.source != NULL && problem.source[0] != '\0');
        assert((problem.found == NULL) == (result == TEMPLATE_ABSENT));
    }
    buf_fini(&out);
    buf_fini(&properties);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = slice_of(data, size);
    struct slice line;
    struct json_fault fault;
    const char *why = NULL;
    /* The settings let only such texts through. */
    if (!slice_take_line(&rest, &line) || !utf8_is_mqtt_text(line)) {
        return 0;
    }
    char *text = mem_dup(line.data, line.length);
    struct template *template = template_parse(text, &why);
    assert((template == NULL) == (why != NULL));
    struct json *document = json_parse(rest, 64, &fault);
    if (template != NULL) {
        check(template, document, false);
        check(template, document, document != NULL && json_kind(document) == JSON_OBJECT);
    }
    json_free(document);
    template_free(template);
    free(text);
    return 0;
}
