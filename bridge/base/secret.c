/*
 * Secrets are in OpenSSL's secure heap: one mapping between guard pages, locked into memory where
 * the process may do so, excluded from core files; blocks are wiped when they are freed. OpenSSL
 * puts private keys there too. The heap cannot grow, so a secret that does not fit is put on the
 * normal heap and wiped when it is freed.
 */
#include "base/secret.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET_FILE_BYTES 65536
#define READ_BYTES        4096
#define VARIABLES_MAX     8

/*
 * systemd's usual limit for locked memory (LimitMEMLOCK=8M). Only pages that are used take memory.
 * Each TLS connection with a client certificate needs about 2 KiB of it for its private key.
 */
#define HEAP_BYTES      ((size_t)8 * 1024 * 1024)
#define HEAP_UNIT_BYTES 128 /* OpenSSL allocates two bits for each unit */
/* No secret is larger. A file of CA certificates may be, but it is public: it uses the normal heap.
 */
#define BLOCK_BYTES_MAX ((size_t)2 * SECRET_FILE_BYTES)

/* Environment variables belong to the process, and so do those that were hidden. */
static struct {
    const char *name;
    struct secret value;
} hidden[VARIABLES_MAX];
static size_t hidden_count;

void secret_setup(void)
{
    int result = CRYPTO_secure_malloc_init(HEAP_BYTES, HEAP_UNIT_BYTES);
    assert(result != 0); /* out of memory; 2 means that it could not be locked */
    (void)result;
}

/* Zeroed; to be freed with OPENSSL_secure_clear_free(). */
static char *allocate(size_t size_bytes)
{
    char *memory = NULL;
    if (size_bytes <= BLOCK_BYTES_MAX) {
        /* A full heap is not an error here. */
        ERR_set_mark();
        memory = OPENSSL_secure_zalloc(size_bytes);
        ERR_pop_to_mark();
    }
    if (memory == NULL) {
        memory = OPENSSL_zalloc(size_bytes);
    }
    assert(memory != NULL);
    return memory;
}

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
    OPENSSL_secure_clear_free(secret->data, secret->length + 1);
    *secret = (struct secret){0};
}

void secret_set(struct secret *secret, struct slice bytes)
{
    /* The bytes may be the secret's own, so they are copied before those are wiped. */
    struct secret copy = {allocate(bytes.length + 1), bytes.length};
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

void secret_copy(struct secret *secret, const struct secret *from)
{
    if (secret_is_set(from)) {
        secret_set(secret, secret_slice(from));
    } else {
        secret_fini(secret);
    }
}

bool secret_is_set(const struct secret *secret)
{
    return secret->data != NULL;
}

int secret_read_fd(struct secret *secret, int fd, size_t bytes_max)
{
    size_t size_bytes = READ_BYTES;
    char *memory = allocate(size_bytes);
    size_t length = 0;
    ssize_t count;
    do {
        if (length == size_bytes) {
            char *larger = allocate(2 * size_bytes);
            memcpy(larger, memory, length);
            OPENSSL_secure_clear_free(memory, size_bytes);
            memory = larger;
            size_bytes *= 2;
        }
        count = read(fd, memory + length, size_bytes - length);
        length += count > 0 ? (size_t)count : 0;
    } while (length <= bytes_max && (count > 0 || (count < 0 && errno == EINTR)));
    int problem = count < 0 ? errno : length > bytes_max ? EFBIG : 0;
    if (problem == 0) {
        secret_set(secret, slice_of(memory, length));
    }
    OPENSSL_secure_clear_free(memory, size_bytes);
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

enum status secret_read_file(struct secret *secret, const char *path)
{
    struct stat file;
    /* Without O_NONBLOCK a named pipe would keep the daemon waiting in open(). */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return errno == ENOENT || errno == ENOTDIR ? STATUS_NOT_FOUND : STATUS_UNAVAILABLE;
    }
    bool is_regular = fstat(fd, &file) == 0 && S_ISREG(file.st_mode);
    int problem = is_regular ? secret_read_fd(secret, fd, SECRET_FILE_BYTES) : EINVAL;
    close(fd);
    if (problem != 0) {
        return problem == EFBIG ? STATUS_LIMIT : STATUS_UNAVAILABLE;
    }
    secret_drop_line_end(secret);
    return STATUS_OK;
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
    /* /proc/PID/environ shows this memory. */
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
