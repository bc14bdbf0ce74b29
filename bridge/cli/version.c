#include "admin/server.h"
#include "base/digest.h"
#include "base/loop.h"
#include "cli/cli.h"
#include "http/client.h"
#include "ledger/ledger.h"
#include "mqtt/connection.h"

#include <stdio.h>
#include <sysexits.h>

static const struct cli_option OPTIONS[] = {{0}};

static const struct cli_usage USAGE = {
    .synopsis = "version",
    .about = "Prints the version and those of the libraries in use.",
    .options = OPTIONS,
};

int cli_version(const struct cli_context *context, int argc, char **argv)
{
    int code;
    (void)context;
    if (!cli_read_options(&USAGE, argc, argv, NULL, &code)) {
        return code;
    }
    printf("ecs-mqtt-bridge %s\n", BRIDGE_VERSION);
#ifdef BRIDGE_CRASH_POINTS
    printf("debug build with crash points\n");
#endif
    printf("paho-mqtt %s\nlibcurl %s\nopenssl %s\nlibuv %s\nsqlite %s\nlibmicrohttpd %s\n",
           connection_library_version(), http_library_version(), digest_library_version(),
           loop_library_version(), ledger_library_version(), admin_library_version());
    return EX_OK;
}
