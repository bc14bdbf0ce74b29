#include "store.h"

#include "ledger/postgres/postgres.h"
#include "ledger/sqlite/sqlite.h"
#include "settings/store_uri.h"

#include <string.h>

enum status store_choose(const char *setting, const struct store_ops **out_ops,
                         const char **out_location, struct buf *out_why)
{
    static const char SQLITE[] = "sqlite:";
#ifdef WITH_POSTGRESQL
    if (store_uri_is_shared(setting)) {
        *out_ops = &store_postgres_ops;
        *out_location = setting;
        return STATUS_OK;
    }
#endif
    if (strncmp(setting, SQLITE, sizeof SQLITE - 1) != 0 || setting[sizeof SQLITE - 1] == '\0') {
        buf_append_text(out_why, "ledger.store = \"");
        store_uri_mask(setting, out_why);
#ifdef WITH_POSTGRESQL
        buf_append_text(out_why, "\" is no store this bridge knows: use \"sqlite:PATH\" or "
                                 "\"postgresql://USER@HOST/DATABASE\"");
#else
        buf_append_text(out_why, "\" is no store this bridge knows: use \"sqlite:PATH\"");
#endif
        return STATUS_INVALID;
    }
    *out_ops = &store_sqlite_ops;
    *out_location = setting + sizeof SQLITE - 1;
    return STATUS_OK;
}
