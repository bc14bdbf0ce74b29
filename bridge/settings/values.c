/* Values that are derived from the settings. */
#include "settings/settings.h"

#include "base/mem.h"
#include "settings/store_uri.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

enum log_level settings_log_level(const struct settings *settings)
{
    enum log_level level = LOG_LEVEL_INFO;
    bool is_known = log_level_read(slice_text(settings->log.level), &level);
    assert(is_known);
    return level;
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

bool settings_is_shared(const struct settings *settings)
{
    return store_uri_is_shared(settings->ledger.store);
}

bool settings_warns_of_loss(const struct settings *settings)
{
    return strcmp(settings->ledger.durability, "full") == 0 &&
           strcmp(settings->ledger.failover, "strict") == 0;
}

/* The first of the directories that systemd gives a service, without the colon behind it. */
static struct slice service_directory(void)
{
    static const char *const names[] = {"RUNTIME_DIRECTORY", "STATE_DIRECTORY"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = getenv(names[i]);
        if (value != NULL && value[0] != '\0') {
            return slice_of(value, strcspn(value, ":"));
        }
    }
    return slice_text(".");
}

char *settings_control_path(const struct settings *settings)
{
    static const char sqlite[] = "sqlite:";
    const char *path = settings->control.socket;
    const char *store = settings->ledger.store;
    struct buf beside = {0};
    if (strcmp(path, "none") == 0) {
        return NULL;
    }
    if (path[0] != '\0') {
        return mem_strdup(path);
    }
    if (settings_is_shared(settings)) {
        buf_append(&beside, service_directory());
        buf_append_text(&beside, "/ecs-mqtt-bridge.sock");
        return buf_take(&beside);
    }
    bool is_file = strncmp(store, sqlite, strlen(sqlite)) == 0;
    buf_printf(&beside, "%s.sock", is_file ? store + strlen(sqlite) : store);
    return buf_take(&beside);
}
