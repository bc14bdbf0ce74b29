/*
 * What `check` can say about a ledger without opening it: nothing is changed, and a bridge may be
 * running on it.
 */
#include "sqlite_private.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of the header of a file ("Database File Format", section 1.3); the numbers are big-endian. */
enum { HEADER_BYTES = 100, USER_VERSION_AT = 60, APPLICATION_ID_AT = 68 };
static const char HEADER_START[] = "SQLite format 3"; /* with its NUL */

struct inspection {
    store_finding_fn *found;
    void *arg;
};

static void find(const struct inspection *inspection, bool is_error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void find(const struct inspection *inspection, bool is_error, const char *format, ...)
{
    struct buf text = {0};
    va_list arguments;
    va_start(arguments, format);
    buf_vprintf(&text, format, arguments);
    va_end(arguments);
    inspection->found(inspection->arg, is_error, text.data);
    buf_fini(&text);
}

/* False: the file cannot be there. */
static bool inspect_directory(const struct inspection *inspection, const char *path)
{
    char *copy = mem_strdup(path);
    const char *directory = dirname(copy);
    struct stat about;
    bool is_there = stat(directory, &about) == 0;
    if (!is_there && errno == ENOENT) {
        find(inspection, true,
             "the directory %s does not exist; create it, with the bridge's user as its owner and "
             "mode 0700",
             directory);
    } else if (!is_there) {
        find(inspection, true, "the directory %s cannot be reached by this user (uid %ld): %s",
             directory, (long)geteuid(), strerror(errno));
    } else if (!S_ISDIR(about.st_mode)) {
        find(inspection, true, "%s is not a directory", directory);
        is_there = false;
    } else if (access(directory, R_OK | W_OK | X_OK) != 0) {
        find(
            inspection, true,
            "the directory %s is not writable by this user (uid %ld): %s; the bridge creates files "
            "beside the ledger",
            directory, (long)geteuid(), strerror(errno));
    } else if ((about.st_mode & S_IWOTH) != 0) {
        find(inspection, false,
             "the directory %s is writable by everybody, who could replace the ledger (mode %04o); "
             "use mode 0700",
             directory, (unsigned)about.st_mode & 07777U);
    }
    free(copy);
    return is_there;
}

/* One of the ledger's files, which may be absent. */
static void inspect_rights(const struct inspection *inspection, const char *path)
{
    struct stat about;
    if (stat(path, &about) != 0) {
        return;
    }
    if (!S_ISREG(about.st_mode)) {
        find(inspection, true, "%s is not a regular file", path);
        return;
    }
    if (access(path, R_OK | W_OK) != 0) {
        find(inspection, true, "%s may not be read and written by this user (uid %ld): %s", path,
             (long)geteuid(), strerror(errno));
    }
    if ((about.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        find(inspection, false,
             "%s may be opened by other users (mode %04o), and it holds tokens, groups, topics and "
             "outcomes; use mode 0600",
             path, (unsigned)about.st_mode & 07777U);
    }
}

static int64_t header_number(const unsigned char *header, size_t at)
{
    uint32_t number = 0;
    for (size_t i = 0; i < sizeof number; i++) {
        number = number << 8 | header[at + i];
    }
    return (int32_t)number;
}

/* A ledger of a newer bridge, or a database of another program. The header may be older than the
 * write-ahead log, but never newer. */
static void inspect_version(const struct inspection *inspection, const char *path)
{
    unsigned char header[HEADER_BYTES];
    struct buf why = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return; /* it does not exist yet, or inspect_rights() has said why */
    }
    bool is_database = pread(fd, header, sizeof header, 0) == (ssize_t)sizeof header &&
                       memcmp(header, HEADER_START, sizeof HEADER_START) == 0;
    close(fd);
    if (is_database && store_sqlite_check_version(path, header_number(header, APPLICATION_ID_AT),
                                                  header_number(header, USER_VERSION_AT), true,
                                                  &why) != STATUS_OK) {
        find(inspection, true, "%s", why.data);
    }
    buf_fini(&why);
}

static void inspect_file(const struct inspection *inspection, const char *path)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", ".lock"};
    struct buf why = {0};
    struct buf name = {0};
    struct stat about;
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        buf_clear(&name);
        buf_printf(&name, "%s%s", path, suffixes[i]);
        inspect_rights(inspection, name.data);
    }
    if (store_file_check(path, &why) == STATUS_INVALID) {
        find(inspection, true, "%s", why.data);
    }
    inspect_version(inspection, path);
    if (stat(path, &about) == 0 && about.st_nlink > 1) {
        find(inspection, false,
             "%s has %lu names (hard links), and its write-ahead log belongs to only one of them; "
             "remove the others",
             path, (unsigned long)about.st_nlink);
    }
    buf_clear(&name);
    buf_printf(&name, "%s-wal", path);
    int64_t log_bytes = store_file_size(name.data);
    if (store_file_size(path) > 0 && log_bytes > 0 && !store_file_is_locked(path)) {
        find(
            inspection, false,
            "%s has %lld bytes: the last bridge did not end by itself, and the next one continues "
            "with them. If %s was restored from a backup since, remove this file first, and %s-shm "
            "too: it belongs to the file before",
            name.data, (long long)log_bytes, path, path);
    }
    buf_fini(&name);
    buf_fini(&why);
}

void store_sqlite_inspect(const char *location, store_finding_fn *found, void *arg)
{
    const struct inspection inspection = {found, arg};
    char *path = store_file_resolve(location);
    if (inspect_directory(&inspection, path)) {
        inspect_file(&inspection, path);
    }
    free(path);
}
