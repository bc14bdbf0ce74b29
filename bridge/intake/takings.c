/*
 * The blocks are allocated before the file is mapped: a full disk must be seen here, not by a
 * signal at some delivery. It is never made durable, since a machine that lost its power says
 * nothing about a delivery.
 */
#include "intake/takings.h"

#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char MAGIC[8] = "ECMBtake";

/* As it lies in the file. Numbers are this machine's: it is nobody else's file. */
struct page {
    char magic[sizeof MAGIC];
    uint32_t version;
    uint32_t mark_bytes;
    struct blame_mark marks[BLAME_MARKS];
};
#define VERSION 1

struct takings {
    struct page *page;
    bool is_mapped;
};

static bool is_blank(const void *bytes, size_t length)
{
    const char *at = bytes;
    for (size_t i = 0; i < length; i++) {
        if (at[i] != 0) {
            return false;
        }
    }
    return true;
}

static bool is_sound(const struct page *page)
{
    return memcmp(page->magic, MAGIC, sizeof MAGIC) == 0 && page->version == VERSION &&
           page->mark_bytes == sizeof page->marks && blame_marks_are_sound(page->marks);
}

static void page_init(struct page *page)
{
    *page = (struct page){.version = VERSION, .mark_bytes = sizeof page->marks};
    memcpy(page->magic, MAGIC, sizeof MAGIC);
}

/* Ours, or nothing yet; anything else is left as it is. */
static bool may_be_ours(int fd)
{
    char magic[sizeof MAGIC] = "";
    struct stat about;
    if (fstat(fd, &about) != 0 || !S_ISREG(about.st_mode)) {
        errno = EINVAL;
        return false;
    }
    ssize_t length = pread(fd, magic, sizeof magic, 0);
    if (length >= 0 &&
        (memcmp(magic, MAGIC, (size_t)length) == 0 || is_blank(magic, sizeof magic))) {
        return true;
    }
    errno = length < 0 ? errno : EEXIST;
    return false;
}

/* Of the right size, readable by nobody else. */
static bool fit(int fd)
{
    struct stat about;
    int error = posix_fallocate(fd, 0, sizeof(struct page));
    if (error != 0) {
        errno = error;
        return false;
    }
    bool is_large = fstat(fd, &about) == 0 && about.st_size > (off_t)sizeof(struct page);
    return (!is_large || ftruncate(fd, sizeof(struct page)) == 0) && fchmod(fd, 0600) == 0;
}

/* NULL, with errno, where it cannot be had. */
static struct page *map(const char *path)
{
    struct page *page = NULL;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (fd >= 0 && may_be_ours(fd) && fit(fd)) {
        page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    }
    int error = errno;
    if (fd >= 0) {
        close(fd);
    }
    errno = error;
    return page == MAP_FAILED ? NULL : page;
}

static void log_charged(size_t count)
{
    if (count > 0) {
        LOG_WARN("deliveries_charged", LOG_INT("count", (int64_t)count),
                 LOG_TEXT("meaning", "the bridge before this one ended while it was taking them"));
    }
}

struct takings *takings_open(const char *path)
{
    struct takings *takings = mem_zalloc(1, sizeof *takings);
    takings->page = map(path);
    takings->is_mapped = takings->page != NULL;
    if (!takings->is_mapped) {
        LOG_WARN("takings_unavailable", LOG_TEXT("path", path), LOG_TEXT("error", strerror(errno)),
                 LOG_TEXT("meaning",
                          "a message that ends the bridge each time it comes will not be "
                          "set aside"));
        takings->page = mem_zalloc(1, sizeof *takings->page);
    }
    if (!is_sound(takings->page)) {
        page_init(takings->page);
    }
    log_charged(blame_marks_charge(takings->page->marks));
    return takings;
}

void takings_close(struct takings *takings)
{
    if (takings == NULL) {
        return;
    }
    blame_marks_release(takings->page->marks);
    if (takings->is_mapped) {
        munmap(takings->page, sizeof *takings->page);
    } else {
        free(takings->page);
    }
    free(takings);
}

struct blame_mark *takings_marks(struct takings *takings)
{
    return takings->page->marks;
}
