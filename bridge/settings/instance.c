/*
 * The name of the instance, and the client id, which is made of it.
 */
#include "table.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INSTANCE_MARK "{Instance}"

static void fill_client_id(struct settings *settings)
{
    struct buf client_id = {0};
    const char *text = settings->client_id_template;
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

void settings_set_instance(struct settings *settings, const char *instance)
{
    char *copy = mem_strdup(instance); /* may be its own */
    free(settings->instance);
    settings->instance = copy;
    fill_client_id(settings);
}

/* Before {Instance} is filled in. With the login of ApsaraMQ it has a form of its own. */
static char *client_id_template(const struct settings *settings)
{
    struct buf text = {0};
    if (settings->broker.apsaramq.instance_id[0] == '\0') {
        return mem_strdup(settings->broker.client_id);
    }
    buf_printf(&text, "%s@@@%s", settings->broker.apsaramq.group_id,
               settings->broker.apsaramq.device_id);
    return buf_take(&text);
}

/* `given`: broker.client_id as it was read, which must not contradict the login of ApsaraMQ. */
static void check_client_id(const struct settings_view *view, const char *given)
{
    const struct settings *settings = view->settings;
    const struct settings_table table = settings_main_table();
    const struct settings_row *row = settings_row_find(table, "broker.client_id");
    const struct settings_place *place = &view->places[row - table.rows];
    if (place->is_given && strcmp(given, settings->client_id_template) != 0 &&
        strcmp(given, settings->broker.client_id) != 0) {
        settings_report_error(view->report, view->file, place->line, row->path,
                              "is not the client id of broker.apsaramq; allowed: no client_id, "
                              "since it is made of group_id and device_id (%s)",
                              settings->broker.client_id);
    }
}

void settings_fill_instance(struct settings *settings, const struct settings_view *view)
{
    char host[256] = "";
    settings->is_instance_host_name = settings->instance[0] == '\0';
    if (settings->is_instance_host_name &&
        (gethostname(host, sizeof host - 1) != 0 || host[0] == '\0')) {
        snprintf(host, sizeof host, "localhost");
    }
    char *given = mem_strdup(settings->broker.client_id);
    settings->client_id_template = client_id_template(settings);
    settings_set_instance(settings, settings->is_instance_host_name ? host : settings->instance);
    check_client_id(view, given);
    free(given);
}
