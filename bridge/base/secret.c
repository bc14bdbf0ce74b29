#include "base/secret.h"

#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET_FILE_BYTES 65536
#define VARIABLES_MAX     8

/* The environment is the process's, and so is what was taken out of it. */
static struct {
    const char *name;
    struct secret value;
} hidden[VARIABLES_MAX];
static size_t hidden_count;

void secret_wipe(void *memory, size_t size_bytes)
{
    if (size_bytes > 0) {
        explicit_bzero(memory, size_bytes);
    }
}

void secret_fini(struct secret *secret)
{
    if (secret == NULL) {
        return;
    }
    if (secret->data != NULL) {
        secret_wipe(secret->data, secret->length);
        mem_pages_free(secret->data, secret->length + 1);
    }
    *secret = (struct secret){0};
}

void secret_set(struct secret *secret, struct slice bytes)
{
    /* The bytes may be the secret's own, so they are copied before those are wiped. */
    struct secret copy = {mem_pages(bytes.length + 1), bytes.length};
    if (bytes.length > 0) {
        memcpy(copy.data, bytes.data, bytes.length);
    }
    secret_fini(secret);
    *secret = copy;
}

struct slice secret_slice(const struct secret *secret)
{
    return secret->data == NULL ? slice_text("") : slice_of(secret->data, secret->length);
}

bool secret_is_set(const struct secret *secret)
{
    return secret->data != NULL;
}

/* Reads to the end of the file, or `size_bytes`; -1 is an error. */
static ssize_t read_all(int fd, char *out, size_t size_bytes)
{
    size_t length = 0;
    while (length < size_bytes) {
        ssize_t count = read(fd, out + length, size_bytes - length);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count <= 0) {
            return count < 0 ? -1 : (ssize_t)length;
        }
        length += (size_t)count;
    }
    return (ssize_t)length;
}

int secret_read_fd(struct secret *secret, int fd, size_t bytes_max)
{
    /* One byte more than is allowed tells a full file from one that is too large. */
    size_t room_bytes = bytes_max + 1;
    char *room = mem_pages(room_bytes);
    ssize_t length = read_all(fd, room, room_bytes);
    int problem = length < 0 ? errno : (size_t)length > bytes_max ? EFBIG : 0;
    if (problem == 0) {
        secret_set(secret, slice_of(room, (size_t)length));
    }
    secret_wipe(room, room_bytes);
    mem_pages_free(room, room_bytes);
    return problem;
}

void secret_drop_line_end(struct secret *secret)
{
    struct slice text = secret_slice(secret);
    if (text.length > 0 && text.data[text.length - 1] == '\n') {
        text.length--;
        if (text.length > 0 && text.data[text.length - 1] == '\r') {
            text.length--;
        }
        secret_set(secret, text);
    }
}

static enum status read_open_file(struct secret *secret, int fd)
{
    struct stat file;
    if (fstat(fd, &file) != 0 || !S_ISREG(file.st_mode)) {
        return STATUS_UNAVAILABLE;
    }
    int problem = secret_read_fd(secret, fd, SECRET_FILE_BYTES);
    if (problem != 0) {
        return problem == EFBIG ? STATUS_LIMIT : STATUS_UNAVAILABLE;
    }
    secret_drop_line_end(secret);
    return STATUS_OK;
}

enum status secret_read_file(struct secret *secret, const char *path)
{
    /* Without O_NONBLOCK a named pipe would keep the daemon waiting in open(). */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return errno == ENOENT || errno == ENOTDIR ? STATUS_NOT_FOUND : STATUS_UNAVAILABLE;
    }
    enum status status = read_open_file(secret, fd);
    close(fd);
    return status;
}

void secret_hide_variable(const char *name)
{
    char *value = getenv(name);
    if (value == NULL) {
        return;
    }
    assert(hidden_count < VARIABLES_MAX);
    hidden[hidden_count].name = name;
    secret_set(&hidden[hidden_count].value, slice_text(value));
    hidden_count++;
    /* The kernel shows this very memory. */
    secret_wipe(value, strlen(value));
    unsetenv(name);
}

const char *secret_variable(const char *name)
{
    for (size_t i = 0; i < hidden_count; i++) {
        if (strcmp(hidden[i].name, name) == 0) {
            return hidden[i].value.data;
        }
    }
    return getenv(name);
}
