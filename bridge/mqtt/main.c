/*
 * The executable of the MQTT processes. The bridge starts it; its role is in argv[0], where `ps`
 * shows it, and the bridge's version in argv[1].
 */
#include "base/hardening.h"
#include "base/secret.h"
#include "mqtt/connection.h"
#include "mqtt/publisher.h"
#include "mqtt/receiver.h"
#include "process.h"

#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sysexits.h>

static const struct {
    const char *title;
    const char *name;
    int (*run)(void);
} ROLES[] = {
    {WIRE_RECEIVER_TITLE, "receiver", receiver_main},
    {WIRE_PUBLISHER_TITLE, "publisher", publisher_main},
};

/* Frames of another version may have other fields. */
static void check_version(const char *bridges)
{
    static struct process process = {.send_mutex = PTHREAD_MUTEX_INITIALIZER};
    static char text[160];
    if (strcmp(bridges, BRIDGE_VERSION) != 0) {
        snprintf(text, sizeof text,
                 "libexec/ecs-mqtt-bridge/mqtt is version %s, the bridge is version %.32s: install "
                 "both from the same build",
                 BRIDGE_VERSION, bridges);
        process_end_because(&process, WIRE_DOWN_INTERNAL, text);
    }
}

int main(int argc, char **argv)
{
    hardening_apply();
    secret_setup();
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("paho-mqtt %s\n", connection_library_version());
        return EX_OK;
    }
    for (size_t i = 0; argc == 2 && i < sizeof ROLES / sizeof ROLES[0]; i++) {
        if (strcmp(argv[0], ROLES[i].title) == 0) {
            prctl(PR_SET_NAME, ROLES[i].name);
            check_version(argv[1]);
            return ROLES[i].run();
        }
    }
    fputs("This program is a part of ecs-mqtt-bridge, which starts it for each MQTT connection.\n",
          stderr);
    return EX_USAGE;
}
