/*
 * systemd - words to the service manager that started the bridge: sd_notify(3)'s protocol,
 * datagrams to $NOTIFY_SOCKET. Without that variable nothing is said.
 *
 * While the loop turns, $WATCHDOG_USEC is obeyed by itself.
 *
 * Thread: the loop's. Fails with: nothing; a manager that does not listen is not waited for.
 */
#ifndef APP_SYSTEMD_H
#define APP_SYSTEMD_H

#include "base/loop.h"

struct systemd;

/* Takes both variables out of the environment: they are not for programs started later. */
struct systemd *systemd_new(struct loop *loop);
/* Takes NULL. */
void systemd_free(struct systemd *systemd);
/* Lines "NAME=value": "READY=1", "STOPPING=1", "STATUS=...". */
void systemd_notify(const struct systemd *systemd, const char *lines);

#endif
