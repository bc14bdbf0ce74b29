/*
 * systemd - reports to the service manager that started the bridge: the protocol of sd_notify(3),
 * datagrams to $NOTIFY_SOCKET. Without that variable nothing is sent.
 *
 * As long as the loop runs, it sends the watchdog messages that $WATCHDOG_USEC asks for.
 *
 * Thread: the loop's. Fails with: nothing; a message that cannot be sent at once is dropped.
 */
#ifndef APP_SYSTEMD_H
#define APP_SYSTEMD_H

#include "base/loop.h"

struct systemd;

/* Removes both variables from the environment, so that programs started later do not get them. */
struct systemd *systemd_new(struct loop *loop);
/* Takes NULL. */
void systemd_free(struct systemd *systemd);
/* Sends lines "NAME=value": "READY=1", "STOPPING=1", "STATUS=...". */
void systemd_notify(const struct systemd *systemd, const char *lines);

#endif
