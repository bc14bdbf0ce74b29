/*
 * documents - writes the pages and files that are made from the tables, into the folder config/ it
 * is given.
 *
 * `cmake --build BUILD_DIR --target documents` after a change to the tables; tests fail where they
 * differ.
 */
#include "documents.h"

#include "settings/settings.h"

#include <stdio.h>
#include <sysexits.h>

struct document {
    const char *name;
    void (*render)(struct buf *out);
};

static const struct document DOCUMENTS[] = {
    {"settings.md", settings_page},
    {"ecs-mqtt-bridge.conf", settings_example},
    {"errors.md", errors_page},
    {"events.md", events_page},
    {"metrics.md", metrics_page},
    {"schema/command.json", command_schema},
    {"schema/reply.json", reply_schema},
    {"schema/status.json", status_schema},
    {"schema/dead-letter.json", dead_letter_schema},
    {"schema/event.json", event_schema},
};

static int write_document(const char *folder, const struct document *document)
{
    struct buf path = {0};
    struct buf text = {0};
    buf_printf(&path, "%s/%s", folder, document->name);
    document->render(&text);
    FILE *file = fopen(path.data, "w");
    bool is_written = file != NULL && fwrite(text.data, 1, text.length, file) == text.length;
    if (file != NULL) {
        is_written = fclose(file) == 0 && is_written;
    }
    if (!is_written) {
        perror(path.data);
    }
    buf_fini(&path);
    buf_fini(&text);
    return is_written ? EX_OK : EX_CANTCREAT;
}

int main(int argc, char **argv)
{
    int code = argc == 2 ? EX_OK : EX_USAGE;
    for (size_t i = 0; i < sizeof DOCUMENTS / sizeof DOCUMENTS[0] && code == EX_OK; i++) {
        code = write_document(argv[1], &DOCUMENTS[i]);
    }
    return code;
}
