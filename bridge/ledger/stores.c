#include "store.h"

#include "ledger/sqlite/sqlite.h"
#include "settings/store_uri.h"

#include <string.h>

enum status store_choose(const char *setting, const struct store_ops **out_ops,
                         const char **out_location, struct buf *out_why)
{
    static const char SQLITE[] = "sqlite:";
    if (strncmp(setting, SQLITE, sizeof SQLITE - 1) != 0 || setting[sizeof SQLITE - 1] == '\0') {
        buf_append_text(out_why, "ledger.store = \"");
        store_uri_mask(setting, out_why);
        buf_append_text(out_why, "\" is no store this bridge knows: use \"sqlite:PATH\"");
        return STATUS_INVALID;
    }
    *out_ops = &store_sqlite_ops;
    *out_location = setting + sizeof SQLITE - 1;
    return STATUS_OK;
}
