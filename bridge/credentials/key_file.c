/* One descriptor for checking and reading: the file cannot be replaced in between. */
#include "base/log.h"
#include "base/mem.h"
#include "common.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void key_file_init(struct key_file *file, const struct credential_context *context,
                   const char *path)
{
    struct buf whole = {0};
    const char *home = credential_env(context, "HOME");
    if (strncmp(path, "~/", 2) == 0 && home != NULL) {
        buf_append_text(&whole, home);
        path++;
    }
    buf_append_text(&whole, path);
    *file = (struct key_file){.path = buf_take(&whole)};
}

void key_file_fini(struct key_file *file)
{
    free(file->path);
    *file = (struct key_file){0};
}

static enum status complain(const struct key_file *file, const char *what, struct buf *out_why)
{
    buf_printf(out_why, "%s %s", file->path, what);
    return STATUS_INVALID;
}

static enum status check_mode(struct key_file *file, mode_t mode, struct buf *out_why)
{
    if (!S_ISREG(mode)) {
        return complain(file, "is not a regular file", out_why);
    }
    if ((mode & (S_IWGRP | S_IWOTH)) != 0) {
        return complain(file, "can be written by others than its owner: chmod 600 it", out_why);
    }
    if ((mode & (S_IRGRP | S_IROTH)) != 0 && !file->has_been_warned) {
        file->has_been_warned = true;
        LOG_WARN("secret_file_readable", LOG_TEXT("file", file->path));
    }
    return STATUS_OK;
}

enum status key_file_read(struct key_file *file, struct secret *out, struct buf *out_why)
{
    /* O_NONBLOCK: open() of a named pipe would block the loop. */
    int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        bool is_missing = errno == ENOENT || errno == ENOTDIR;
        buf_printf(out_why, "%s cannot be opened: %s", file->path, strerror(errno));
        return is_missing ? STATUS_NOT_FOUND : STATUS_INVALID;
    }
    struct stat found;
    enum status status = fstat(fd, &found) == 0 ? check_mode(file, found.st_mode, out_why)
                                                : complain(file, "cannot be read", out_why);
    if (status == STATUS_OK) {
        int problem = secret_read_fd(out, fd, KEY_FILE_BYTES_MAX);
        if (problem != 0) {
            bool is_too_large = problem == EFBIG;
            status = complain(file, is_too_large ? "is larger than 65536 bytes" : "cannot be read",
                              out_why);
        }
    }
    close(fd);
    return status;
}
