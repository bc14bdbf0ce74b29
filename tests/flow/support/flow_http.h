/*
 * flow_http - one HTTP exchange with a server on 127.0.0.1. Wraps libcurl.
 */
#ifndef FLOW_HTTP_H
#define FLOW_HTTP_H

/* The HTTP status, 0 where no answer came. `body` may be NULL; *out_body is a string the caller
 * frees, never NULL. */
long http_exchange(int port, const char *method, const char *path, const char *body,
                   char **out_body);

#endif
