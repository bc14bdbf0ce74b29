/*
 * flow_tls - a temporary authority, certificates of every kind, and a TLS front for servers that
 * use plain TCP.
 *
 * Wraps OpenSSL. The files are PEM, in a directory of the test. Fails the running test if something
 * cannot be made.
 */
#ifndef FLOW_TLS_H
#define FLOW_TLS_H

#include <stdbool.h>
#include <sys/types.h>

enum { TLS_PATH_BYTES = 192 };

struct tls_authority;

/* Makes an authority: its certificate is <directory>/<name>.pem. */
struct tls_authority *tls_authority_new(const char *directory, const char *name);
/* Takes NULL. */
void tls_authority_free(struct tls_authority *authority);

struct tls_subject {
    const char *name;     /* of the files: <name>.pem and <name>.key */
    const char *alt;      /* subjectAltName, as "IP:127.0.0.1,DNS:localhost" */
    int begins_s;         /* seconds from now; 0 is an hour ago */
    int ends_s;           /* seconds from now; 0 is in a year */
    const char *password; /* encrypts the key; NULL for none */
};

/* Issues a certificate; existing files are replaced, the key has mode 0600. */
void tls_issue(const struct tls_authority *authority, const struct tls_subject *subject);

/* What a front presents and requires; the files are read again for every connection. */
struct tls_front_options {
    int target;       /* the plain server's port */
    const char *cert; /* <cert>.pem, <cert>.key in the directory */
    const char *
        client; /* authority of the client certificates; NULL: no client certificate is requested */
    int version; /* 0x0301 is TLS 1.0, 0x0302 1.1 ...: only this version; 0 for 1.2 and newer */
    const char *alpn; /* the only protocol it accepts; NULL: no ALPN */
};

struct tls_front {
    pid_t pid;
    int port;
    char log[TLS_PATH_BYTES]; /* one line for each connection: "tls TLSv1.3 alpn mqtt client yes" */
};

/* Starts a process that accepts TLS on a port of 127.0.0.1 and forwards to the target. */
void tls_front_start(struct tls_front *front, const char *directory,
                     const struct tls_front_options *options);
/* Takes {0}. */
void tls_front_stop(struct tls_front *front);

#endif
