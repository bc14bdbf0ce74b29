/* The text of a record, and the line it becomes. */
#include "base/json.h"
#include "base/mem.h"
#include "model/audit_record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#define NOW_MS INT64_C(1767323045123) /* 2026-01-02T03:04:05.123Z */
#define ZEROS  "0000000000000000000000000000000000000000000000000000000000000000"

/* A line with these members, with its line end; the caller frees it. */
static struct buf line_of(const char *event, struct slice members, const struct audit_place *place,
                          struct audit_chain *chain)
{
    struct buf record = {0};
    struct buf line = {0};
    int64_t seq = chain->seq + 1;
    audit_record_begin(seq, NOW_MS, event, &record);
    audit_put_members(&record, members);
    audit_record_render(seq, buf_slice(&record), place, chain, &line);
    buf_fini(&record);
    return line;
}

static void check_is_json(const struct buf *line)
{
    struct json_fault fault;
    struct json *json = json_parse(slice_of(line->data, line->length - 1), 4, &fault);
    assert_non_null(json);
    json_free(json);
}

static void test_a_line_has_its_number_its_time_and_its_event_and_ends_with_its_hash(void **state)
{
    (void)state;
    static const char text[] = "{\"Seq\":1,\"Time\":\"2026-01-02T03:04:05.123Z\",\"Event\":"
                               "\"claimed\",\"ClientToken\":\"t\"";
    const struct audit_place place = {0};
    struct audit_chain chain;
    struct buf wanted = {0};
    char hash[DIGEST_SHA256_HEX_BYTES];
    audit_chain_init(&chain, true);
    struct buf line = line_of("claimed", slice_text("\"ClientToken\":\"t\""), &place, &chain);
    buf_append_text(&wanted, ZEROS);
    buf_append_text(&wanted, text);
    digest_sha256_hex(buf_slice(&wanted), hash);
    buf_clear(&wanted);
    buf_printf(&wanted, "%s,\"Hash\":\"%s\"}\n", text, hash);
    assert_string_equal(line.data, wanted.data);
    assert_string_equal(chain.hash, hash);
    assert_int_equal(chain.seq, 1);
    buf_fini(&wanted);
    buf_fini(&line);
}

static void test_lines_without_hashes_are_only_numbered(void **state)
{
    (void)state;
    const struct audit_place place = {0};
    struct audit_chain chain;
    audit_chain_init(&chain, false);
    struct buf line = line_of("claimed", slice_text("\"ClientToken\":\"t\""), &place, &chain);
    assert_string_equal(line.data, "{\"Seq\":1,\"Time\":\"2026-01-02T03:04:05.123Z\","
                                   "\"Event\":\"claimed\",\"ClientToken\":\"t\"}\n");
    assert_string_equal(chain.hash, ZEROS);
    buf_fini(&line);
}

static void test_the_first_line_of_a_file_names_the_hash_before_it(void **state)
{
    (void)state;
    const struct audit_place place = {.begins_file = true, .is_damaged = true};
    struct audit_chain chain;
    audit_chain_init(&chain, true);
    struct buf line = line_of("outcome", slice_text(""), &place, &chain);
    assert_non_null(strstr(line.data, "\"Event\":\"outcome\",\"NewFile\":true,\"Previous\":\"" ZEROS
                                      "\",\"Damaged\":true,\"Hash\":\""));
    check_is_json(&line);
    buf_fini(&line);
}

static void test_a_number_that_is_missing_stays_missing(void **state)
{
    (void)state;
    const struct audit_place place = {0};
    struct audit_chain chain;
    struct buf line = {0};
    audit_chain_init(&chain, true);
    audit_record_render(7, slice_text("{\"Seq\":7,\"Event\":\"e\""), &place, &chain, &line);
    assert_int_equal(chain.seq, 7);
    buf_fini(&line);
}

/* The longest value of everything; each byte is written as six. */
static void test_the_longest_line_keeps_to_the_limit(void **state)
{
    (void)state;
    char *longest = mem_alloc(65535);
    memset(longest, 1, 65535);
    struct slice text = slice_of(longest, 65535);
    char *end = mem_dup(longest, 65535);
    const struct delivery delivery = {.topic = text, .payload_bytes = UINT64_C(268435455)};
    const struct reply_to reply_to = {.topic = end, .traceparent = end};
    const struct route route = {.name = (char *)"r"};
    const struct request request = {
        .region = text,
        .group = text,
        .params = {.data = (char *)"{\"OneShot\":false}", .length = 17}};
    const struct audit_place place = {.begins_file = true, .is_damaged = true};
    struct audit_chain chain;
    struct buf arrival = {0};
    struct buf members = {0};
    audit_chain_init(&chain, true);
    audit_put_request(&members, &route, &request, text);
    audit_put_arrival(&arrival, &delivery, &reply_to, true);
    audit_put_members(&members, buf_slice(&arrival));
    audit_put_text(&members, "RequestId", text);
    audit_put_text(&members, "Code", text);
    struct buf line = line_of("refused", buf_slice(&members), &place, &chain);
    assert_true(line.length < AUDIT_LINE_BYTES_MAX);
    assert_non_null(strstr(line.data, "\"TopicBytes\":65535"));
    check_is_json(&line);
    buf_fini(&line);
    buf_fini(&members);
    buf_fini(&arrival);
    free(longest);
    free(end);
}

static void test_a_long_text_is_cut_between_characters_and_its_length_is_added(void **state)
{
    (void)state;
    struct buf text = {0};
    struct buf out = {0};
    for (int i = 0; i < 400; i++) {
        buf_append_text(&text, "\xe4\xb8\xad"); /* three bytes */
    }
    audit_put_text(&out, "Topic", buf_slice(&text));
    struct buf wanted = {0};
    buf_append_text(&wanted, "\"Topic\":\"");
    buf_append(&wanted, slice_of(text.data, 1023));
    buf_append_text(&wanted, "\",\"TopicBytes\":1200");
    assert_string_equal(out.data, wanted.data);
    buf_fini(&text);
    buf_fini(&out);
    buf_fini(&wanted);
}

static void test_bytes_that_are_not_utf_8_leave_a_line_that_can_be_read(void **state)
{
    (void)state;
    const struct audit_place place = {0};
    struct audit_chain chain;
    struct buf members = {0};
    audit_chain_init(&chain, true);
    audit_put_text(&members, "Topic", slice_of("a\0\xff\n\"", 5));
    struct buf line = line_of("refused", buf_slice(&members), &place, &chain);
    assert_non_null(strstr(line.data, "\"Topic\":\"a\xef\xbf\xbd\xef\xbf\xbd\\n\\\"\""));
    check_is_json(&line);
    buf_fini(&line);
    buf_fini(&members);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_line_has_its_number_its_time_and_its_event_and_ends_with_its_hash),
        cmocka_unit_test(test_lines_without_hashes_are_only_numbered),
        cmocka_unit_test(test_the_first_line_of_a_file_names_the_hash_before_it),
        cmocka_unit_test(test_a_number_that_is_missing_stays_missing),
        cmocka_unit_test(test_the_longest_line_keeps_to_the_limit),
        cmocka_unit_test(test_a_long_text_is_cut_between_characters_and_its_length_is_added),
        cmocka_unit_test(test_bytes_that_are_not_utf_8_leave_a_line_that_can_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
