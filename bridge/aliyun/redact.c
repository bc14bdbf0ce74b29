/*
 * For a wrong signature the gateway's message quotes the string that the gateway signed. The words
 * that introduce the quotation differ from version to version, so they are searched for without
 * regard to case and to the characters between the words.
 */
#include "aliyun/redact.h"

#include "aliyun/sign.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/utf8.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Real keys and tokens have at least 16 bytes. A very short one would remove parts of other words.
 */
#define SECRET_BYTES_MIN 6
#define MASK             "***"

static bool is_separator(char c)
{
    return c == ' ' || c == '_' || c == '-' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_mark_at(struct slice text, size_t at, const char *mark)
{
    for (; *mark != '\0'; mark++) {
        while (at < text.length && is_separator(text.data[at])) {
            at++;
        }
        if (at == text.length || tolower((unsigned char)text.data[at]) != *mark) {
            return false;
        }
        at++;
    }
    return true;
}

/* The text before the first of the marks (lower case, without separators). */
static struct slice before_marks(struct slice text, const char *const *marks, size_t count)
{
    struct slice head = text;
    for (size_t i = 0; i < count; i++) {
        size_t at = 0;
        while (at < head.length &&
               (is_separator(head.data[at]) || !is_mark_at(head, at, marks[i]))) {
            at++;
        }
        head.length = at;
    }
    if (head.length == text.length) {
        return text;
    }
    while (head.length > 0 && (is_separator(head.data[head.length - 1]) ||
                               strchr(",:;(\"'", head.data[head.length - 1]))) {
        head.length--;
    }
    return head;
}

/* Bytes are marked first and replaced later, so that overlapping secrets are both removed. */
static void mark_secret(struct slice text, struct slice secret, char *is_secret)
{
    for (size_t at = 0; at + secret.length <= text.length; at++) {
        if (memcmp(text.data + at, secret.data, secret.length) == 0) {
            memset(is_secret + at, 1, secret.length);
        }
    }
}

static void mark_all_forms(struct slice text, struct slice secret, char *is_secret)
{
    struct buf once = {0};
    struct buf twice = {0};
    sign_percent_encode(secret, &once);
    sign_percent_encode(buf_slice(&once), &twice);
    mark_secret(text, secret, is_secret);
    mark_secret(text, buf_slice(&once), is_secret);
    mark_secret(text, buf_slice(&twice), is_secret);
    secret_wipe(once.data, once.length);
    secret_wipe(twice.data, twice.length);
    buf_fini(&twice);
    buf_fini(&once);
}

static void append_masked(struct slice text, const struct slice *secrets, size_t count,
                          struct buf *out)
{
    char *is_secret = mem_zalloc(text.length + 1, 1);
    for (size_t i = 0; i < count; i++) {
        if (secrets[i].length >= SECRET_BYTES_MIN) {
            mark_all_forms(text, secrets[i], is_secret);
        }
    }
    for (size_t at = 0; at < text.length; at++) {
        if (!is_secret[at]) {
            buf_append_char(out, text.data[at]);
        } else if (!is_secret[at + 1]) {
            buf_append_text(out, MASK);
        }
    }
    free(is_secret);
}

static void replace_all_but_ascii(struct buf *text)
{
    for (size_t i = 0; i < text->length; i++) {
        if (text->data[i] < ' ' || text->data[i] > '~') {
            text->data[i] = '?';
        }
    }
}

void redact_message(struct slice message, bool is_about_signature, const struct slice *secrets,
                    size_t secret_count, struct buf *out)
{
    static const char *const always[] = {"serverstringtosign", "stringtosign", "acs3hmacsha256",
                                         "get&%2f", "post&%2f"};
    static const char *const signature[] = {"servercanonical", "canonical"};
    struct buf text = {0};
    message = before_marks(message, always, sizeof always / sizeof always[0]);
    if (is_about_signature) {
        message = before_marks(message, signature, sizeof signature / sizeof signature[0]);
    }
    append_masked(message, secrets, secret_count, &text);
    if (!utf8_is_valid(buf_slice(&text))) {
        replace_all_but_ascii(&text);
    }
    buf_append(out, utf8_prefix(buf_slice(&text), ANSWER_MESSAGE_BYTES_MAX));
    buf_fini(&text);
}

void redact_word(struct slice word, const struct slice *secrets, size_t secret_count,
                 struct buf *out)
{
    struct buf text = {0};
    append_masked(word, secrets, secret_count, &text);
    replace_all_but_ascii(&text);
    buf_append(out, utf8_prefix(buf_slice(&text), ANSWER_WORD_BYTES_MAX));
    buf_fini(&text);
}
