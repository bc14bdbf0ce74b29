/* The words are written one after the other into one block. It is large enough: each word loses a
 * quote or a space, which leaves room for its NUL. */
#include "argv.h"

#include "base/mem.h"
#include "base/secret.h"

#include <stdlib.h>

#define NO_QUOTE '\0'

struct splitter {
    struct slice text;
    size_t at;
    char *out;
    const char *why;
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_at_end(const struct splitter *splitter)
{
    return splitter->at == splitter->text.length;
}

static char take(struct splitter *splitter)
{
    return splitter->text.data[splitter->at++];
}

/* The byte after a backslash; in "..." the backslash too, unless it quotes '"' or '\\'. */
static bool take_escaped(struct splitter *splitter, char quote)
{
    if (is_at_end(splitter)) {
        splitter->why = "ends with a backslash";
        return false;
    }
    char c = take(splitter);
    if (quote == '"' && c != '"' && c != '\\') {
        *splitter->out++ = '\\';
    }
    *splitter->out++ = c;
    return true;
}

static bool take_quoted(struct splitter *splitter, char quote)
{
    while (!is_at_end(splitter)) {
        char c = take(splitter);
        if (c == quote) {
            return true;
        }
        if (c != '\\' || quote == '\'') {
            *splitter->out++ = c;
        } else if (!take_escaped(splitter, quote)) {
            return false;
        }
    }
    splitter->why = quote == '"' ? "has an unclosed double quote" : "has an unclosed single quote";
    return false;
}

static bool take_word(struct splitter *splitter)
{
    bool is_good = true;
    while (is_good && !is_at_end(splitter)) {
        char c = take(splitter);
        if (is_space(c)) {
            break;
        }
        if (c == '\'' || c == '"') {
            is_good = take_quoted(splitter, c);
        } else if (c == '\\') {
            is_good = take_escaped(splitter, NO_QUOTE);
        } else {
            *splitter->out++ = c;
        }
    }
    *splitter->out++ = '\0';
    return is_good;
}

static enum status split(struct argv *argv, struct splitter *splitter)
{
    for (;;) {
        while (!is_at_end(splitter) && is_space(splitter->text.data[splitter->at])) {
            splitter->at++;
        }
        if (is_at_end(splitter)) {
            break;
        }
        if (argv->count == ARGV_WORDS_MAX) {
            splitter->why = "has more than 1024 words";
            return STATUS_LIMIT;
        }
        argv->words[argv->count++] = splitter->out;
        if (!take_word(splitter)) {
            return STATUS_INVALID;
        }
    }
    if (argv->count == 0) {
        splitter->why = "is empty";
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

enum status argv_init(struct argv *argv, struct slice text, const char **out_why)
{
    *argv = (struct argv){0};
    if (text.length > 0 && memchr(text.data, '\0', text.length) != NULL) {
        *out_why = "holds a NUL";
        return STATUS_INVALID;
    }
    /* A word of n bytes takes n + 1 of the text (a separator follows), except for the last. */
    argv->byte_count = text.length + 1;
    argv->bytes = mem_zalloc(argv->byte_count, 1);
    argv->words = mem_zalloc(ARGV_WORDS_MAX + 1, sizeof argv->words[0]);
    struct splitter splitter = {.text = text, .out = argv->bytes};
    enum status status = split(argv, &splitter);
    if (status != STATUS_OK) {
        *out_why = splitter.why;
        argv_fini(argv);
    }
    return status;
}

void argv_fini(struct argv *argv)
{
    if (argv == NULL) {
        return;
    }
    secret_wipe(argv->bytes, argv->byte_count);
    free(argv->bytes);
    free(argv->words);
    *argv = (struct argv){0};
}
