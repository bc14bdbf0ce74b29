/*
 * host - which Host header a request may have.
 *
 * A web page of somebody else can have its own name resolve to this machine (DNS rebinding) and
 * then read what the endpoint answers. Its requests have that name as their Host. So a page with
 * data is only shown to requests whose Host is an IP address, localhost, or the name in
 * admin.listen.
 *
 * Thread: any; pure.
 */
#ifndef ADMIN_HOST_H
#define ADMIN_HOST_H

#include "base/slice.h"

#include <stdbool.h>

/* `host` is the header's value; absent: the request has none, so no browser sent it. `listen` is
 * admin.listen. The port does not matter: it may be a forwarded one. */
bool host_is_allowed(struct slice host, struct slice listen);

#endif
