/*
 * tls_files - the TLS files for the broker or the API (authorities, certificate, key, password),
 * loaded and checked together.
 *
 * They are read once and used from memory: a new certificate on the disk whose key is not there yet
 * cannot break a connection.
 *
 * Thread: any; loaded files may be read by several threads.
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
    struct secret ca_pem; /* each is not set if the settings name none */
    struct secret cert_pem;
    struct secret key_pem; /* the certificate's file if that contains the key */
    struct secret key_password;
    const char *ca_path;     /* points into the settings; "": none */
    int64_t ca_expires_ms;   /* wall clock: of the authority that expires last; 0: none is loaded */
    int64_t cert_expires_ms; /* of the certificate; 0: none is loaded */
};

/* Problems found, one on each line: "api.key_file: /etc/key.pem: what is wrong". */
struct tls_report {
    struct buf errors;   /* the file cannot be used */
    struct buf outdated; /* it can, but it has expired or is not valid yet: likely to be refused */
    struct buf warnings; /* it expires soon */
};

/*
 * Loads the files of the broker or the API; `now_ms` is the wall clock. STATUS_INVALID if
 * report->errors has a new line. Free *out_files in both cases. `settings` must outlive it.
 */
enum status tls_files_load_broker(struct tls_files *out_files, const struct settings *settings,
                                  int64_t now_ms, struct tls_report *report);
enum status tls_files_load_api(struct tls_files *out_files, const struct settings *settings,
                               int64_t now_ms, struct tls_report *report);
/* Wipes and frees. */
void tls_files_fini(struct tls_files *files);
void tls_report_fini(struct tls_report *report);

/* A file's bytes, absent if there is none. */
static inline struct slice tls_files_slice(const struct secret *file)
{
    return secret_is_set(file) ? secret_slice(file) : (struct slice){0};
}

#endif
