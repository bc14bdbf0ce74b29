#include "mqtt/program.h"

#include "mqtt/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOCATION "/libexec/ecs-mqtt-bridge/mqtt"

/* Opens a file that may be executed; -1 with errno. */
static int open_executable(const char *path)
{
    int fd = access(path, X_OK) == 0 ? open(path, O_PATH | O_CLOEXEC) : -1;
    if (fd < 0) {
        return -1;
    }
    /* A process that is started gets its sockets and files under the numbers below this one, before
     * the executable is looked up by the number of its descriptor. */
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, WIRE_TLS_FD + WIRE_TLS_FD_COUNT);
    int error = errno;
    close(fd);
    errno = error;
    return moved;
}

/* Cuts the path before its last slash. */
static void cut_last_part(char *path)
{
    char *slash = strrchr(path, '/');
    if (slash != NULL) {
        *slash = '\0';
    }
}

enum status mqtt_program_open(struct mqtt_program *program, struct buf *out_why)
{
    char folder[PATH_MAX];
    struct buf installed = {0};
    struct buf built = {0};
    *program = (struct mqtt_program)MQTT_PROGRAM_CLOSED;
    ssize_t length = readlink("/proc/self/exe", folder, sizeof folder - 1);
    folder[length > 0 ? length : 0] = '\0';
    cut_last_part(folder);
    buf_printf(&built, "%s" LOCATION, folder);
    cut_last_part(folder);
    buf_printf(&installed, "%s" LOCATION, folder);
    program->fd = open_executable(installed.data);
    if (program->fd < 0 && errno == ENOENT) {
        program->fd = open_executable(built.data);
    }
    if (program->fd < 0) {
        buf_printf(
            out_why,
            "%s: %s; ecs-mqtt-bridge needs this executable for its MQTT connections: install "
            "the bridge again, with all of its files",
            installed.data, strerror(errno));
    } else {
        snprintf(program->path, sizeof program->path, "/proc/self/fd/%d", program->fd);
    }
    buf_fini(&installed);
    buf_fini(&built);
    return program->fd < 0 ? STATUS_UNAVAILABLE : STATUS_OK;
}

void mqtt_program_close(struct mqtt_program *program)
{
    if (program->fd >= 0) {
        close(program->fd);
    }
    *program = (struct mqtt_program)MQTT_PROGRAM_CLOSED;
}

bool mqtt_program_print_version(const struct mqtt_program *program)
{
    char *argv[] = {"mqtt", "--version", NULL};
    char *no_environment[] = {NULL};
    pid_t pid;
    int status;
    return posix_spawn(&pid, program->path, NULL, NULL, argv, no_environment) == 0 &&
           waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
