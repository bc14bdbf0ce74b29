/*
 * flow_manager - the socket of a service manager, for what a bridge reports to it (sd_notify(3)).
 */
#ifndef FLOW_MANAGER_H
#define FLOW_MANAGER_H

#include "flow_fixture.h"

#include <sys/un.h>

struct manager {
    int fd; /* the caller closes it */
    struct sockaddr_un address;
};

struct manager manager_new(struct fixture *fixture);
/* Receives messages until one contains the text. */
void manager_expect(const struct manager *manager, const char *text);

#endif
