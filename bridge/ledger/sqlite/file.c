#include "file.h"

#include "base/mem.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define OWNER_BYTES_MAX 80
/* The last byte before those that SQLite locks (0x40000000 to 0x400001ff, "File Locking And
 * Concurrency In SQLite Version 3"). A lock needs no byte to be there. */
#define LOCK_BYTE 0x3fffffff

static enum status cannot(struct buf *out_why, const char *what, const char *path)
{
    buf_printf(out_why, "cannot %s %s: %s", what, path, strerror(errno));
    return STATUS_STORE;
}

void store_file_set_runs(int fd, const struct store_runs *runs)
{
    char text[OWNER_BYTES_MAX];
    int length = snprintf(text, sizeof text, "%ld\n%lld\n%lld\n", (long)getpid(),
                          (long long)runs->ids[0], (long long)runs->ids[1]);
    /* They only make messages better: a full disk must not prevent the start. */
    if (ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)length, 0) == length) {
        (void)fdatasync(fd);
    }
}

static struct store_runs read_runs(int fd)
{
    char text[OWNER_BYTES_MAX];
    ssize_t length = pread(fd, text, sizeof text - 1, 0);
    text[length > 0 ? length : 0] = '\0';
    char *next = text;
    (void)strtoll(next, &next, 10); /* the process */
    struct store_runs runs = {{strtoll(next, &next, 10), 0}};
    runs.ids[1] = strtoll(next, &next, 10); /* a missing one is 0 */
    return runs;
}

static enum status lock_busy(int fd, const char *path, struct buf *out_why)
{
    char owner[OWNER_BYTES_MAX];
    ssize_t length = pread(fd, owner, sizeof owner - 1, 0);
    owner[length > 0 ? length : 0] = '\0';
    owner[strspn(owner, "0123456789")] = '\0';
    buf_printf(out_why,
               "the ledger %s is in use by process %s; stop that bridge, or give this one a ledger "
               "of its own (ledger.store)",
               path, owner[0] == '\0' ? "(unknown)" : owner);
    return STATUS_BUSY;
}

enum status store_file_lock(const char *path, int *out_fd, struct store_runs *out_runs,
                            struct buf *out_why)
{
    struct buf name = {0};
    buf_printf(&name, "%s.lock", path);
    enum status status = STATUS_OK;
    int fd = open(name.data, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        int error = errno;
        status = cannot(out_why, "open", name.data);
        if (error == ENOENT) {
            buf_append_text(out_why, "; create the directory, with the bridge's user as its owner "
                                     "and mode 0700");
        } else if (error == EACCES) {
            buf_append_text(out_why, "; the ledger's files and their directory must belong to the "
                                     "bridge's user: a start as another one, such as root, creates "
                                     "files that it cannot use");
        }
    } else if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        status = errno == EWOULDBLOCK ? lock_busy(fd, path, out_why)
                                      : cannot(out_why, "lock", name.data);
        close(fd);
    } else {
        *out_runs = read_runs(fd);
        store_file_set_runs(fd, out_runs);
        *out_fd = fd;
    }
    buf_fini(&name);
    return status;
}

void store_file_unlock(int fd, bool is_orderly)
{
    if (fd >= 0) {
        /* The file stays: if it were removed, two processes could lock two files with the same
         * name. */
        if (is_orderly && ftruncate(fd, 0) != 0) {
            errno = 0;
        }
        close(fd);
    }
}

/* A lock of the open file description: SQLite's locks, which belong to the process, do not touch
 * it. On a network file system it is a byte range lock like SQLite's own; flock(2) would there lock
 * the whole file, against SQLite itself. */
static struct flock lock_of_itself(void)
{
    return (struct flock){
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LOCK_BYTE, .l_len = 1};
}

enum status store_file_lock_itself(const char *path, int *out_fd, struct buf *out_why)
{
    struct flock lock = lock_of_itself();
    enum status status = STATUS_OK;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return STATUS_OK;
    }
    if (fcntl(fd, F_OFD_SETLK, &lock) != 0) {
        status = errno == EAGAIN || errno == EACCES ? STATUS_BUSY : cannot(out_why, "lock", path);
    }
    if (status == STATUS_BUSY) {
        buf_printf(out_why,
                   "the ledger %s is in use by another bridge under another name of the same file "
                   "(a link or a mount); stop that bridge, or give this one a ledger of its own "
                   "(ledger.store)",
                   path);
    }
    if (status == STATUS_OK) {
        *out_fd = fd;
    } else {
        close(fd);
    }
    return status;
}

bool store_file_is_locked(const char *path)
{
    struct flock lock = lock_of_itself();
    int fd = open(path, O_RDWR | O_CLOEXEC);
    bool is_locked = fd >= 0 && fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
    if (fd >= 0) {
        close(fd);
    }
    return is_locked;
}

char *store_file_resolve(const char *path)
{
    struct stat about;
    char *real = NULL;
    if (lstat(path, &about) == 0 && S_ISLNK(about.st_mode)) {
        real = realpath(path, NULL);
    }
    return real == NULL ? mem_strdup(path) : real;
}

static enum status check_log(const char *path, struct buf *out_why)
{
    struct buf log = {0};
    enum status status = STATUS_NOT_FOUND;
    buf_printf(&log, "%s-wal", path);
    if (store_file_size(log.data) >= 0) {
        buf_printf(out_why,
                   "the ledger %s does not exist, but its write-ahead log %s does: the ledger was "
                   "moved or removed without its log. Put it back, or remove the log as well to "
                   "begin with an empty ledger, which does not know any earlier command or token",
                   path, log.data);
        status = STATUS_INVALID;
    }
    buf_fini(&log);
    return status;
}

enum status store_file_check(const char *path, struct buf *out_why)
{
    struct stat about;
    if (lstat(path, &about) != 0 && errno == ENOENT) {
        return check_log(path, out_why);
    }
    if (stat(path, &about) != 0 || !S_ISREG(about.st_mode) || about.st_size > 0) {
        return STATUS_OK;
    }
    buf_printf(out_why,
               "the ledger %s is an empty file. The bridge never creates one, so its records were "
               "lost. Restore it from a backup, or remove the file to begin with an empty ledger, "
               "which does not know any earlier command or token",
               path);
    return STATUS_INVALID;
}

enum status store_file_create(const char *path, struct buf *out_why)
{
    if (unlink(path) != 0 && errno != ENOENT) {
        return cannot(out_why, "remove", path);
    }
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return cannot(out_why, "create", path);
    }
    close(fd);
    return STATUS_OK;
}

enum status store_file_rename(const char *made, const char *path, struct buf *out_why)
{
    if (rename(made, path) != 0) {
        return cannot(out_why, "rename", made);
    }
    return file_sync_directory_of(path) == 0 ? STATUS_OK
                                             : cannot(out_why, "write the directory of", path);
}

int64_t store_file_size(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0 ? (int64_t)about.st_size : -1;
}

struct store_file_id store_file_identify(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0 ? (struct store_file_id){about.st_dev, about.st_ino}
                                   : (struct store_file_id){0, 0};
}

bool store_file_is(const char *path, struct store_file_id id)
{
    struct store_file_id now = store_file_identify(path);
    return now.device == id.device && now.inode == id.inode;
}
