/*
 * Every file in tests/vectors/signing is a case: lines "key value"; a repeated key continues the
 * value. Each stage is compared with its line of the file, so that a failure names the stage.
 */
#include "aliyun/sign.h"
#include "base/digest.h"
#include "base/mem.h"
#include "support/read_file.h"

#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define PAIRS_MAX 24

struct vector {
    char *text; /* all strings below point into it */
    struct sign_pair parameters[PAIRS_MAX];
    size_t parameter_count;
    struct sign_pair headers[PAIRS_MAX];
    size_t header_count;
    const char *algorithm;
    const char *method;
    const char *access_key_id;
    const char *access_key_secret;
    const char *body;
    const char *payload_sha256;
    const char *canonical_query;
    const char *canonical_request_sha256;
    const char *signed_headers;
    const char *signature;
    const char *authorization;
    struct buf canonical_request;
    struct buf string_to_sign;
};

static void add_line(struct buf *lines, const char *line)
{
    if (lines->data != NULL) {
        buf_append_char(lines, '\n');
    }
    buf_append_text(lines, line);
}

static void add_pair(struct sign_pair *pairs, size_t *count, char *text)
{
    assert_true(*count < PAIRS_MAX);
    char *space = strchr(text, ' ');
    pairs[*count].name = text;
    pairs[*count].value = slice_text(space == NULL ? "" : space + 1);
    if (space != NULL) {
        *space = '\0';
    }
    (*count)++;
}

static void set_text(struct vector *vector, const char *key, const char *value)
{
    const struct {
        const char *key;
        const char **value;
    } texts[] = {
        {"algorithm", &vector->algorithm},
        {"method", &vector->method},
        {"access_key_id", &vector->access_key_id},
        {"access_key_secret", &vector->access_key_secret},
        {"body", &vector->body},
        {"payload_sha256", &vector->payload_sha256},
        {"canonical_query", &vector->canonical_query},
        {"canonical_request_sha256", &vector->canonical_request_sha256},
        {"signed_headers", &vector->signed_headers},
        {"signature", &vector->signature},
        {"authorization", &vector->authorization},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (strcmp(texts[i].key, key) == 0) {
            *texts[i].value = value;
            return;
        }
    }
    fail_msg("unknown key in a vector: %s", key);
}

static void read_line(struct vector *vector, char *line)
{
    char *value = strchr(line, ' ');
    if (value != NULL) {
        *value++ = '\0';
    } else {
        value = line + strlen(line);
    }
    if (strcmp(line, "parameter") == 0) {
        add_pair(vector->parameters, &vector->parameter_count, value);
    } else if (strcmp(line, "header") == 0) {
        add_pair(vector->headers, &vector->header_count, value);
    } else if (strcmp(line, "canonical_request") == 0) {
        add_line(&vector->canonical_request, value);
    } else if (strcmp(line, "string_to_sign") == 0) {
        add_line(&vector->string_to_sign, value);
    } else {
        set_text(vector, line, value);
    }
}

static void vector_read(struct vector *vector, const char *path)
{
    struct buf text = {0};
    read_file(path, &text);
    *vector = (struct vector){.text = buf_take(&text), .body = "", .canonical_query = ""};
    char *rest = vector->text;
    char *line;
    while ((line = strsep(&rest, "\n")) != NULL) {
        if (line[0] != '\0' && line[0] != '#') {
            read_line(vector, line);
        }
    }
}

static void vector_fini(struct vector *vector)
{
    buf_fini(&vector->canonical_request);
    buf_fini(&vector->string_to_sign);
    free(vector->text);
}

static void assert_text(struct buf *got, const char *expected)
{
    assert_string_equal(buf_slice(got).data, expected);
    buf_clear(got);
}

static void check_v3(struct vector *vector)
{
    struct buf query = {0};
    struct buf got = {0};
    char hash[DIGEST_SHA256_HEX_BYTES];
    digest_sha256_hex(slice_text(vector->body), hash);
    assert_string_equal(hash, vector->payload_sha256);
    sign_canonical_query(vector->parameters, vector->parameter_count, &query);
    assert_string_equal(buf_slice(&query).data, vector->canonical_query);

    assert_true(vector->header_count < PAIRS_MAX);
    vector->headers[vector->header_count++] =
        (struct sign_pair){"x-acs-content-sha256", slice_text(hash)};
    struct sign_v3_request request = {
        .method = vector->method,
        .path = "/",
        .canonical_query = buf_slice(&query),
        .headers = vector->headers,
        .header_count = vector->header_count,
        .payload_hash = slice_text(hash),
    };
    struct slice secret = slice_text(vector->access_key_secret);
    sign_v3_signed_headers(vector->headers, vector->header_count, &got);
    assert_text(&got, vector->signed_headers);
    sign_v3_canonical_request(&request, &got);
    char request_hash[DIGEST_SHA256_HEX_BYTES];
    digest_sha256_hex(buf_slice(&got), request_hash);
    assert_text(&got, vector->canonical_request.data);
    assert_string_equal(request_hash, vector->canonical_request_sha256);
    sign_v3_string_to_sign(buf_slice(&vector->canonical_request), &got);
    assert_text(&got, vector->string_to_sign.data);
    sign_v3_signature(secret, buf_slice(&vector->string_to_sign), &got);
    assert_text(&got, vector->signature);
    sign_v3_authorization(&request, slice_text(vector->access_key_id), secret, &got);
    assert_text(&got, vector->authorization);
    buf_fini(&got);
    buf_fini(&query);
}

static void check_v1(struct vector *vector)
{
    struct buf query = {0};
    struct buf got = {0};
    sign_canonical_query(vector->parameters, vector->parameter_count, &query);
    assert_string_equal(buf_slice(&query).data, vector->canonical_query);
    sign_v1_string_to_sign(vector->method, buf_slice(&query), &got);
    assert_text(&got, vector->string_to_sign.data);
    sign_v1_signature(slice_text(vector->access_key_secret), buf_slice(&vector->string_to_sign),
                      &got);
    assert_text(&got, vector->signature);
    buf_fini(&got);
    buf_fini(&query);
}

static void check_all(const char *algorithm, size_t expected_count,
                      void (*check)(struct vector *vector))
{
    glob_t found;
    size_t count = 0;
    assert_int_equal(glob("tests/vectors/signing/*.txt", 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        struct vector vector;
        vector_read(&vector, found.gl_pathv[i]);
        assert_non_null(vector.algorithm);
        if (slice_equals_text(slice_text(vector.algorithm), algorithm)) {
            print_message("%s\n", found.gl_pathv[i]);
            check(&vector);
            count++;
        }
        vector_fini(&vector);
    }
    globfree(&found);
    assert_int_equal(count, expected_count);
}

static void test_every_stage_of_every_v3_vector_is_reproduced(void **state)
{
    (void)state;
    check_all("v3", 9, check_v3);
}

static void test_every_stage_of_every_v1_vector_is_reproduced(void **state)
{
    (void)state;
    check_all("v1", 8, check_v1);
}

static void test_only_unreserved_characters_stay_as_they_are(void **state)
{
    (void)state;
    struct buf got = {0};
    for (int c = 0; c < 256; c++) {
        char byte = (char)c;
        char expected[4] = {byte, '\0'};
        if (c == 0 || strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~",
                             c) == NULL) {
            snprintf(expected, sizeof expected, "%%%02X", (unsigned)c);
        }
        sign_percent_encode(slice_of(&byte, 1), &got);
        assert_text(&got, expected);
    }
    buf_fini(&got);
}

static void test_encoding_appends_and_accepts_an_empty_text(void **state)
{
    (void)state;
    struct buf got = {0};
    sign_percent_encode(slice_text(""), &got);
    buf_append_text(&got, "x=");
    sign_percent_encode(slice_text("/"), &got);
    sign_percent_encode((struct slice){0}, &got);
    assert_text(&got, "x=%2F");
    buf_fini(&got);
}

static void test_names_are_sorted_by_bytes_and_encoded(void **state)
{
    (void)state;
    struct buf got = {0};
    struct sign_pair pairs[] = {{"b", slice_text("1")},
                                {"a*", slice_text("2")},
                                {"Z", slice_text("3")},
                                {"a", slice_text("4")}};
    sign_canonical_query(pairs, 4, &got);
    assert_text(&got, "Z=3&a=4&a%2A=2&b=1");
    sign_canonical_query(NULL, 0, &got);
    assert_text(&got, "");
    buf_fini(&got);
}

static void test_values_of_headers_are_signed_without_the_blanks_around_them(void **state)
{
    (void)state;
    struct buf got = {0};
    struct sign_pair headers[] = {{"x-acs-b", slice_text(" two  words\t")},
                                  {"host", slice_text("h")},
                                  {"x-acs-a", slice_text("  ")}};
    struct sign_v3_request request = {"GET", "/", slice_text(""), headers, 3, slice_text("hash")};
    sign_v3_canonical_request(&request, &got);
    assert_text(&got,
                "GET\n/\n\nhost:h\nx-acs-a:\nx-acs-b:two  words\n\nhost;x-acs-a;x-acs-b\nhash");
    buf_fini(&got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_stage_of_every_v3_vector_is_reproduced),
        cmocka_unit_test(test_every_stage_of_every_v1_vector_is_reproduced),
        cmocka_unit_test(test_only_unreserved_characters_stay_as_they_are),
        cmocka_unit_test(test_encoding_appends_and_accepts_an_empty_text),
        cmocka_unit_test(test_names_are_sorted_by_bytes_and_encoded),
        cmocka_unit_test(test_values_of_headers_are_signed_without_the_blanks_around_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
