/*
 * Any text is read as settings. What is refused must come with one line an error; what is taken
 * must be printed as a text that is taken too and prints the same.
 */
#include "settings/settings.h"

#include <assert.h>
#include <stdint.h>

/* libconfig 1.5 loses the text before a syntax error: one small block before a program that ends.
 */
const char *__lsan_default_suppressions(void)
{
    return "leak:libconfig.so\n";
}

static int count_lines(const struct buf *text)
{
    int count = 0;
    for (size_t i = 0; i < text->length; i++) {
        count += text->data[i] == '\n';
    }
    return count;
}

static enum status parse(struct slice text, struct settings **out_settings)
{
    struct settings_report report = {0};
    enum status status = settings_parse(text, "fuzz", out_settings, &report);
    assert((status == STATUS_OK) == (report.error_count == 0));
    assert(count_lines(&report.errors) == report.error_count);
    assert(count_lines(&report.warnings) == report.warning_count);
    settings_report_fini(&report);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct settings *settings = NULL;
    struct settings *again = NULL;
    struct buf first = {0};
    struct buf second = {0};
    if (parse(slice_of(data, size), &settings) == STATUS_OK) {
        settings_print(settings, &first);
        enum status status = parse(buf_slice(&first), &again);
        assert(status == STATUS_OK);
        settings_print(again, &second);
        assert(slice_equals(buf_slice(&first), buf_slice(&second)));
    }
    settings_free(settings);
    settings_free(again);
    buf_fini(&first);
    buf_fini(&second);
    return 0;
}
