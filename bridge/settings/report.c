#include "table.h"

static void add_line(struct buf *out, const char *file, unsigned line, const char *key,
                     const char *format, va_list arguments) __attribute__((format(printf, 5, 0)));

static void add_line(struct buf *out, const char *file, unsigned line, const char *key,
                     const char *format, va_list arguments)
{
    buf_append_text(out, file);
    if (line > 0) {
        buf_printf(out, ":%u", line);
    }
    buf_printf(out, ": %s: ", key);
    buf_vprintf(out, format, arguments);
    buf_append_char(out, '\n');
}

void settings_report_error(struct settings_report *report, const char *file, unsigned line,
                           const char *key, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add_line(&report->errors, file, line, key, format, arguments);
    va_end(arguments);
    report->error_count++;
}

void settings_report_warning(struct settings_report *report, const char *file, unsigned line,
                             const char *key, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add_line(&report->warnings, file, line, key, format, arguments);
    va_end(arguments);
    report->warning_count++;
}

void settings_report_route(const struct settings_view *view, bool is_error, size_t route,
                           const char *path, size_t item, const char *format, ...)
{
    struct settings_report *report = view->report;
    struct buf key = {0};
    va_list arguments;
    buf_printf(&key, "routes[%zu].%s", route, path);
    if (item != SETTINGS_NO_ITEM) {
        buf_printf(&key, "[%zu]", item);
    }
    va_start(arguments, format);
    add_line(is_error ? &report->errors : &report->warnings, view->file,
             settings_route_line_of(view, route, path), key.data, format, arguments);
    va_end(arguments);
    report->error_count += is_error ? 1 : 0;
    report->warning_count += is_error ? 0 : 1;
    buf_fini(&key);
}

void settings_report_fini(struct settings_report *report)
{
    if (report == NULL) {
        return;
    }
    buf_fini(&report->errors);
    buf_fini(&report->warnings);
    *report = (struct settings_report){0};
}

unsigned settings_line_of(const struct settings_view *view, const char *path)
{
    struct settings_table table = settings_main_table();
    return view->places[settings_row_find(table, path) - table.rows].line;
}

unsigned settings_route_line_of(const struct settings_view *view, size_t route, const char *path)
{
    struct settings_table table = settings_route_table();
    size_t row = (size_t)(settings_row_find(table, path) - table.rows);
    return view->route_places[route * table.count + row].line;
}
