/*
 * broker - a mosquitto for one test: a free port on loopback, a temporary directory, stopped by its
 * process id.
 *
 * Thread: one at a time. Fails the test (cmocka) if the broker cannot be started.
 */
#ifndef TESTS_SUPPORT_BROKER_H
#define TESTS_SUPPORT_BROKER_H

#include "base/buf.h"

#include <stdbool.h>
#include <sys/types.h>

struct broker {
    char directory[64];
    int port;
    pid_t pid; /* 0: not running */
    char *settings;
};

/* `settings` are lines added to its configuration file; NULL allows anonymous clients. Returns when
 * it accepts connections. */
void broker_start(struct broker *broker, const char *settings);
/* Kills it (SIGKILL); broker_restart() starts it on the same port, without its previous state. */
void broker_kill(struct broker *broker);
void broker_restart(struct broker *broker);
/* Stops it and removes its directory. */
void broker_stop(struct broker *broker);
/* A path in its directory; the text is valid until the next call. */
const char *broker_path(const struct broker *broker, const char *name);

/* Runs mosquitto_pub against it with these further arguments (NULL-terminated) and waits for its
 * end. */
void broker_publish(const struct broker *broker, const char *const *arguments);
/* Starts mosquitto_sub with these further arguments, returns when it has subscribed; its output is
 * read from *out_fd. */
pid_t broker_subscribe(const struct broker *broker, const char *const *arguments, int *out_fd);
/* Reads a line of a subscriber without its line end; false after `timeout_ms`. */
bool broker_read_line(int fd, struct buf *line, int timeout_ms);
/* Ends a subscriber. */
void broker_unsubscribe(pid_t pid, int fd);

#endif
