#include "support/broker.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

#define ARGUMENTS_MAX 48
#define STARTS_MAX    5

static struct sockaddr_in loopback(int port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int free_port(void)
{
    struct sockaddr_in address = loopback(0);
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static bool takes_connections(int port)
{
    struct sockaddr_in address = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_connected = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
    close(fd);
    return is_connected;
}

const char *broker_path(const struct broker *broker, const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", broker->directory, name);
    return path;
}

static void write_settings(const struct broker *broker)
{
    FILE *file = fopen(broker_path(broker, "mosquitto.conf"), "w");
    assert_non_null(file);
    /* As root it would change to a user who cannot read its directory. */
    fprintf(file, "listener %d 127.0.0.1\npersistence false\n%s%s\n", broker->port,
            geteuid() == 0 ? "user root\n" : "", broker->settings);
    fclose(file);
}

/* Starts a program that ends with the test; its output goes to `out_fd` (-1: unchanged). */
static pid_t run(const char *program, char *const *argv, int out_fd)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (out_fd >= 0) {
            dup2(out_fd, STDOUT_FILENO);
        }
        execvp(program, argv);
        _exit(127);
    }
    return pid;
}

/* False if it ended instead: another process took the port. */
static bool wait_ready(struct broker *broker)
{
    while (!takes_connections(broker->port)) {
        int status;
        if (waitpid(broker->pid, &status, WNOHANG) == broker->pid) {
            broker->pid = 0;
            return false;
        }
        /* It does not report when it is ready, so the port is polled. */
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    return true;
}

static bool try_start(struct broker *broker)
{
    write_settings(broker);
    char path[256];
    snprintf(path, sizeof path, "%s", broker_path(broker, "mosquitto.conf"));
    int log =
        open(broker_path(broker, "mosquitto.log"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    char *argv[] = {(char *)"mosquitto", (char *)"-c", path, NULL};
    const char *program =
        access("/usr/sbin/mosquitto", X_OK) == 0 ? "/usr/sbin/mosquitto" : argv[0];
    int errors = dup(STDERR_FILENO);
    dup2(log, STDERR_FILENO);
    broker->pid = run(program, argv, log);
    dup2(errors, STDERR_FILENO);
    close(errors);
    close(log);
    return wait_ready(broker);
}

void broker_start(struct broker *broker, const char *settings)
{
    *broker = (struct broker){.directory = "/tmp/broker-XXXXXX"};
    broker->settings = mem_strdup(settings == NULL ? "allow_anonymous true" : settings);
    assert_non_null(mkdtemp(broker->directory));
    for (int i = 0; i < STARTS_MAX; i++) {
        broker->port = free_port();
        if (try_start(broker)) {
            return;
        }
    }
    fail_msg("mosquitto does not start");
}

void broker_kill(struct broker *broker)
{
    if (broker->pid > 0) {
        kill(broker->pid, SIGKILL);
        waitpid(broker->pid, NULL, 0);
        broker->pid = 0;
    }
}

void broker_restart(struct broker *broker)
{
    assert_true(try_start(broker));
}

void broker_stop(struct broker *broker)
{
    broker_kill(broker);
    unlink(broker_path(broker, "mosquitto.conf"));
    unlink(broker_path(broker, "mosquitto.log"));
    rmdir(broker->directory);
    free(broker->settings);
    *broker = (struct broker){0};
}

static pid_t run_client(const struct broker *broker, const char *program,
                        const char *const *arguments, int out_fd)
{
    char port[16];
    snprintf(port, sizeof port, "%d", broker->port);
    const char *argv[ARGUMENTS_MAX] = {"stdbuf", "-oL", program, "-h", "127.0.0.1", "-p", port};
    size_t count = 7;
    for (size_t i = 0; arguments[i] != NULL; i++) {
        assert_true(count < ARGUMENTS_MAX - 1);
        argv[count++] = arguments[i];
    }
    argv[count] = NULL;
    return run(argv[0], (char *const *)argv, out_fd);
}

void broker_publish(const struct broker *broker, const char *const *arguments)
{
    int status = -1;
    pid_t pid = run_client(broker, "mosquitto_pub", arguments, -1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

pid_t broker_subscribe(const struct broker *broker, const char *const *arguments, int *out_fd)
{
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    const char *verbose[ARGUMENTS_MAX] = {"-d"};
    for (size_t i = 0; arguments[i] != NULL; i++) {
        verbose[i + 1] = arguments[i];
    }
    pid_t pid = run_client(broker, "mosquitto_sub", verbose, fds[1]);
    close(fds[1]);
    struct buf line = {0};
    do {
        assert_true(broker_read_line(fds[0], &line, 10000));
    } while (strncmp(line.data, "Subscribed", 10) != 0);
    buf_fini(&line);
    *out_fd = fds[0];
    return pid;
}

bool broker_read_line(int fd, struct buf *line, int timeout_ms)
{
    buf_clear(line);
    for (;;) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        char c;
        if (poll(&ready, 1, timeout_ms) != 1 || read(fd, &c, 1) != 1) {
            return false;
        }
        if (c == '\n') {
            return true;
        }
        buf_append_char(line, c);
    }
}

void broker_unsubscribe(pid_t pid, int fd)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(fd);
}
