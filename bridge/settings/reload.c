/* Settings that are read again while a bridge runs on the former ones. */
#include "table.h"

#include "base/mem.h"

#include <stdlib.h>

static bool has_value(const struct settings_row *row)
{
    return row->type != SETTINGS_GROUP && row->type != SETTINGS_ROUTES;
}

/* In the running settings the instance is filled in. */
static bool is_changed(const struct settings_row *row, const struct settings *running,
                       const struct settings *fresh)
{
    if (strcmp(row->path, "instance") == 0) {
        return running->is_instance_host_name != fresh->is_instance_host_name ||
               (!fresh->is_instance_host_name && !settings_row_is_equal(row, running, fresh));
    }
    if (strcmp(row->path, "broker.client_id") == 0) {
        return strcmp(running->client_id_template, fresh->client_id_template) != 0;
    }
    return !settings_row_is_equal(row, running, fresh);
}

static void compare_routes(const struct settings *running, const struct settings *fresh,
                           struct settings_changes *out)
{
    struct settings_table table = settings_route_table();
    if (running->route_count != fresh->route_count) {
        buf_printf(&out->live, "%sroutes", out->live.length > 0 ? ", " : "");
        return;
    }
    for (size_t i = 0; i < running->route_count; i++) {
        for (size_t k = 0; k < table.count; k++) {
            const struct settings_row *row = &table.rows[k];
            if (has_value(row) &&
                !settings_row_is_equal(row, &running->routes[i], &fresh->routes[i])) {
                buf_printf(&out->live, "%sroutes[%zu].%s", out->live.length > 0 ? ", " : "", i,
                           row->path);
            }
        }
    }
}

static void compare(const struct settings *running, const struct settings *fresh,
                    struct settings_changes *out)
{
    struct settings_table table = settings_main_table();
    for (size_t i = 0; i < table.count; i++) {
        const struct settings_row *row = &table.rows[i];
        if (has_value(row) && is_changed(row, running, fresh)) {
            struct buf *paths = row->reload == SETTINGS_LIVE ? &out->live : &out->restart;
            buf_printf(paths, "%s%s", paths->length > 0 ? ", " : "", row->path);
        }
    }
    compare_routes(running, fresh, out);
}

static void copy_bytes(const struct settings_row *row, void *to, const void *from)
{
    memcpy((char *)to + row->offset, (const char *)from + row->offset, settings_row_size(row));
}

/* What would be in use until the restart: the live values of the file beside the former values of
 * the others must be as good together as the file is. */
static enum status check_mixture(const char *path, const struct settings *running,
                                 const struct settings *fresh, struct settings_report *report)
{
    struct settings_table table = settings_main_table();
    struct settings mixture = *running; /* borrows all texts */
    struct settings_report found = {0};
    size_t place_count = table.count + (fresh->route_count + 1) * settings_route_table().count;
    struct settings_place *places = mem_zalloc(place_count, sizeof places[0]);
    for (size_t i = 0; i < table.count; i++) {
        if (has_value(&table.rows[i]) && table.rows[i].reload == SETTINGS_LIVE) {
            copy_bytes(&table.rows[i], &mixture, fresh);
        }
    }
    mixture.routes = fresh->routes;
    mixture.route_count = fresh->route_count;
    settings_check(&(struct settings_view){
        .settings = &mixture,
        .file = path,
        .places = places,
        .route_places = places + table.count,
        .report = &found,
    });
    enum status status = found.error_count == 0 ? STATUS_OK : STATUS_INVALID;
    if (status != STATUS_OK) {
        buf_append(&report->errors, buf_slice(&found.errors));
        report->error_count += found.error_count;
        settings_report_error(report, path, 0, "file",
                              "does not fit settings that change only at the next start; allowed: "
                              "a restart");
    }
    settings_report_fini(&found);
    free(places);
    return status;
}

enum status settings_load_again(const struct settings_source *source,
                                const struct settings *running, struct settings **out_fresh,
                                struct settings_changes *out_changes,
                                struct settings_report *report)
{
    struct settings *fresh = NULL;
    enum status status = settings_load_with(source->path, &source->options, &fresh, report);
    if (status != STATUS_OK) {
        return status;
    }
    compare(running, fresh, out_changes);
    if (out_changes->restart.length > 0) {
        status = check_mixture(source->path, running, fresh, report);
    }
    if (status != STATUS_OK) {
        settings_free(fresh);
        return status;
    }
    *out_fresh = fresh;
    return STATUS_OK;
}

void settings_exchange_live(struct settings *running, struct settings *fresh)
{
    struct settings_table table = settings_main_table();
    struct settings before = *running;
    for (size_t i = 0; i < table.count; i++) {
        if (has_value(&table.rows[i]) && table.rows[i].reload == SETTINGS_LIVE) {
            copy_bytes(&table.rows[i], running, fresh);
            copy_bytes(&table.rows[i], fresh, &before);
        }
    }
    running->routes = fresh->routes;
    running->route_count = fresh->route_count;
    fresh->routes = before.routes;
    fresh->route_count = before.route_count;
}

void settings_changes_fini(struct settings_changes *changes)
{
    buf_fini(&changes->live);
    buf_fini(&changes->restart);
}
