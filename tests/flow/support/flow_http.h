/*
 * flow_http - one HTTP exchange with a server on 127.0.0.1. Wraps libcurl.
 */
#ifndef FLOW_HTTP_H
#define FLOW_HTTP_H

/* Returns the HTTP status, 0 without an answer. `body` may be NULL. *out_body is never NULL; the
 * caller frees it. */
long http_exchange(int port, const char *method, const char *path, const char *body,
                   char **out_body);

#endif
