/*
 * Prints settings as a file: the rows in the order of the table; a group is opened and closed where
 * the depth of the paths changes.
 */
#include "table.h"

#define COLUMNS 100

struct printer {
    struct buf *out;
    size_t indent; /* in spaces */
    bool has_comments;
    bool is_at_start; /* of the file or a group */
};

static void start_line(struct printer *printer)
{
    buf_printf(printer->out, "%*s", (int)printer->indent, "");
}

/* The text as comment lines, broken at spaces. */
static void print_comment(struct printer *printer, struct slice text)
{
    size_t width = COLUMNS - printer->indent - 3;
    while (text.length > 0) {
        size_t length = text.length;
        if (length > width) {
            const char *space = memrchr(text.data, ' ', width + 1);
            length = space == NULL ? text.length : (size_t)(space - text.data);
        }
        start_line(printer);
        buf_printf(printer->out, "// %.*s\n", (int)length, text.data);
        length += length < text.length;
        text = slice_skip(text, length);
    }
}

static void print_meaning(struct printer *printer, const struct settings_row *row)
{
    struct buf allowed = {0};
    print_comment(printer, slice_text(row->meaning));
    if (row->type != SETTINGS_GROUP && row->type != SETTINGS_ROUTES) {
        buf_append_text(&allowed, "Allowed: ");
        settings_row_allowed(row, &allowed);
        print_comment(printer, buf_slice(&allowed));
    }
    buf_fini(&allowed);
}

static void print_value(struct printer *printer, const struct settings_row *row, const void *base)
{
    const char *name = settings_row_name(row);
    if (settings_row_is_set(row, base)) {
        start_line(printer);
        buf_printf(printer->out, "%s = ", name);
        settings_row_print(row, base, printer->out);
        buf_append_text(printer->out, ";\n");
    } else if (printer->has_comments) {
        start_line(printer);
        buf_printf(printer->out, "// %s is not set.\n", name);
    }
}

static void close_group(struct printer *printer)
{
    printer->indent -= 2;
    start_line(printer);
    buf_append_text(printer->out, "};\n");
}

static void print_routes(struct printer *printer, const struct settings_row *row,
                         const struct settings *settings);

static void print_table(struct printer *printer, struct settings_table table, const void *base)
{
    size_t depth = 0;
    printer->is_at_start = true;
    for (size_t i = 0; i < table.count; i++) {
        const struct settings_row *row = &table.rows[i];
        size_t row_depth = 0;
        for (const char *at = row->path; *at != '\0'; at++) {
            row_depth += *at == '.';
        }
        for (; depth > row_depth; depth--) {
            close_group(printer);
        }
        /* An empty line before each group that is not in another one, and before each key with a
         * comment. */
        bool is_block = row->type == SETTINGS_GROUP || row->type == SETTINGS_ROUTES;
        bool has_gap = printer->has_comments || (is_block && printer->indent == 0);
        buf_append_text(printer->out, has_gap && !printer->is_at_start ? "\n" : "");
        printer->is_at_start = false;
        if (printer->has_comments) {
            print_meaning(printer, row);
        }
        if (row->type == SETTINGS_GROUP) {
            start_line(printer);
            buf_printf(printer->out, "%s: {\n", settings_row_name(row));
            printer->indent += 2;
            printer->is_at_start = true;
            depth++;
        } else if (row->type == SETTINGS_ROUTES) {
            print_routes(printer, row, base);
        } else {
            print_value(printer, row, base);
        }
    }
    for (; depth > 0; depth--) {
        close_group(printer);
    }
}

static void print_routes(struct printer *printer, const struct settings_row *row,
                         const struct settings *settings)
{
    buf_printf(printer->out, "%s = (\n", settings_row_name(row));
    for (size_t i = 0; i < settings->route_count; i++) {
        buf_append_text(printer->out, "  {\n");
        printer->indent += 4;
        print_table(printer, settings_route_table(), &settings->routes[i]);
        printer->indent -= 4;
        buf_append_text(printer->out, i + 1 < settings->route_count ? "  },\n" : "  }\n");
    }
    buf_append_text(printer->out, ");\n");
}

void settings_print(const struct settings *settings, struct buf *out)
{
    struct printer printer = {.out = out};
    print_table(&printer, settings_main_table(), settings);
}

void settings_example(struct buf *out)
{
    struct printer printer = {.out = out, .has_comments = true};
    struct settings *settings = settings_new_defaults();
    settings_add_route(settings);
    buf_append_text(out,
                    "// All settings of ecs-mqtt-bridge with their default values. A key that is "
                    "not in the file has its default,\n"
                    "// so a file needs only the keys that differ: see minimal.conf in this "
                    "folder. This file is generated from\n"
                    "// include/tables/settings.def.\n\n");
    print_table(&printer, settings_main_table(), settings);
    settings_free(settings);
}
