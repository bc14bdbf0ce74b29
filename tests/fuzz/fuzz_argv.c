/*
 * Splits any bytes as a command line. Words must lie within their memory; quoted and split again,
 * they must be the same.
 */
#include "base/buf.h"
#include "credentials/argv.h"

#include <assert.h>
#include <stdint.h>

static void quote(struct buf *out, const char *word)
{
    buf_append_char(out, '"');
    for (; *word != '\0'; word++) {
        if (*word == '"' || *word == '\\') {
            buf_append_char(out, '\\');
        }
        buf_append_char(out, *word);
    }
    buf_append_text(out, "\" ");
}

static void check_round_trip(const struct argv *argv)
{
    struct buf text = {0};
    struct argv again;
    const char *why = NULL;
    for (size_t i = 0; i < argv->count; i++) {
        quote(&text, argv->words[i]);
    }
    enum status status = argv_init(&again, buf_slice(&text), &why);
    assert(status == STATUS_OK && again.count == argv->count);
    for (size_t i = 0; i < argv->count; i++) {
        assert(strcmp(again.words[i], argv->words[i]) == 0);
    }
    argv_fini(&again);
    buf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct argv argv;
    const char *why = NULL;
    enum status status = argv_init(&argv, slice_of(data, size), &why);
    if (status != STATUS_OK) {
        assert(why != NULL && argv.words == NULL);
        return 0;
    }
    assert(argv.count > 0 && argv.count <= ARGV_WORDS_MAX && argv.words[argv.count] == NULL);
    for (size_t i = 0; i < argv.count; i++) {
        assert(argv.words[i] + strlen(argv.words[i]) < argv.bytes + argv.byte_count);
    }
    check_round_trip(&argv);
    argv_fini(&argv);
    return 0;
}
