#include "check_files.h"

#include "base/buf.h"
#include "base/mem.h"
#include "ledger/ledger.h"
#include "mqtt/broker_login.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void print_line(const struct check *check, const char *kind, const char *key,
                       const char *format, va_list arguments) __attribute__((format(printf, 4, 0)));

static void print_line(const struct check *check, const char *kind, const char *key,
                       const char *format, va_list arguments)
{
    struct buf text = {0};
    buf_vprintf(&text, format, arguments);
    fprintf(stderr, "%s%s: %s: %s\n", kind, check->path, key, text.data);
    buf_fini(&text);
}

void check_error(struct check *check, const char *key, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_line(check, "", key, format, arguments);
    va_end(arguments);
    check->error_count++;
}

void check_warning(struct check *check, const char *key, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_line(check, "warning: ", key, format, arguments);
    va_end(arguments);
    check->warning_count++;
}

void check_secret_file(struct check *check, const char *key, const char *path)
{
    struct stat info;
    if (stat(path, &info) == 0 && S_ISREG(info.st_mode) &&
        (info.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        check_warning(check, key,
                      "%s is a secret file that other users may open (mode %04o); use mode 0600 or "
                      "0400",
                      path, (unsigned)info.st_mode & 07777U);
    }
}

static void found_in_ledger(void *arg, bool is_error, const char *text)
{
    (is_error ? check_error : check_warning)(arg, "ledger.store", "%s", text);
}

static void check_audit_file(struct check *check)
{
    const char *path = check->settings->audit.file;
    char *copy = mem_strdup(path);
    const char *directory = dirname(copy);
    struct stat info;
    if (path[0] == '\0') {
        /* no audit file is configured */
    } else if (stat(path, &info) == 0) {
        if (access(path, R_OK | W_OK) != 0) {
            check_error(check, "audit.file", "%s may not be read and written by this user: %s",
                        path, strerror(errno));
        }
    } else if (access(directory, W_OK | X_OK) != 0) {
        check_error(check, "audit.file", "cannot be created in %s: %s", directory, strerror(errno));
    }
    free(copy);
}

/* The password that systemd provides, which no setting names. */
static void check_password(struct check *check)
{
    char *path = settings_password_path(check->settings);
    bool is_used = check->settings->broker.apsaramq.instance_id[0] == '\0';
    if (is_used && path != NULL && check->settings->broker.password_file[0] == '\0') {
        if (access(path, R_OK) != 0) {
            check_error(check, "broker.password_file", "%s may not be read by this user: %s", path,
                        strerror(errno));
        }
        check_secret_file(check, "broker.password_file", path);
    }
    free(path);
}

/* What the login at ApsaraMQ is made of, for both connections. */
static void check_login(struct check *check)
{
    static const char *const ends[] = {"-in", "-out"};
    const struct settings *settings = check->settings;
    bool is_used = settings->broker.apsaramq.instance_id[0] != '\0';
    for (size_t i = 0; is_used && i < sizeof ends / sizeof ends[0]; i++) {
        struct broker_login login = {0};
        struct broker_login_fault fault = {0};
        struct buf id = {0};
        buf_printf(&id, "%s%s", settings->broker.client_id, ends[i]);
        if (broker_login_make(settings, buf_slice(&id), &login, &fault) != STATUS_OK) {
            check_error(check, fault.setting, "%s %s", fault.file, fault.text.data);
        }
        buf_fini(&id);
        broker_login_fini(&login);
        broker_login_fault_fini(&fault);
    }
}

void check_files(struct check *check)
{
    const char *token_file = check->settings->credentials.oidc_token_file;
    ledger_inspect(check->settings->ledger.store, found_in_ledger, check);
    check_audit_file(check);
    check_password(check);
    check_login(check);
    if (token_file[0] != '\0' && access(token_file, R_OK) != 0) {
        check_warning(check, "credentials.oidc_token_file", "%s may not be read by this user: %s",
                      token_file, strerror(errno));
    }
}
