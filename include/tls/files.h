/*
 * tls_files - the files that make up one side's TLS identity, read and checked as a whole.
 *
 * They are read once and kept, so that what is on the disk counts when it is loaded and at no other
 * time: a certificate that was replaced while its key was not yet cannot break a connection.
 *
 * Thread: one at a time; a loaded one may be read by any.
 */
#ifndef TLS_FILES_H
#define TLS_FILES_H

#include "base/buf.h"
#include "base/secret.h"
#include "base/slice.h"
#include "base/status.h"
#include "settings/settings.h"

#include <stdint.h>

struct tls_files {
    struct secret ca_pem; /* each not set where there is none */
    struct secret cert_pem;
    struct secret key_pem; /* the certificate's file where that holds the key */
    struct secret key_password;
    const char *ca_path; /* the settings'; "" for none */
};

/* What is to be said about them, a line each: "api.key_file: /etc/key.pem: what is wrong". */
struct tls_report {
    struct buf errors;   /* cannot be used */
    struct buf outdated; /* can be used, but the far side will refuse it: expired, not yet valid */
    struct buf warnings; /* ends soon */
};

/*
 * Loads the broker's or the API's files; `now_ms` is the wall clock. STATUS_INVALID where
 * report->errors has got a line; *out_files is to be given up in either case. `settings` must
 * outlive it.
 */
enum status tls_files_load_broker(struct tls_files *out_files, const struct settings *settings,
                                  int64_t now_ms, struct tls_report *report);
enum status tls_files_load_api(struct tls_files *out_files, const struct settings *settings,
                               int64_t now_ms, struct tls_report *report);
/* Wipes and frees. */
void tls_files_fini(struct tls_files *files);
void tls_report_fini(struct tls_report *report);

/* A file's bytes, absent where there is none. */
static inline struct slice tls_files_slice(const struct secret *file)
{
    return secret_is_set(file) ? secret_slice(file) : (struct slice){0};
}

#endif
