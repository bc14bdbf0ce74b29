/*
 * The whole file is read, scanned (scan.c) and parsed by libconfig. Then each key of the resulting
 * tree is looked up in the table and its value is put into the settings; other keys keep their
 * defaults. At the end come the checks that need more than one value (check.c).
 */
#include "settings/settings.h"

#include "table.h"

#include "base/mem.h"

#include <errno.h>
#include <libconfig.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FILE_BYTES_MAX ((size_t)1024 * 1024)
#define READ_BYTES     4096
#define INSTANCE_MARK  "{Instance}"

/* The state while the tree is read. */
struct reader {
    struct settings *settings;
    struct settings_report *report;
    const char *file;
    struct settings_table table;
    void *base;                    /* what the table's rows fill */
    struct settings_place *places; /* of the table's rows */
    const char *prefix;            /* "", or "routes[0]." */
};

static void report(const struct reader *reader, const config_setting_t *setting, const char *path,
                   const char *what, struct slice allowed)
{
    struct buf key = {0};
    buf_printf(&key, "%s%s", reader->prefix, path);
    settings_report_error(reader->report, reader->file, config_setting_source_line(setting),
                          key.data, "%s; allowed: %.*s", what, (int)allowed.length, allowed.data);
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

/* Lists the keys that are known in the same group. */
static void report_unknown_key(const struct reader *reader, const config_setting_t *setting,
                               const char *path)
{
    struct buf allowed = {0};
    size_t parent = strlen(path) - strlen(config_setting_name(setting));
    for (size_t i = 0; i < reader->table.count; i++) {
        const struct settings_row *row = &reader->table.rows[i];
        if (strncmp(row->path, path, parent) == 0 && strchr(row->path + parent, '.') == NULL) {
            buf_printf(&allowed, "%s%s", allowed.length > 0 ? ", " : "", row->path + parent);
        }
    }
    report(reader, setting, path, "is not a known key", buf_slice(&allowed));
    buf_fini(&allowed);
}

static void read_group(const struct reader *reader, const config_setting_t *group,
                       const char *path);
static void read_routes(const struct reader *reader, const config_setting_t *list,
                        const struct settings_row *row);

static void read_key(const struct reader *reader, const config_setting_t *setting, const char *path)
{
    const struct settings_row *row = settings_row_find(reader->table, path);
    if (row == NULL) {
        report_unknown_key(reader, setting, path);
        return;
    }
    reader->places[row - reader->table.rows].line = config_setting_source_line(setting);
    if (row->type == SETTINGS_ROUTES) {
        read_routes(reader, setting, row);
    } else if (row->type == SETTINGS_LIST) {
        read_list(reader, setting, row);
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

static void fill_client_id(struct settings *settings)
{
    struct buf client_id = {0};
    const char *text = settings->broker.client_id;
    const char *mark;
    while ((mark = strstr(text, INSTANCE_MARK)) != NULL) {
        buf_append(&client_id, slice_of(text, (size_t)(mark - text)));
        buf_append_text(&client_id, settings->instance);
        text = mark + strlen(INSTANCE_MARK);
    }
    buf_append_text(&client_id, text);
    free(settings->broker.client_id);
    settings->broker.client_id = buf_take(&client_id);
}

/* Fills the settings from the tree and checks them. */
static struct settings *read_root(const config_setting_t *root, const char *file,
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
    if (settings->route_count == 0) {
        settings_add_route(settings);
    }
    bool is_host_name = settings->instance[0] == '\0';
    if (is_host_name) {
        char host[256] = "";
        bool is_known = gethostname(host, sizeof host - 1) == 0 && host[0] != '\0';
        free(settings->instance);
        settings->instance = mem_strdup(is_known ? host : "localhost");
    }
    fill_client_id(settings);
    settings_check(&(struct settings_view){
        .settings = settings,
        .file = file,
        .is_instance_host_name = is_host_name,
        .places = places,
        .route_places = places + table.count,
        .report = report,
    });
    free(places);
    return settings;
}

enum status settings_parse(struct slice text, const char *name, struct settings **out_settings,
                           struct settings_report *report)
{
    int errors_before = report->error_count;
    struct settings *settings = NULL;
    struct buf scanned = {0};
    config_t config;
    config_init(&config);
    if (settings_scan(text, name, &scanned, report) == STATUS_OK) {
        if (config_read_string(&config, scanned.length == 0 ? "" : scanned.data) == CONFIG_TRUE) {
            settings = read_root(config_root_setting(&config), name, report);
        } else {
            settings_report_error(report, name, (unsigned)config_error_line(&config), "syntax",
                                  "%s; allowed: key = value; and key: { ... };",
                                  config_error_text(&config));
        }
    }
    config_destroy(&config);
    buf_fini(&scanned);
    if (report->error_count > errors_before) {
        settings_free(settings);
        return STATUS_INVALID;
    }
    *out_settings = settings;
    return STATUS_OK;
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

enum status settings_load(const char *path, struct settings **out_settings,
                          struct settings_report *report)
{
    struct buf text = {0};
    enum status status;
    int problem = path == NULL ? 0 : read_whole(path, &text);
    if (problem == 0) {
        status = settings_parse(buf_slice(&text), path == NULL ? "defaults" : path, out_settings,
                                report);
    } else {
        settings_report_error(report, path, 0, "file",
                              "cannot be read: %s; allowed: a readable file of at most 1 MiB",
                              strerror(problem));
        status = problem == ENOENT || problem == ENOTDIR ? STATUS_NOT_FOUND : STATUS_INVALID;
    }
    buf_fini(&text);
    return status;
}
