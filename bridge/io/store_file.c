#include "store_file.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define OWNER_BYTES_MAX 24

static enum status cannot(struct buf *out_why, const char *what, const char *path)
{
    buf_printf(out_why, "cannot %s %s: %s", what, path, strerror(errno));
    return STATUS_STORE;
}

static void read_owner(int fd, char out[OWNER_BYTES_MAX])
{
    ssize_t length = pread(fd, out, OWNER_BYTES_MAX - 1, 0);
    out[length > 0 ? length : 0] = '\0';
    out[strspn(out, "0123456789")] = '\0';
}

static void write_owner(int fd)
{
    char text[OWNER_BYTES_MAX];
    int length = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    /* Only said to the next one who finds the lock taken: a full disk must not keep us from it. */
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)length, 0) != length) {
        return;
    }
}

static enum status lock_busy(int fd, const char *path, struct buf *out_why)
{
    char owner[OWNER_BYTES_MAX];
    read_owner(fd, owner);
    buf_printf(out_why,
               "the ledger %s is in use by process %s; stop that bridge, or give this one a ledger "
               "of its own (ledger.store)",
               path, owner[0] == '\0' ? "(unknown)" : owner);
    return STATUS_BUSY;
}

enum status store_file_lock(const char *path, int *out_fd, struct buf *out_why)
{
    struct buf name = {0};
    buf_printf(&name, "%s.lock", path);
    enum status status = STATUS_OK;
    int fd = open(name.data, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        status = cannot(out_why, "open", name.data);
    } else if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        status = errno == EWOULDBLOCK ? lock_busy(fd, path, out_why)
                                      : cannot(out_why, "lock", name.data);
        close(fd);
    } else {
        write_owner(fd);
        *out_fd = fd;
    }
    buf_fini(&name);
    return status;
}

void store_file_unlock(int fd)
{
    if (fd >= 0) {
        /* The name stays: removing it would let two owners hold locks on two files of one name. */
        if (ftruncate(fd, 0) != 0) {
            errno = 0;
        }
        close(fd);
    }
}

static enum status sync_directory_of(const char *path, struct buf *out_why)
{
    char *copy = mem_strdup(path);
    const char *directory = dirname(copy);
    enum status status = STATUS_OK;
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) {
        status = cannot(out_why, "write", directory);
    }
    if (fd >= 0) {
        close(fd);
    }
    free(copy);
    return status;
}

enum status store_file_create(const char *path, struct buf *out_why)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return errno == EEXIST ? STATUS_OK : cannot(out_why, "create", path);
    }
    close(fd);
    return sync_directory_of(path, out_why);
}

int64_t store_file_size(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0 ? (int64_t)about.st_size : -1;
}
