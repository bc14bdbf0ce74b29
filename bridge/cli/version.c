#include "admin/server.h"
#include "base/digest.h"
#include "base/loop.h"
#include "cli/cli.h"
#include "http/client.h"
#include "ledger/ledger.h"
#include "mqtt/program.h"

#include <stdio.h>
#include <sysexits.h>

static const struct cli_option OPTIONS[] = {{0}};

static const struct cli_usage USAGE = {
    .synopsis = "version",
    .about = "Prints the version and those of the libraries in use.",
    .options = OPTIONS,
};

int cli_version(int argc, char **argv)
{
    int code;
    if (!cli_read_options(&USAGE, argc, argv, NULL, &code)) {
        return code;
    }
    printf("ecs-mqtt-bridge %s\n", BRIDGE_VERSION);
#ifdef BRIDGE_CRASH_POINTS
    printf("debug build with crash points\n");
#endif
    printf("libcurl %s\nopenssl %s\nlibuv %s\nsqlite %s\nlibmicrohttpd %s\n",
           http_library_version(), digest_library_version(), loop_library_version(),
           ledger_library_version(), admin_library_version());
    fflush(stdout); /* the other executable goes on */
    struct mqtt_program program;
    struct buf why = {0};
    code = EX_OK;
    if (mqtt_program_open(&program, &why) != STATUS_OK) {
        fprintf(stderr, "ecs-mqtt-bridge version: %s\n", why.data);
        code = EX_UNAVAILABLE;
    } else if (!mqtt_program_print_version(&program)) {
        fprintf(stderr, "ecs-mqtt-bridge version: the executable of the MQTT processes failed\n");
        code = EX_UNAVAILABLE;
    }
    mqtt_program_close(&program);
    buf_fini(&why);
    return code;
}
