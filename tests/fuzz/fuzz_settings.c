/*
 * The input is read as settings. A refused text must have one line for each error. Accepted
 * settings are printed; the result must be accepted too and must print the same again.
 */
#include "settings/settings.h"

#include <assert.h>
#include <stdint.h>

/* libconfig 1.5 leaks the text before a syntax error. It is a small block, and the program ends
 * then anyway. */
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
