#include "check_online.h"

#include "base/buf.h"
#include "ledger/move.h"

#include <inttypes.h>
#include <stdio.h>
#include <sysexits.h>

int check_ledger(const struct settings *settings)
{
    struct buf why = {0};
    int64_t version = 0;
    bool is_synchronous = true;
    if (!settings_is_shared(settings)) {
        return EX_OK;
    }
    enum status status = ledger_look(settings->ledger.store, settings->ledger.password_file,
                                     &version, &is_synchronous, &why);
    if (status != STATUS_OK) {
        fprintf(stderr, "ledger: %s\n", why.data);
    } else if (version == 0) {
        printf("ledger: connected; a bridge makes the tables at its start\n");
    } else {
        printf("ledger: connected; the tables have version %" PRId64 "\n", version);
    }
    if (status == STATUS_OK && !is_synchronous && settings_warns_of_loss(settings)) {
        fprintf(stderr, "ledger: the server has no synchronous standby (synchronous_standby_names):"
                        " a fail-over can lose the last commands. To accept that, set"
                        " ledger.failover = \"loss-accepted\"\n");
    }
    buf_fini(&why);
    if (status == STATUS_OK) {
        return EX_OK;
    }
    return status == STATUS_UNAVAILABLE ? EX_UNAVAILABLE : EX_CONFIG;
}
