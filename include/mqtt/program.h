/*
 * mqtt_program - the executable of the MQTT processes (bridge/mqtt/main.c), found and opened once.
 *
 * It is looked for where the running binary is: `../libexec/ecs-mqtt-bridge/mqtt` from the binary's
 * folder, as installed, and then `libexec/ecs-mqtt-bridge/mqtt`, as in a build folder. Processes
 * are started from the open file. So after a package upgrade, a bridge that still runs starts the
 * executable that belongs to it.
 *
 * Thread: any. Fails with: STATUS_UNAVAILABLE, and a text for the user.
 */
#ifndef MQTT_PROGRAM_H
#define MQTT_PROGRAM_H

#include "base/buf.h"
#include "base/status.h"

#define MQTT_PROGRAM_PATH_BYTES 32

struct mqtt_program {
    int fd;                             /* -1: not open */
    char path[MQTT_PROGRAM_PATH_BYTES]; /* of the open file, to be executed by this process */
};

/* A program that is not open. */
#define MQTT_PROGRAM_CLOSED \
    {                       \
        .fd = -1            \
    }

/* STATUS_OK, or STATUS_UNAVAILABLE: what is wrong, with the path, is appended to `out_why`. */
enum status mqtt_program_open(struct mqtt_program *program, struct buf *out_why);
/* Processes that were started run on. A closed program stays closed. */
void mqtt_program_close(struct mqtt_program *program);
/* Has the executable print Paho's version as a line on standard output, and waits for it. False
 * where it cannot be executed. */
bool mqtt_program_print_version(const struct mqtt_program *program);

#endif
