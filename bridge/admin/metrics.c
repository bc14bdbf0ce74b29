#include "pages.h"

#include "admin/server.h"

unsigned admin_page_metrics(const struct admin_options *options, struct buf *out)
{
    for (int i = 0; i < COUNTER_COUNT; i++) {
        const struct counter_info *info = counter_info((enum counter)i);
        buf_printf(out, "# HELP ecs_bridge_%s %s\n# TYPE ecs_bridge_%s %s\necs_bridge_%s ",
                   info->name, info->help, info->name,
                   info->kind == COUNTER_KIND_GAUGE ? "gauge" : "counter", info->name);
        buf_append_int(out, counter_get(options->counters, (enum counter)i));
        buf_append_char(out, '\n');
    }
    return 200;
}
