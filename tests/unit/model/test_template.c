/* Templates of fields: what they stand for, and which texts are none. */
#include "model/template.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

static struct text_pair groups[] = {{"a", "1"}, {"b", "2"}, {"d", "4"}, {"true", "yes"}};
static struct text_pair names[] = {{"1", "one"}};
static struct text_table table_rows[] = {{"group", {groups, 4}}, {"name", {names, 1}}};
static const struct text_tables tables = {table_rows, 2};

#define ELEMENT                                                                                 \
    "{\"s\":\"a\",\"t\":true,\"f\":false,\"n\":-12,\"big\":9007199254740991,\"e\":1e3,"         \
    "\"x\":null,\"o\":{\"p\":\"in\"},\"l\":[\"zero\"],\"half\":0.5,\"huge\":9007199254740992,"  \
    "\"two\":1,\"two\":2,\"p|q\":\"bar\",\"{r}\":\"brace\",\"u/v\":\"slash\",\"w~\":\"tilde\"," \
    "\"empty\":\"\"}"

struct filling {
    enum template_result result;
    struct buf text;
    char source[64];
    const char *found;
};

static struct filling fill(const char *text)
{
    struct filling filling = {0};
    struct json_fault fault;
    struct template_problem problem = {0};
    const char *why = NULL;
    struct buf properties = {0};
    delivery_put_property(&properties, slice_text("tenant"), slice_text("t1"));
    delivery_put_property(&properties, slice_text("tenant"), slice_text("t2"));
    delivery_put_property(&properties, slice_text("bad"), slice_text("\xff"));
    struct json *element = json_parse(slice_text(ELEMENT), 64, &fault);
    struct json *document = json_parse(slice_text("{\"s\":\"whole\"}"), 64, &fault);
    struct delivery delivery = {.topic = slice_text("alerts//SyncDisks"),
                                .properties = buf_slice(&properties)};
    struct template_scope scope = {
        .element = element, .document = document, .delivery = &delivery, .tables = &tables};
    struct template *template = template_parse(text, &why);
    if (template == NULL) {
        fail_msg("%s %s", text, why);
    }
    filling.result = template_fill(template, &scope, &filling.text, &problem);
    if (filling.result != TEMPLATE_FILLED) {
        assert_int_equal(filling.text.length, 0);
        snprintf(filling.source, sizeof filling.source, "%s", problem.source);
        filling.found = problem.found;
    }
    template_free(template);
    json_free(element);
    json_free(document);
    buf_fini(&properties);
    return filling;
}

static void test_what_templates_stand_for(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *filled;
    } rows[] = {
        {"", ""},
        {"plain", "plain"},
        {"{{a}} }}{{", "{a} }{"},
        {"{{{/s}}}", "{a}"},
        {"<{/s}>", "<a>"},
        {"{/s}{/t}{/f}", "atruefalse"},
        {"{/n} {/big} {/e}", "-12 9007199254740991 1000"},
        {"{/o/p} {/l/0}", "in zero"},
        {"{^/s}", "whole"},
        {"{/none|^/none|/s}", "a"},
        {"{/none|=a constant}", "a constant"},
        {"{=}", ""},
        {"{/empty|=x}", ""},
        {"{=~{~|~}~x}", "{|}~x"},
        {"{/p~|q} {/~{r~}} {/u~1v} {/w~0}", "bar brace slash tilde"},
        {"{@tenant}", "t1"},
        {"{#} {#1} {#2|=x} {#3}", "alerts//SyncDisks alerts  SyncDisks"},
        {"{#4|=none}", "none"},
        {"{group:/s}", "1"},
        {"{group:/t}", "yes"},
        {"{group:=c|=none}", "none"},
        {"{name:group:/s}", "one"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct filling filling = fill(rows[i].text);
        assert_int_equal(filling.result, TEMPLATE_FILLED);
        assert_string_equal(buf_slice(&filling.text).data, rows[i].filled);
        buf_fini(&filling.text);
    }
}

static void test_what_is_absent_or_no_value(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *source;
        const char *found; /* NULL: absent */
    } rows[] = {
        {"x{/none}", "/none", NULL},
        {"{/none|@none|^/t}", "/none|@none|^/t", NULL},
        {"{group:=c}", "group:=c", NULL},
        {"{name:group:=d}", "name:group:=d", NULL},
        {"{#4}", "#4", NULL},
        {"{/x}", "/x", "null"},
        {"{/x|=other}", "/x", "null"},
        {"{/s}{/none|/o}", "/o", "an object"},
        {"{/l}", "/l", "an array"},
        {"{/half}", "/half", "a number that is not whole or not below 2^53"},
        {"{/huge}", "/huge", "a number that is not whole or not below 2^53"},
        {"{group:/x}", "group:/x", "null"},
        {"{/two}", "/two", "ambiguous, because a member is there more than once"},
        {"{@bad}", "@bad", "a text with control characters or bytes that are not UTF-8"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct filling filling = fill(rows[i].text);
        assert_int_equal(filling.result, rows[i].found == NULL ? TEMPLATE_ABSENT : TEMPLATE_FAULT);
        assert_string_equal(filling.source, rows[i].source);
        if (rows[i].found == NULL) {
            assert_null(filling.found);
        } else {
            assert_string_equal(filling.found, rows[i].found);
        }
        buf_fini(&filling.text);
    }
}

#define EMPTY_SOURCE "has an empty source: there is nothing between two of '{', '|' and '}'"
#define NO_SOURCE                                                                    \
    "has a source that is none of /POINTER, ^/POINTER, @NAME, #, #LEVEL, =TEXT and " \
    "TABLE:SOURCE"
#define NO_END      "has a '{' without a '}'; a brace itself is written {{ or }}"
#define NO_START    "has a '}' without a '{'; a brace itself is written {{ or }}"
#define BAD_ESCAPE  "has a pointer with a '~' that is not part of ~0, ~1, ~|, ~{ or ~}"
#define BAD_POINTER "has a pointer that does not begin with '/'"
#define BAD_LEVEL   "has a level of the topic that is not a number from 1 to 99999 behind '#'"

static void test_what_is_no_template(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *why;
    } rows[] = {
        {"{", NO_END},
        {"a{/b", NO_END},
        {"{/a{/b}}", NO_END},
        {"}", NO_START},
        {"{/a}}", NO_START},
        {"{}", EMPTY_SOURCE},
        {"{/a|}", EMPTY_SOURCE},
        {"{|/a}", EMPTY_SOURCE},
        {"{group:}", EMPTY_SOURCE},
        {"{a}", NO_SOURCE},
        {"{ClientToken}", NO_SOURCE},
        {"{ /a}", NO_SOURCE},
        {"{$x}", NO_SOURCE},
        {"{a b:/c}", NO_SOURCE},
        {"{:/c}", NO_SOURCE},
        {"{/a~2}", BAD_ESCAPE},
        {"{/a~}", NO_END},
        {"{^a}", BAD_POINTER},
        {"{^}", "has a source ^ without a pointer"},
        {"{@}", "has a source @ without a name"},
        {"{#0}", BAD_LEVEL},
        {"{#01}", BAD_LEVEL},
        {"{#x}", BAD_LEVEL},
        {"{#100000}", BAD_LEVEL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *why = NULL;
        assert_false(template_is_valid(rows[i].text, &why));
        assert_string_equal(why, rows[i].why);
    }
}

static void test_a_template_lists_what_it_uses(void **state)
{
    (void)state;
    const char *why = NULL;
    struct template *template = template_parse("{@a|t1:t2:/b}-{t3:@c}", &why);
    assert_non_null(template);
    assert_string_equal(template_property(template, 0), "a");
    assert_string_equal(template_property(template, 1), "c");
    assert_null(template_property(template, 2));
    assert_string_equal(template_table(template, 0), "t1");
    assert_string_equal(template_table(template, 1), "t2");
    assert_string_equal(template_table(template, 2), "t3");
    assert_null(template_table(template, 3));
    assert_true(template_uses_element(template));
    template_free(template);
    template = template_parse("{^/a}{#}{=/b}", &why);
    assert_false(template_uses_element(template));
    template_free(template);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_templates_stand_for),
        cmocka_unit_test(test_what_is_absent_or_no_value),
        cmocka_unit_test(test_what_is_no_template),
        cmocka_unit_test(test_a_template_lists_what_it_uses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
