/* Values that are derived from the settings. */
#include "settings/settings.h"

#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

enum log_level settings_log_level(const struct settings *settings)
{
    static const char *const names[] = {
        [LOG_LEVEL_ERROR] = "error",
        [LOG_LEVEL_WARN] = "warn",
        [LOG_LEVEL_INFO] = "info",
        [LOG_LEVEL_DEBUG] = "debug",
    };
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(settings->log.level, names[i]) == 0) {
            return (enum log_level)i;
        }
    }
    assert(false && "a log level that is not in the table");
    return LOG_LEVEL_INFO;
}

char *settings_password_path(const struct settings *settings)
{
    if (settings->broker.password_file[0] != '\0') {
        return mem_strdup(settings->broker.password_file);
    }
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    if (folder == NULL || folder[0] == '\0') {
        return NULL;
    }
    struct buf path = {0};
    buf_printf(&path, "%s/mqtt-password", folder);
    /* A file that exists but cannot be read is returned as well: reading it then gives an error. */
    if (access(path.data, F_OK) != 0) {
        buf_fini(&path);
        return NULL;
    }
    return buf_take(&path);
}
