/* The two copies of a message while an old and a new subscription stand. */
#include "mqtt/copies.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *mark(struct copies *copies, const char *payload, bool is_former)
{
    static char marks[8][DIGEST_SHA256_HEX_BYTES];
    static size_t next;
    char *out = marks[next++ % 8];
    const struct delivery delivery = {.topic = slice_text("t"),
                                      .payload = slice_text(payload),
                                      .payload_bytes = strlen(payload),
                                      .is_former = is_former,
                                      .is_redelivered = is_former,
                                      .expiry_s = is_former ? 10 : 9};
    assert_true(copies_mark(copies, &delivery, out));
    return out;
}

static void test_both_copies_of_a_message_have_one_mark(void **state)
{
    (void)state;
    struct copies copies = {0};
    const char *first = mark(&copies, "a", true);
    assert_string_equal(first, mark(&copies, "a", false));
    assert_string_not_equal(first, mark(&copies, "b", true));
    copies_fini(&copies);
}

static void test_equal_messages_that_are_no_copies_have_different_marks(void **state)
{
    (void)state;
    struct copies copies = {0};
    const char *old_1 = mark(&copies, "a", true);
    const char *old_2 = mark(&copies, "a", true);
    const char *new_1 = mark(&copies, "a", false);
    const char *new_2 = mark(&copies, "a", false);
    assert_string_not_equal(old_1, old_2);
    assert_string_equal(old_1, new_1);
    assert_string_equal(old_2, new_2);
    copies_fini(&copies);
}

static void test_marks_of_another_change_are_different(void **state)
{
    (void)state;
    struct copies copies = {0};
    const char *before = mark(&copies, "a", true);
    copies_fini(&copies);
    assert_string_not_equal(before, mark(&copies, "a", true));
    copies_fini(&copies);
}

static void test_the_number_of_messages_is_limited(void **state)
{
    (void)state;
    struct copies copies = {0};
    char payload[16];
    char out[DIGEST_SHA256_HEX_BYTES];
    for (int i = 0; i < COPIES_MAX; i++) {
        snprintf(payload, sizeof payload, "%d", i);
        (void)mark(&copies, payload, false);
    }
    const struct delivery more = {.topic = slice_text("t"), .payload = slice_text("more")};
    assert_false(copies_mark(&copies, &more, out));
    (void)mark(&copies, "0", true); /* a known one is still recognised */
    copies_fini(&copies);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_copies_of_a_message_have_one_mark),
        cmocka_unit_test(test_equal_messages_that_are_no_copies_have_different_marks),
        cmocka_unit_test(test_marks_of_another_change_are_different),
        cmocka_unit_test(test_the_number_of_messages_is_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
