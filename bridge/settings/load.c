/*
 * The whole file is read, scanned (scan.c) and parsed by libconfig. Then each key of the resulting
 * tree is looked up in the table and its value is put into the settings; other keys keep their
 * defaults. At the end come the checks that need more than one value (check.c).
 */
#include "settings/settings.h"

#include "syntax.h"

#include "base/mem.h"

#include <errno.h>
#include <libconfig.h>
#include <stdio.h>
#include <stdlib.h>

#define FILE_BYTES_MAX ((size_t)1024 * 1024)
#define READ_BYTES     4096

/* The state while the tree is read. */
struct reader {
    struct settings *settings;
    struct settings_report *report;
    const char *file;
    struct settings_table table;
    void *base;                    /* what the table's rows fill */
    struct settings_place *places; /* of the table's rows */
    const char *prefix;            /* "", or "routes[0]." */
    bool is_option;                /* the value is from the command line: no lines */
};

/* What messages about a value from the command line name as the file. */
#define OPTION_FILE "--set"

static unsigned line_of(const struct reader *reader, const config_setting_t *setting)
{
    return reader->is_option ? 0 : config_setting_source_line(setting);
}

static void report(const struct reader *reader, const config_setting_t *setting, const char *path,
                   const char *what, struct slice allowed)
{
    struct buf key = {0};
    buf_printf(&key, "%s%s", reader->prefix, path);
    settings_report_error(reader->report, reader->file, line_of(reader, setting), key.data,
                          "%s; allowed: %.*s", what, (int)allowed.length, allowed.data);
    buf_fini(&key);
}

static void report_row(const struct reader *reader, const config_setting_t *setting,
                       const struct settings_row *row, const char *what)
{
    struct buf allowed = {0};
    settings_row_allowed(row, &allowed);
    report(reader, setting, row->path, what, buf_slice(&allowed));
    buf_fini(&allowed);
}

static void report_item(const struct reader *reader, const config_setting_t *item,
                        const struct settings_row *row, int index, const char *what)
{
    struct buf path = {0};
    struct buf allowed = {0};
    buf_printf(&path, "%s[%d]", row->path, index);
    settings_row_allowed_item(row, &allowed);
    report(reader, item, path.data, what, buf_slice(&allowed));
    buf_fini(&path);
    buf_fini(&allowed);
}

static struct settings_value value_of(const config_setting_t *setting)
{
    struct settings_value value = {0};
    switch (config_setting_type(setting)) {
    case CONFIG_TYPE_GROUP:
        value.kind = SETTINGS_VALUE_GROUP;
        break;
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        value.kind = SETTINGS_VALUE_WHOLE;
        value.whole = config_setting_get_int64(setting);
        value.number = (double)value.whole;
        break;
    case CONFIG_TYPE_FLOAT:
        value.kind = SETTINGS_VALUE_FRACTION;
        value.number = config_setting_get_float(setting);
        break;
    case CONFIG_TYPE_STRING:
        value.kind = SETTINGS_VALUE_TEXT;
        value.text = config_setting_get_string(setting);
        break;
    case CONFIG_TYPE_BOOL:
        value.kind = SETTINGS_VALUE_BOOL;
        value.flag = config_setting_get_bool(setting) == CONFIG_TRUE;
        break;
    default:
        value.kind = SETTINGS_VALUE_LIST;
        if (config_setting_length(setting) == 2) {
            value.text = config_setting_get_string_elem(setting, 0);
            value.second = config_setting_get_string_elem(setting, 1);
        }
        if (value.text != NULL && value.second != NULL) {
            value.kind = SETTINGS_VALUE_PAIR;
        }
        break;
    }
    return value;
}

static const char *type_text(const config_setting_t *setting)
{
    return settings_value_text(value_of(setting).kind);
}

static bool is_list(const config_setting_t *setting)
{
    return config_setting_is_list(setting) || config_setting_is_array(setting);
}

/* `index` of an item in a list; -1: the value is not in a list. */
static void read_value(const struct reader *reader, const config_setting_t *setting,
                       const struct settings_row *row, int index)
{
    const struct settings_value value = value_of(setting);
    struct buf why = {0};
    settings_row_read(row, reader->base, &value, &why);
    if (why.length > 0 && index < 0) {
        report_row(reader, setting, row, why.data);
    } else if (why.length > 0) {
        report_item(reader, setting, row, index, why.data);
    }
    buf_fini(&why);
}

static void read_list(const struct reader *reader, const config_setting_t *setting,
                      const struct settings_row *row)
{
    if (!is_list(setting)) {
        report_row(reader, setting, row, type_text(setting));
        return;
    }
    int count = config_setting_length(setting);
    if (count < row->min || count > row->max) {
        char what[64];
        snprintf(what, sizeof what, "has %d items", count);
        report_row(reader, setting, row, what);
    }
    settings_row_clear(row, reader->base);
    for (int i = 0; i < count; i++) {
        read_value(reader, config_setting_get_elem(setting, (unsigned)i), row, i);
    }
}

/* Keys of former versions. */
static const struct {
    const char *path;
    const char *what;
} removed_keys[] = {
    {"broker.receivers",
     "is no longer a key, because one connection receives all commands: delete it"},
};

/* Lists the keys that are known in the same group. */
static void report_unknown_key(const struct reader *reader, const config_setting_t *setting,
                               const char *path)
{
    struct buf allowed = {0};
    const char *dot = strrchr(path, '.');
    size_t parent = dot == NULL ? 0 : (size_t)(dot + 1 - path);
    for (size_t i = 0; i < reader->table.count; i++) {
        const struct settings_row *row = &reader->table.rows[i];
        if (strncmp(row->path, path, parent) == 0 && strchr(row->path + parent, '.') == NULL) {
            buf_printf(&allowed, "%s%s", allowed.length > 0 ? ", " : "", row->path + parent);
        }
    }
    const char *what = "is not a known key";
    for (size_t i = 0; i < sizeof removed_keys / sizeof removed_keys[0]; i++) {
        what = strcmp(path, removed_keys[i].path) == 0 ? removed_keys[i].what : what;
    }
    report(reader, setting, path, what, buf_slice(&allowed));
    buf_fini(&allowed);
}

static void read_group(const struct reader *reader, const config_setting_t *group,
                       const char *path);
static void read_routes(const struct reader *reader, const config_setting_t *list,
                        const struct settings_row *row);
static void read_groups(const struct reader *reader, const config_setting_t *list,
                        const struct settings_row *row);

static void read_key(const struct reader *reader, const config_setting_t *setting, const char *path)
{
    const struct settings_row *row = settings_row_find(reader->table, path);
    if (row == NULL) {
        report_unknown_key(reader, setting, path);
        return;
    }
    reader->places[row - reader->table.rows] =
        (struct settings_place){.line = line_of(reader, setting), .is_given = true};
    if (row->type == SETTINGS_ROUTES) {
        read_routes(reader, setting, row);
    } else if (row->type == SETTINGS_LIST || row->type == SETTINGS_PAIRS) {
        read_list(reader, setting, row);
    } else if (settings_row_group_table(row).count > 0) {
        read_groups(reader, setting, row);
    } else if (row->type != SETTINGS_GROUP) {
        read_value(reader, setting, row, -1);
    } else if (config_setting_is_group(setting)) {
        read_group(reader, setting, path);
    } else {
        report_row(reader, setting, row, type_text(setting));
    }
}

static void read_group(const struct reader *reader, const config_setting_t *group, const char *path)
{
    int count = config_setting_length(group);
    for (int i = 0; i < count; i++) {
        const config_setting_t *setting = config_setting_get_elem(group, (unsigned)i);
        struct buf key = {0};
        buf_printf(&key, "%s%s%s", path, path[0] == '\0' ? "" : ".", config_setting_name(setting));
        read_key(reader, setting, key.data);
        buf_fini(&key);
    }
}

static void read_route(const struct reader *main_reader, const config_setting_t *group, int index)
{
    struct reader reader = *main_reader;
    struct buf prefix = {0};
    buf_printf(&prefix, "routes[%d].", index);
    reader.prefix = prefix.data;
    reader.table = settings_route_table();
    /* The places of the routes follow those of the main table. */
    reader.places = main_reader->places + main_reader->table.count +
                    reader.settings->route_count * reader.table.count;
    for (size_t i = 0; i < reader.table.count; i++) {
        reader.places[i].line = config_setting_source_line(group);
    }
    reader.base = settings_add_route(reader.settings);
    read_group(&reader, group, "");
    buf_fini(&prefix);
}

static void read_routes(const struct reader *reader, const config_setting_t *list,
                        const struct settings_row *row)
{
    int count = is_list(list) ? config_setting_length(list) : 0;
    if (count == 0) {
        report_row(reader, list, row, is_list(list) ? "is empty" : type_text(list));
    }
    for (int i = 0; i < count; i++) {
        const config_setting_t *item = config_setting_get_elem(list, (unsigned)i);
        if (config_setting_is_group(item)) {
            read_route(reader, item, i);
        } else {
            report_item(reader, item, row, i, type_text(item));
        }
    }
}

/* One group of a list of groups that are not routes. */
static void read_list_group(const struct reader *outer, const config_setting_t *group,
                            const struct settings_row *row, int index)
{
    struct reader reader = *outer;
    struct buf prefix = {0};
    buf_printf(&prefix, "%s%s[%d].", outer->prefix, row->path, index);
    reader.prefix = prefix.data;
    reader.table = settings_row_group_table(row);
    reader.places = mem_zalloc(reader.table.count, sizeof reader.places[0]);
    reader.base = settings_row_add_group(row, outer->base);
    read_group(&reader, group, "");
    for (size_t i = 0; i < reader.table.count; i++) {
        if (reader.table.rows[i].min > 0 &&
            config_setting_get_member(group, reader.table.rows[i].path) == NULL) {
            report_row(&reader, group, &reader.table.rows[i], "is missing");
        }
    }
    free(reader.places);
    buf_fini(&prefix);
}

static void read_groups(const struct reader *reader, const config_setting_t *list,
                        const struct settings_row *row)
{
    int count = is_list(list) ? config_setting_length(list) : 0;
    if (!is_list(list)) {
        report_row(reader, list, row, type_text(list));
    } else if (count > row->max) {
        char what[64];
        snprintf(what, sizeof what, "has %d groups", count);
        report_row(reader, list, row, what);
    }
    settings_row_clear(row, reader->base);
    for (int i = 0; i < count; i++) {
        const config_setting_t *item = config_setting_get_elem(list, (unsigned)i);
        if (config_setting_is_group(item)) {
            read_list_group(reader, item, row, i);
        } else {
            report_item(reader, item, row, i, type_text(item));
        }
    }
}

/* Reads "PATH = VALUE" into `config`. Returns the value, or NULL where the text is none. */
static const config_setting_t *parse_value(config_t *config, struct slice value)
{
    const config_setting_t *setting = NULL;
    struct settings_report unused = {0};
    struct syntax syntax = {0};
    struct buf text = {0};
    struct buf scanned = {0};
    buf_append_text(&text, "value = ");
    buf_append(&text, value);
    if (settings_scan(buf_slice(&text), OPTION_FILE, &scanned, &unused, &syntax) == STATUS_OK &&
        config_read_string(config, scanned.data) == CONFIG_TRUE &&
        config_setting_length(config_root_setting(config)) == 1) {
        setting = config_setting_get_member(config_root_setting(config), "value");
    }
    settings_report_fini(&unused);
    syntax_fini(&syntax);
    buf_fini(&text);
    buf_fini(&scanned);
    return setting;
}

/*
 * One "PATH=VALUE" of the command line. The value is written as in a file; what is no value there
 * is a text, so that a text needs no quotes that a shell would remove.
 */
static void read_option(const struct reader *file_reader, const char *option)
{
    struct reader reader = *file_reader;
    const char *equals = strchr(option, '=');
    struct buf path = {0};
    config_t config;
    reader.file = OPTION_FILE;
    reader.is_option = true;
    buf_append(&path,
               slice_of(option, equals == NULL ? strlen(option) : (size_t)(equals - option)));
    config_init(&config);
    const struct settings_row *row = settings_row_find(reader.table, path.data);
    bool is_route = strncmp(path.data, "routes", 6) == 0;
    if (equals == NULL) {
        settings_report_error(reader.report, OPTION_FILE, 0, path.data,
                              "has no value; allowed: PATH=VALUE");
    } else if (is_route || (row != NULL && row->type == SETTINGS_GROUP)) {
        settings_report_error(reader.report, OPTION_FILE, 0, path.data,
                              "is not one setting; allowed: the path of a setting outside of "
                              "routes, such as log.level");
    } else {
        const config_setting_t *value = parse_value(&config, slice_text(equals + 1));
        if (value == NULL && strchr("\"([{", equals[1]) != NULL && equals[1] != '\0') {
            settings_report_error(reader.report, OPTION_FILE, 0, path.data,
                                  "has a value that is none; allowed: a number, true, false, "
                                  "\"a text\", a text without quotes, or (\"a\", \"b\")");
        } else {
            if (value == NULL) {
                config_setting_t *text =
                    config_setting_add(config_root_setting(&config), "text", CONFIG_TYPE_STRING);
                config_setting_set_string(text, equals + 1);
                value = text;
            }
            read_key(&reader, value, path.data);
        }
    }
    config_destroy(&config);
    buf_fini(&path);
}

/* Fills the settings from the tree and the options, and checks them. */
static struct settings *read_root(const config_setting_t *root, const char *file,
                                  const struct settings_options *options,
                                  struct settings_report *report)
{
    struct settings *settings = settings_new_defaults();
    struct settings_table table = settings_main_table();
    const config_setting_t *routes = config_setting_get_member(root, "routes");
    bool has_routes = routes != NULL && is_list(routes);
    size_t route_count = has_routes ? (size_t)config_setting_length(routes) : 0;
    size_t place_count = table.count + (route_count + 1) * settings_route_table().count;
    struct settings_place *places = mem_zalloc(place_count, sizeof places[0]);
    struct reader reader = {
        .settings = settings,
        .report = report,
        .file = file,
        .table = table,
        .base = settings,
        .places = places,
        .prefix = "",
    };
    read_group(&reader, root, "");
    for (size_t i = 0; options != NULL && i < options->count; i++) {
        read_option(&reader, options->items[i]);
    }
    if (settings->route_count == 0) {
        settings_add_route(settings);
    }
    settings_set_profile_defaults(settings, places);
    for (size_t i = 0; i < settings->tables.count; i++) {
        text_table_sort(&settings->tables.items[i]);
    }
    const struct settings_view view = {
        .settings = settings,
        .file = file,
        .places = places,
        .route_places = places + table.count,
        .report = report,
    };
    settings_fill_instance(settings, &view);
    settings_check(&view);
    free(places);
    return settings;
}

/* Why libconfig refused the text. */
static void report_syntax(const config_t *config, const struct syntax *syntax, const char *name,
                          struct settings_report *report)
{
    static const char allowed[] = "allowed: key = value; and key: { ... };";
    unsigned line = (unsigned)config_error_line(config);
    struct slice twice = syntax_duplicate(syntax, line);
    if (slice_is_present(twice)) {
        settings_report_error(report, name, line, "syntax",
                              "%.*s is there twice; allowed: each key once in its group",
                              (int)twice.length, twice.data);
    } else if (syntax->fault_line > 0) {
        settings_report_error(report, name, syntax->fault_line, "syntax", "%s; %s",
                              syntax->fault.data, allowed);
    } else {
        settings_report_error(report, name, line, "syntax", "%s; %s", config_error_text(config),
                              allowed);
    }
}

/* The settings, also with errors; NULL where the text is no file of settings at all. */
static struct settings *read_text(struct slice text, const char *name,
                                  const struct settings_options *options,
                                  struct settings_report *report)
{
    struct settings *settings = NULL;
    struct buf scanned = {0};
    struct syntax syntax = {0};
    config_t config;
    config_init(&config);
    if (settings_scan(text, name, &scanned, report, &syntax) == STATUS_OK) {
        if (config_read_string(&config, scanned.length == 0 ? "" : scanned.data) == CONFIG_TRUE) {
            settings = read_root(config_root_setting(&config), name, options, report);
        } else {
            report_syntax(&config, &syntax, name, report);
        }
    }
    config_destroy(&config);
    syntax_fini(&syntax);
    buf_fini(&scanned);
    return settings;
}

static enum status parse(struct slice text, const char *name,
                         const struct settings_options *options, struct settings **out_settings,
                         struct settings_report *report)
{
    int errors_before = report->error_count;
    struct settings *settings = read_text(text, name, options, report);
    if (report->error_count > errors_before) {
        settings_free(settings);
        return STATUS_INVALID;
    }
    *out_settings = settings;
    return STATUS_OK;
}

enum status settings_parse(struct slice text, const char *name, struct settings **out_settings,
                           struct settings_report *report)
{
    return parse(text, name, NULL, out_settings, report);
}

/* Reads the whole file, which may be a pipe. Returns 0 or an errno value. */
static int read_whole(const char *path, struct buf *out)
{
    FILE *file = fopen(path, "re");
    size_t count;
    int problem = 0;
    if (file == NULL) {
        return errno;
    }
    do {
        errno = 0;
        count = fread(buf_reserve(out, READ_BYTES), 1, READ_BYTES, file);
        out->length += count;
    } while (count > 0 && out->length <= FILE_BYTES_MAX);
    if (ferror(file)) {
        problem = errno == 0 ? EIO : errno;
    } else if (out->length > FILE_BYTES_MAX) {
        problem = EFBIG;
    }
    fclose(file);
    return problem;
}

/* NULL as `path` is an empty file. */
static enum status read_file(const char *path, struct buf *out, struct settings_report *report)
{
    int problem = path == NULL ? 0 : read_whole(path, out);
    if (problem == 0) {
        return STATUS_OK;
    }
    settings_report_error(report, path, 0, "file",
                          "cannot be read: %s; allowed: a readable file of at most 1 MiB",
                          strerror(problem));
    return problem == ENOENT || problem == ENOTDIR ? STATUS_NOT_FOUND : STATUS_INVALID;
}

enum status settings_load(const char *path, struct settings **out_settings,
                          struct settings_report *report)
{
    return settings_load_with(path, NULL, out_settings, report);
}

enum status settings_load_with(const char *path, const struct settings_options *options,
                               struct settings **out_settings, struct settings_report *report)
{
    struct buf text = {0};
    enum status status = read_file(path, &text, report);
    if (status == STATUS_OK) {
        status = parse(buf_slice(&text), path == NULL ? "defaults" : path, options, out_settings,
                       report);
    }
    buf_fini(&text);
    return status;
}

enum status settings_find_paths(const struct settings_source *source,
                                struct settings_paths *out_paths, struct settings_report *report)
{
    struct buf text = {0};
    struct settings *settings = NULL;
    enum status status = read_file(source->path, &text, report);
    if (status == STATUS_OK) {
        settings = read_text(buf_slice(&text), source->path, &source->options, report);
        status = settings == NULL ? STATUS_INVALID : STATUS_OK;
    }
    if (status == STATUS_OK) {
        out_paths->control = settings_control_path(settings);
        out_paths->store = mem_strdup(settings->ledger.store);
        out_paths->password_file = mem_strdup(settings->ledger.password_file);
    }
    settings_free(settings);
    buf_fini(&text);
    return status;
}
