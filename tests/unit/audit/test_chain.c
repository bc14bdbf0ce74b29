/* Which lines fit, and what any change to a file shows as. */
#include "audit/verify.h"
#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#define NOW_MS INT64_C(1767323045123) /* 2026-01-02T03:04:05.123Z */

struct file {
    struct buf text;
    struct audit_chain chain;
};

static void add_line(struct file *file, const char *event, const struct buf *members,
                     bool begins_file)
{
    struct buf record = {0};
    const struct audit_place place = {.begins_file = begins_file};
    audit_record_begin(file->chain.seq + 1, NOW_MS, event, &record);
    audit_put_members(&record, buf_slice(members));
    audit_record_render(file->chain.seq + 1, buf_slice(&record), &place, &file->chain, &file->text);
    buf_fini(&record);
}

static void add_opened(struct file *file, bool begins_file)
{
    const struct buf none = {0};
    add_line(file, "opened", &none, begins_file);
}

static void add(struct file *file, const char *token)
{
    struct buf members = {0};
    audit_put_text(&members, "ClientToken", slice_text(token));
    add_line(file, "claimed", &members, false);
    buf_fini(&members);
}

/* The line that begins the file, and t-2, t-3, ... up to Seq `count`. */
static struct file file_of(size_t count, bool is_hashed)
{
    struct file file = {0};
    audit_chain_init(&file.chain, is_hashed);
    add_opened(&file, true);
    for (size_t i = 2; i <= count; i++) {
        char token[16];
        snprintf(token, sizeof token, "t-%zu", i);
        add(&file, token);
    }
    return file;
}

static void file_fini(struct file *file)
{
    buf_fini(&file->text);
}

/* Where line `number`, counted from 1, begins. */
static size_t start_of(const struct buf *text, size_t number)
{
    size_t at = 0;
    for (size_t i = 1; i < number; i++) {
        at = (size_t)((char *)memchr(text->data + at, '\n', text->length - at) - text->data) + 1;
    }
    return at;
}

/* The number of the first line that does not fit, 0 for none. The text is the next file. */
static size_t first_fault(struct audit_check *check, struct slice text)
{
    check->begins_file = true;
    check->line = 0;
    while (text.length > 0) {
        const char *end = memchr(text.data, '\n', text.length);
        size_t length = end == NULL ? text.length : (size_t)(end - text.data);
        if (!audit_check_line(check, slice_of(text.data, length))) {
            assert_non_null(check->fault);
            return (size_t)check->line;
        }
        assert_null(check->fault);
        length += end != NULL;
        text = slice_of(text.data + length, text.length - length);
    }
    return 0;
}

static size_t fault_in(const struct buf *text)
{
    struct audit_check check = {0};
    return first_fault(&check, buf_slice(text));
}

static void test_a_whole_file_fits(void **state)
{
    (void)state;
    for (int is_hashed = 0; is_hashed < 2; is_hashed++) {
        struct file file = file_of(6, is_hashed != 0);
        struct audit_check check = {0};
        assert_int_equal(first_fault(&check, buf_slice(&file.text)), 0);
        assert_int_equal(check.count, 6);
        assert_int_equal(check.first_seq, 1);
        assert_int_equal(check.chain.seq, 6);
        assert_string_equal(check.chain.hash, file.chain.hash);
        file_fini(&file);
    }
}

/* Whatever byte is changed, to whatever: the line is named, or the next one where the change makes
 * two lines of one or one of two. */
static void test_any_changed_byte_shows_at_its_line(void **state)
{
    (void)state;
    struct file file = file_of(4, true);
    for (size_t at = 0; at + 1 < file.text.length; at++) {
        char was = file.text.data[at];
        size_t number = 1;
        for (size_t i = 0; i < at; i++) {
            number += file.text.data[i] == '\n';
        }
        for (int bit = 0; bit < 8; bit++) {
            file.text.data[at] = (char)(was ^ (1 << bit));
            size_t fault = fault_in(&file.text);
            assert_true(fault == number || fault == number + 1);
        }
        file.text.data[at] = was;
    }
    assert_int_equal(fault_in(&file.text), 0);
    file_fini(&file);
}

static void remove_bytes(struct buf *text, size_t from, size_t to)
{
    memmove(text->data + from, text->data + to, text->length - to);
    text->length -= to - from;
}

static void test_a_removed_line_shows_where_it_was(void **state)
{
    (void)state;
    for (size_t removed = 1; removed <= 5; removed++) {
        struct file file = file_of(6, true);
        remove_bytes(&file.text, start_of(&file.text, removed), start_of(&file.text, removed + 1));
        assert_int_equal(fault_in(&file.text), removed);
        file_fini(&file);
    }
}

static void test_lines_in_another_order_and_repeated_ones_show(void **state)
{
    (void)state;
    struct file file = file_of(5, true);
    struct buf moved = {0};
    size_t second = start_of(&file.text, 2);
    size_t third = start_of(&file.text, 3);
    size_t fourth = start_of(&file.text, 4);
    buf_append(&moved, slice_of(file.text.data, second));
    buf_append(&moved, slice_of(file.text.data + third, fourth - third));
    buf_append(&moved, slice_of(file.text.data + second, third - second));
    assert_int_equal(fault_in(&moved), 2);
    buf_clear(&moved);
    buf_append(&moved, slice_of(file.text.data, third));
    buf_append(&moved, slice_of(file.text.data + second, file.text.length - second));
    assert_int_equal(fault_in(&moved), 3);
    buf_fini(&moved);
    file_fini(&file);
}

static void test_a_line_that_was_hashed_anew_shows_at_the_next_one(void **state)
{
    (void)state;
    struct file file = file_of(2, true);
    struct file forged = {.chain = file.chain};
    add(&file, "t-3");
    add(&file, "t-4");
    buf_append(&forged.text, slice_of(file.text.data, start_of(&file.text, 3)));
    add(&forged, "another");
    size_t fourth = start_of(&file.text, 4);
    buf_append(&forged.text, slice_of(file.text.data + fourth, file.text.length - fourth));
    assert_int_equal(fault_in(&forged.text), 4);
    file_fini(&forged);
    file_fini(&file);
}

static void test_a_chain_cannot_be_taken_off(void **state)
{
    (void)state;
    struct file file = file_of(3, true);
    file.chain.is_hashed = false;
    add(&file, "t-4");
    assert_int_equal(fault_in(&file.text), 4);
    file_fini(&file);
    file = file_of(3, false);
    file.chain.is_hashed = true;
    add(&file, "t-4");
    assert_int_equal(fault_in(&file.text), 4);
    file_fini(&file);
}

static void test_a_file_begins_with_a_line_that_names_the_one_before(void **state)
{
    (void)state;
    struct file file = file_of(3, true);
    add_opened(&file, false);
    add(&file, "t-5");
    assert_int_equal(fault_in(&file.text), 0);
    remove_bytes(&file.text, 0, start_of(&file.text, 4));
    assert_int_equal(fault_in(&file.text), 1);
    file_fini(&file);
}

static void test_the_next_file_continues_the_chain(void **state)
{
    (void)state;
    struct file first = file_of(3, true);
    struct file second = {.chain = first.chain};
    struct audit_check check = {0};
    add_opened(&second, true);
    add(&second, "t-5");
    assert_int_equal(fault_in(&second.text), 0);
    assert_int_equal(first_fault(&check, buf_slice(&first.text)), 0);
    assert_int_equal(first_fault(&check, buf_slice(&second.text)), 0);
    assert_int_equal(check.count, 5);
    /* Without its last line the first file does not lead to the second. */
    check = (struct audit_check){0};
    size_t third = start_of(&first.text, 3);
    assert_int_equal(first_fault(&check, slice_of(first.text.data, third)), 0);
    assert_int_equal(first_fault(&check, buf_slice(&second.text)), 1);
    file_fini(&first);
    file_fini(&second);
}

/* A file begins with whatever record is the first one after the change. */
static void test_the_next_file_may_begin_with_any_event(void **state)
{
    (void)state;
    struct file first = file_of(3, true);
    struct file second = {.chain = first.chain};
    const struct buf none = {0};
    struct audit_check check = {0};
    add_line(&second, "outcome", &none, true);
    add_opened(&second, false);
    assert_int_equal(first_fault(&check, buf_slice(&first.text)), 0);
    assert_int_equal(first_fault(&check, buf_slice(&second.text)), 0);
    file_fini(&first);
    file_fini(&second);
}

static void test_texts_that_are_not_lines_are_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "text",
        "[]",
        "{}",
        "{\"Seq\":0,\"Event\":\"claimed\"}",
        "{\"Seq\":-1,\"Event\":\"claimed\"}",
        "{\"Seq\":1e300,\"Event\":\"claimed\"}",
        "{\"Seq\":\"1\",\"Event\":\"claimed\"}",
        "{\"Seq\":1,\"Event\":\"\"}",
        "{\"Seq\":1}",
        "{\"Seq\":1,\"Event\":\"claimed\"} x",
    };
    struct audit_check check = {.begins_file = true};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_false(audit_check_line(&check, slice_text(rows[i])));
        assert_string_equal(check.fault, "is no line of an audit file");
    }
    assert_false(audit_check_line(&check, slice_text("{\"Seq\":1,\"Event\":\"claimed\"}")));
    assert_string_not_equal(check.fault, "is no line of an audit file");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_whole_file_fits),
        cmocka_unit_test(test_any_changed_byte_shows_at_its_line),
        cmocka_unit_test(test_a_removed_line_shows_where_it_was),
        cmocka_unit_test(test_lines_in_another_order_and_repeated_ones_show),
        cmocka_unit_test(test_a_line_that_was_hashed_anew_shows_at_the_next_one),
        cmocka_unit_test(test_a_chain_cannot_be_taken_off),
        cmocka_unit_test(test_a_file_begins_with_a_line_that_names_the_one_before),
        cmocka_unit_test(test_the_next_file_continues_the_chain),
        cmocka_unit_test(test_the_next_file_may_begin_with_any_event),
        cmocka_unit_test(test_texts_that_are_not_lines_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
