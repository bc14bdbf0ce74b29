#include "tls/files.h"

#include "base/clock.h"
#include "base/mem.h"
#include "x509.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES_MAX (4u << 20) /* the system's bundle of authorities has 0.2 MiB */
#define SOON_MS        (INT64_C(14) * 24 * 3600 * 1000)

/* The paths in the settings. */
struct places {
    const char *group; /* "api." */
    const char *ca_file;
    const char *ca_path;
    const char *cert_file;
    const char *key_file;
    const char *key_password_file;
};

static void report_problem(struct buf *out, const struct places *places, const char *key,
                           const char *path, const char *what)
{
    buf_printf(out, "%s%s: %s: %s\n", places->group, key, path, what);
}

static int read_file(const char *path, struct secret *out)
{
    struct stat info;
    /* O_NONBLOCK: open() of a named pipe would block. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return errno;
    }
    int problem = fstat(fd, &info) != 0 ? errno : S_ISREG(info.st_mode) ? 0 : EINVAL;
    if (problem == 0 && info.st_size > FILE_BYTES_MAX) {
        problem = EFBIG;
    }
    if (problem == 0) {
        problem = secret_read_fd(out, fd, (size_t)info.st_size);
    }
    close(fd);
    return problem;
}

/* True if the file was read, or none is configured. */
static bool load_file(const struct places *places, const char *key, const char *path,
                      struct secret *out, struct tls_report *report)
{
    int problem = path[0] == '\0' ? 0 : read_file(path, out);
    if (problem != 0) {
        struct buf what = {0};
        buf_printf(&what, "cannot be read: %s",
                   problem == EINVAL ? "it is not a regular file" : strerror(problem));
        report_problem(&report->errors, places, key, path, what.data);
        buf_fini(&what);
    }
    return problem == 0;
}

static void report_time(struct buf *out, const struct places *places, const char *key,
                        const char *path, const char *what, int64_t at_ms)
{
    char at[CLOCK_TEXT_BYTES];
    struct buf text = {0};
    clock_format_ms(at_ms, at);
    buf_printf(&text, "%s %s", what, at);
    report_problem(out, places, key, path, text.data);
    buf_fini(&text);
}

static void check_term(const struct places *places, const char *key, const char *path,
                       const struct x509_term *term, int64_t now_ms, struct tls_report *report)
{
    if (term->ends_ms <= now_ms) {
        report_time(&report->outdated, places, key, path, "the certificate expired on",
                    term->ends_ms);
    } else if (term->begins_ms > now_ms) {
        report_time(&report->outdated, places, key, path,
                    "the certificate is not yet valid; it begins on", term->begins_ms);
    } else if (term->ends_ms - now_ms < SOON_MS) {
        report_time(&report->warnings, places, key, path, "the certificate expires soon, on",
                    term->ends_ms);
    }
}

static void check_directory(const struct places *places, struct tls_report *report)
{
    const char *path = places->ca_path;
    bool has_any = false;
    struct dirent *entry;
    DIR *directory = path[0] == '\0' ? NULL : opendir(path);
    while (directory != NULL && !has_any && (entry = readdir(directory)) != NULL) {
        /* `openssl rehash` names a file with eight hexadecimal digits, a dot and a number. */
        const char *name = entry->d_name;
        has_any = strspn(name, "0123456789abcdefABCDEF") == 8 && name[8] == '.' &&
                  isdigit((unsigned char)name[9]);
    }
    if (path[0] != '\0' && directory == NULL) {
        struct buf what = {0};
        buf_printf(&what, "cannot be read: %s", strerror(errno));
        report_problem(&report->errors, places, "ca_path", path, what.data);
        buf_fini(&what);
    } else if (directory != NULL && !has_any) {
        report_problem(&report->errors, places, "ca_path", path,
                       "holds no certificate under a hashed name; run: openssl rehash");
    }
    if (directory != NULL) {
        closedir(directory);
    }
}

static void load_authorities(const struct places *places, struct tls_files *out, int64_t now_ms,
                             struct tls_report *report)
{
    struct x509_term term;
    struct buf why = {0};
    check_directory(places, report);
    if (!load_file(places, "ca_file", places->ca_file, &out->ca_pem, report) ||
        !secret_is_set(&out->ca_pem)) {
        return;
    }
    if (x509_check_authorities(secret_slice(&out->ca_pem), &term, &why) == STATUS_OK) {
        out->ca_expires_ms = term.ends_ms;
        check_term(places, "ca_file", places->ca_file, &term, now_ms, report);
    } else {
        report_problem(&report->errors, places, "ca_file", places->ca_file, why.data);
    }
    buf_fini(&why);
}

static void load_identity(const struct places *places, struct tls_files *out, int64_t now_ms,
                          struct tls_report *report)
{
    struct x509_term term;
    struct buf why = {0};
    const char *key_file = places->key_file[0] == '\0' ? places->cert_file : places->key_file;
    const char *key_name = places->key_file[0] == '\0' ? "cert_file" : "key_file";
    if (places->cert_file[0] == '\0') {
        return;
    }
    bool has_cert = load_file(places, "cert_file", places->cert_file, &out->cert_pem, report);
    if (has_cert && x509_check_chain(secret_slice(&out->cert_pem), &term, &why) != STATUS_OK) {
        report_problem(&report->errors, places, "cert_file", places->cert_file, why.data);
        has_cert = false;
    }
    if (has_cert) {
        out->cert_expires_ms = term.ends_ms;
        check_term(places, "cert_file", places->cert_file, &term, now_ms, report);
    }
    bool has_password = load_file(places, "key_password_file", places->key_password_file,
                                  &out->key_password, report);
    secret_drop_line_end(&out->key_password);
    if (load_file(places, key_name, key_file, &out->key_pem, report) && has_cert && has_password &&
        x509_check_key(secret_slice(&out->key_pem), tls_files_slice(&out->key_password),
                       secret_slice(&out->cert_pem), &why) != STATUS_OK) {
        report_problem(&report->errors, places, key_name, key_file, why.data);
    }
    buf_fini(&why);
}

static enum status load(struct tls_files *out, const struct places *places, int64_t now_ms,
                        struct tls_report *report)
{
    size_t errors_before = report->errors.length;
    *out = (struct tls_files){.ca_path = places->ca_path};
    load_authorities(places, out, now_ms, report);
    load_identity(places, out, now_ms, report);
    return report->errors.length == errors_before ? STATUS_OK : STATUS_INVALID;
}

enum status tls_files_load_broker(struct tls_files *out_files, const struct settings *settings,
                                  int64_t now_ms, struct tls_report *report)
{
    const struct places places = {
        .group = "broker.tls.",
        .ca_file = settings->broker.tls.ca_file,
        .ca_path = settings->broker.tls.ca_path,
        .cert_file = settings->broker.tls.cert_file,
        .key_file = settings->broker.tls.key_file,
        .key_password_file = settings->broker.tls.key_password_file,
    };
    return load(out_files, &places, now_ms, report);
}

enum status tls_files_load_api(struct tls_files *out_files, const struct settings *settings,
                               int64_t now_ms, struct tls_report *report)
{
    const struct places places = {
        .group = "api.",
        .ca_file = settings->api.ca_file,
        .ca_path = settings->api.ca_path,
        .cert_file = settings->api.cert_file,
        .key_file = settings->api.key_file,
        .key_password_file = settings->api.key_password_file,
    };
    return load(out_files, &places, now_ms, report);
}

void tls_files_fini(struct tls_files *files)
{
    secret_fini(&files->ca_pem);
    secret_fini(&files->cert_pem);
    secret_fini(&files->key_pem);
    secret_fini(&files->key_password);
    *files = (struct tls_files){0};
}

void tls_report_fini(struct tls_report *report)
{
    buf_fini(&report->errors);
    buf_fini(&report->outdated);
    buf_fini(&report->warnings);
}
