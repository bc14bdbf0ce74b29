#include "flow_leak.h"

#include "flow_check.h"

#include <assert.h>
#include <ctype.h>
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { FORM_BYTES = 1024, ALIGNMENTS = 3 };

static void put_hex(const char *secret, const char *digits, char *out)
{
    for (; *secret != '\0'; secret++) {
        *out++ = digits[(unsigned char)*secret >> 4];
        *out++ = digits[(unsigned char)*secret & 15];
    }
    *out = '\0';
}

static void put_percent(const char *secret, const char *digits, char *out)
{
    for (; *secret != '\0'; secret++) {
        if (isalnum((unsigned char)*secret) || strchr("-_.~", *secret) != NULL) {
            *out++ = *secret;
        } else {
            *out++ = '%';
            *out++ = digits[(unsigned char)*secret >> 4];
            *out++ = digits[(unsigned char)*secret & 15];
        }
    }
    *out = '\0';
}

/* Only the base64 digits that depend on the secret alone; `before` unknown bytes precede it. */
static void put_base64(const char *secret, size_t before, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t bits = 8 * (before + strlen(secret));
    for (size_t at = (8 * before + 5) / 6 * 6; at + 6 <= bits; at += 6) {
        unsigned value = 0;
        for (size_t bit = at; bit < at + 6; bit++) {
            unsigned char byte = (unsigned char)secret[bit / 8 - before];
            value = value << 1 | ((unsigned)byte >> (7 - bit % 8) & 1u);
        }
        *out++ = digits[value];
    }
    *out = '\0';
}

static bool has(const char *bytes, size_t length, const char *form)
{
    return memmem(bytes, length, form, strlen(form)) != NULL;
}

const char *leak_in_bytes(const char *bytes, size_t length, const char *secret)
{
    char form[FORM_BYTES];
    assert(strlen(secret) >= 8 && strlen(secret) * 3 < FORM_BYTES);
    if (has(bytes, length, secret)) {
        return "plain";
    }
    for (int is_upper = 0; is_upper < 2; is_upper++) {
        const char *digits = is_upper ? "0123456789ABCDEF" : "0123456789abcdef";
        put_hex(secret, digits, form);
        if (has(bytes, length, form)) {
            return "hex";
        }
        put_percent(secret, digits, form);
        if (has(bytes, length, form)) {
            return "percent-encoded";
        }
    }
    for (size_t before = 0; before < ALIGNMENTS; before++) {
        put_base64(secret, before, form);
        if (has(bytes, length, form)) {
            return "base64";
        }
    }
    return NULL;
}

/* Files under /proc have size 0, so the file is read to its end. */
static char *read_all(const char *path, size_t *out_length)
{
    FILE *file = fopen(path, "re");
    char *bytes = NULL;
    size_t capacity = 0;
    size_t got = 0;
    *out_length = 0;
    if (file == NULL) {
        return NULL;
    }
    do {
        *out_length += got;
        if (capacity - *out_length < 4096) {
            capacity = 2 * capacity + 8192;
            bytes = realloc(bytes, capacity);
            assert(bytes != NULL);
        }
        got = fread(bytes + *out_length, 1, capacity - *out_length, file);
    } while (got > 0);
    fclose(file);
    return bytes;
}

void leak_check_file(const char *path, const char *const *secrets)
{
    size_t length = 0;
    char *bytes = read_all(path, &length);
    for (size_t i = 0; bytes != NULL && secrets[i] != NULL; i++) {
        const char *how = leak_in_bytes(bytes, length, secrets[i]);
        if (how != NULL) {
            free(bytes);
            flow_fail("%s holds a secret (%s): %s", path, how, secrets[i]);
        }
    }
    free(bytes);
}

int leak_check_tree(const char *directory, const char *const *secrets, const char *skipped_name)
{
    DIR *folder = opendir(directory);
    struct dirent *entry;
    int count = 0;
    assert(folder != NULL);
    while ((entry = readdir(folder)) != NULL) {
        char path[512];
        struct stat info;
        snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        bool is_skipped = skipped_name != NULL && strcmp(entry->d_name, skipped_name) == 0;
        if (is_skipped || strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            lstat(path, &info) != 0) {
            continue;
        }
        if (S_ISDIR(info.st_mode)) {
            count += leak_check_tree(path, secrets, skipped_name);
        } else if (S_ISREG(info.st_mode)) {
            leak_check_file(path, secrets);
            count++;
        }
    }
    closedir(folder);
    return count;
}

void leak_check_process(pid_t pid, const char *const *secrets)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
    leak_check_file(path, secrets);
    snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
    leak_check_file(path, secrets);
}
