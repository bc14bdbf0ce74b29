#include "vfs_faults.h"

#include "base/buf.h"
#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE_BYTES 4096
#define IMAGES_MAX 4

enum sort { SORT_WRITE, SORT_READ, SORT_SYNC };

/* The content of one file on the disk. */
struct image {
    char *path;
    unsigned char *bytes;
    bool *is_dirty; /* for each page: written since the last sync */
    size_t page_count;
    size_t size;
    bool is_removed;
};

struct disk {
    struct disk *next;
    char *folder;
    struct image images[IMAGES_MAX];
    size_t image_count;
    bool is_planned;
    enum vfs_fault fault;
    int nth;
    int count;
    int seen;
    int struck;
};

/* Our file, followed by the file of the lower file system. */
struct file {
    sqlite3_file base;
    struct disk *disk;
    struct image *image; /* NULL: this file is not tracked */
    sqlite3_file *lower;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct disk *disks;
static sqlite3_vfs *lower_vfs;

/* ---- disks and images ---- */

static struct disk *disk_of(const char *folder)
{
    struct disk *disk = disks;
    while (disk != NULL && strcmp(disk->folder, folder) != 0) {
        disk = disk->next;
    }
    if (disk == NULL) {
        disk = mem_zalloc(1, sizeof *disk);
        disk->folder = mem_strdup(folder);
        disk->next = disks;
        disks = disk;
    }
    return disk;
}

static struct disk *disk_of_path(const char *path)
{
    char *folder = mem_strdup(path);
    *strrchr(folder, '/') = '\0';
    struct disk *disk = disk_of(folder);
    free(folder);
    return disk;
}

static void reserve_pages(struct image *image, size_t page_count)
{
    if (page_count <= image->page_count) {
        return;
    }
    size_t count = page_count * 2;
    image->bytes = mem_realloc(image->bytes, count * PAGE_BYTES);
    memset(image->bytes + image->page_count * PAGE_BYTES, 0,
           (count - image->page_count) * PAGE_BYTES);
    image->is_dirty = mem_realloc(image->is_dirty, count * sizeof *image->is_dirty);
    memset(image->is_dirty + image->page_count, 0,
           (count - image->page_count) * sizeof *image->is_dirty);
    image->page_count = count;
}

static size_t size_of(struct file *file)
{
    sqlite3_int64 size = 0;
    file->lower->pMethods->xFileSize(file->lower, &size);
    return (size_t)size;
}

static size_t page_length(size_t page, size_t size)
{
    size_t begin = page * PAGE_BYTES;
    return begin >= size ? 0 : size - begin < PAGE_BYTES ? size - begin : PAGE_BYTES;
}

/* Writes the page to the disk. */
static void save_page(struct file *file, size_t page, size_t size)
{
    unsigned char *to = file->image->bytes + page * PAGE_BYTES;
    size_t length = page_length(page, size);
    if (length > 0) {
        file->lower->pMethods->xRead(file->lower, to, (int)length,
                                     (sqlite3_int64)(page * PAGE_BYTES));
    }
}

/* Sets the page to its content on the disk. */
static void revert_page(struct file *file, size_t page, size_t size)
{
    const unsigned char *from = file->image->bytes + page * PAGE_BYTES;
    size_t length = page_length(page, size);
    if (length > 0) {
        file->lower->pMethods->xWrite(file->lower, from, (int)length,
                                      (sqlite3_int64)(page * PAGE_BYTES));
    }
}

static void settle_dirty(struct file *file, void (*each)(struct file *, size_t page, size_t size))
{
    struct image *image = file->image;
    size_t size = size_of(file);
    reserve_pages(image, size / PAGE_BYTES + 1);
    for (size_t page = 0; page < image->page_count; page++) {
        if (image->is_dirty[page] && each != NULL) {
            each(file, page, size);
        }
        image->is_dirty[page] = false;
    }
}

static void save_file(struct file *file)
{
    settle_dirty(file, save_page);
    file->image->size = size_of(file);
}

static void mark_all(struct file *file)
{
    size_t page_count = size_of(file) / PAGE_BYTES + 1;
    reserve_pages(file->image, page_count);
    for (size_t page = 0; page < page_count; page++) {
        file->image->is_dirty[page] = true;
    }
}

/* The content at the first look counts as synced. */
static struct image *image_of(struct file *file, const char *path)
{
    struct disk *disk = file->disk;
    for (size_t i = 0; i < disk->image_count; i++) {
        if (strcmp(disk->images[i].path, path) == 0) {
            disk->images[i].is_removed = false;
            return &disk->images[i];
        }
    }
    assert(disk->image_count < IMAGES_MAX);
    file->image = &disk->images[disk->image_count++];
    file->image->path = mem_strdup(path);
    mark_all(file);
    save_file(file);
    return file->image;
}

/* ---- faults ---- */

static enum sort sort_of(enum vfs_fault fault)
{
    switch (fault) {
    case VFS_READ_EIO:
    case VFS_READ_SHORT:
        return SORT_READ;
    case VFS_SYNC_EIO:
    case VFS_SYNC_LOST:
        return SORT_SYNC;
    case VFS_WRITE_EIO:
    case VFS_WRITE_SHORT:
    case VFS_WRITE_FULL:
    case VFS_WRITE_EROFS:
        break;
    }
    return SORT_WRITE;
}

/* Counts the operation. Returns whether it fails. */
static bool strikes(struct file *file, enum sort sort)
{
    struct disk *disk = file->disk;
    if (file->image == NULL || !disk->is_planned || sort_of(disk->fault) != sort) {
        return false;
    }
    disk->seen++;
    bool is_struck = disk->seen >= disk->nth && disk->seen - disk->nth < disk->count;
    disk->struck += is_struck ? 1 : 0;
    return is_struck;
}

static int fail_with(int result, int system_errno)
{
    errno = system_errno;
    return result;
}

static int fail_write(struct file *file, const void *bytes, int length, sqlite3_int64 offset)
{
    switch (file->disk->fault) {
    case VFS_WRITE_SHORT:
        file->lower->pMethods->xWrite(file->lower, bytes, length / 2, offset);
        return fail_with(SQLITE_IOERR_WRITE, EIO);
    case VFS_WRITE_FULL:
        return fail_with(SQLITE_FULL, ENOSPC);
    case VFS_WRITE_EROFS:
        return fail_with(SQLITE_IOERR_WRITE, EROFS);
    default:
        return fail_with(SQLITE_IOERR_WRITE, EIO);
    }
}

/* ---- the methods of a file ---- */

static struct file *file_of(sqlite3_file *base)
{
    return (struct file *)(void *)base;
}

static sqlite3_file *lower_of(sqlite3_file *base)
{
    return file_of(base)->lower;
}

static int file_close(sqlite3_file *base)
{
    return lower_of(base)->pMethods->xClose(lower_of(base));
}

static int file_read(sqlite3_file *base, void *bytes, int length, sqlite3_int64 offset)
{
    struct file *file = file_of(base);
    pthread_mutex_lock(&mutex);
    bool is_struck = strikes(file, SORT_READ);
    enum vfs_fault fault = file->disk->fault;
    pthread_mutex_unlock(&mutex);
    if (is_struck && fault == VFS_READ_EIO) {
        return fail_with(SQLITE_IOERR_READ, EIO);
    }
    int result = file->lower->pMethods->xRead(file->lower, bytes, length, offset);
    if (is_struck && result == SQLITE_OK) {
        memset((char *)bytes + length / 2, 0, (size_t)(length - length / 2));
        return SQLITE_IOERR_SHORT_READ;
    }
    return result;
}

static int file_write(sqlite3_file *base, const void *bytes, int length, sqlite3_int64 offset)
{
    struct file *file = file_of(base);
    pthread_mutex_lock(&mutex);
    if (file->image != NULL) {
        size_t first = (size_t)offset / PAGE_BYTES;
        size_t last = (size_t)(offset + length - 1) / PAGE_BYTES;
        reserve_pages(file->image, last + 1);
        memset(file->image->is_dirty + first, true, last - first + 1);
    }
    int result = strikes(file, SORT_WRITE)
                     ? fail_write(file, bytes, length, offset)
                     : file->lower->pMethods->xWrite(file->lower, bytes, length, offset);
    pthread_mutex_unlock(&mutex);
    return result;
}

static int file_truncate(sqlite3_file *base, sqlite3_int64 size)
{
    return lower_of(base)->pMethods->xTruncate(lower_of(base), size);
}

/* There is no real sync: only the image counts. */
static int file_sync(sqlite3_file *base, int flags)
{
    struct file *file = file_of(base);
    int result = SQLITE_OK;
    (void)flags;
    pthread_mutex_lock(&mutex);
    if (strikes(file, SORT_SYNC)) {
        settle_dirty(file, file->disk->fault == VFS_SYNC_LOST ? revert_page : NULL);
        result = fail_with(SQLITE_IOERR_FSYNC, EIO);
    } else if (file->image != NULL) {
        save_file(file);
    }
    pthread_mutex_unlock(&mutex);
    return result;
}

static int file_size(sqlite3_file *base, sqlite3_int64 *out_size)
{
    return lower_of(base)->pMethods->xFileSize(lower_of(base), out_size);
}

static int file_lock(sqlite3_file *base, int lock)
{
    return lower_of(base)->pMethods->xLock(lower_of(base), lock);
}

static int file_unlock(sqlite3_file *base, int lock)
{
    return lower_of(base)->pMethods->xUnlock(lower_of(base), lock);
}

static int file_check_lock(sqlite3_file *base, int *out_is_reserved)
{
    return lower_of(base)->pMethods->xCheckReservedLock(lower_of(base), out_is_reserved);
}

static int file_control(sqlite3_file *base, int operation, void *argument)
{
    return lower_of(base)->pMethods->xFileControl(lower_of(base), operation, argument);
}

static int file_sector(sqlite3_file *base)
{
    return lower_of(base)->pMethods->xSectorSize(lower_of(base));
}

static int file_characteristics(sqlite3_file *base)
{
    return lower_of(base)->pMethods->xDeviceCharacteristics(lower_of(base));
}

static int file_shm_map(sqlite3_file *base, int page, int bytes, int extend, void volatile **out)
{
    return lower_of(base)->pMethods->xShmMap(lower_of(base), page, bytes, extend, out);
}

static int file_shm_lock(sqlite3_file *base, int offset, int count, int flags)
{
    return lower_of(base)->pMethods->xShmLock(lower_of(base), offset, count, flags);
}

static void file_shm_barrier(sqlite3_file *base)
{
    lower_of(base)->pMethods->xShmBarrier(lower_of(base));
}

static int file_shm_unmap(sqlite3_file *base, int is_deleted)
{
    return lower_of(base)->pMethods->xShmUnmap(lower_of(base), is_deleted);
}

static const sqlite3_io_methods METHODS = {
    .iVersion = 2,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_check_lock,
    .xFileControl = file_control,
    .xSectorSize = file_sector,
    .xDeviceCharacteristics = file_characteristics,
    .xShmMap = file_shm_map,
    .xShmLock = file_shm_lock,
    .xShmBarrier = file_shm_barrier,
    .xShmUnmap = file_shm_unmap,
};

/* ---- the file system ---- */

static int open_file(sqlite3_vfs *vfs, const char *path, sqlite3_file *base, int flags,
                     int *out_flags)
{
    struct file *file = file_of(base);
    (void)vfs;
    memset(file, 0, sizeof *file);
    file->lower = (sqlite3_file *)(void *)(file + 1);
    int result = lower_vfs->xOpen(lower_vfs, path, file->lower, flags, out_flags);
    if (result != SQLITE_OK) {
        return result;
    }
    pthread_mutex_lock(&mutex);
    file->disk = disk_of_path(path == NULL ? "/temporary" : path);
    if ((flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL)) != 0) {
        file->image = image_of(file, path);
    }
    pthread_mutex_unlock(&mutex);
    base->pMethods = &METHODS;
    return SQLITE_OK;
}

static int delete_file(sqlite3_vfs *vfs, const char *path, int is_synced)
{
    (void)vfs;
    int result = lower_vfs->xDelete(lower_vfs, path, is_synced);
    pthread_mutex_lock(&mutex);
    struct disk *disk = disk_of_path(path);
    for (size_t i = 0; i < disk->image_count; i++) {
        struct image *image = &disk->images[i];
        if (strcmp(image->path, path) == 0) {
            image->is_removed = true;
            image->size = 0;
            memset(image->bytes, 0, image->page_count * PAGE_BYTES);
            memset(image->is_dirty, 0, image->page_count * sizeof *image->is_dirty);
        }
    }
    pthread_mutex_unlock(&mutex);
    return result;
}

void vfs_faults_register(void)
{
    static sqlite3_vfs vfs;
    lower_vfs = sqlite3_vfs_find(NULL);
    vfs = *lower_vfs;
    vfs.zName = "faults";
    vfs.pNext = NULL;
    vfs.szOsFile = (int)sizeof(struct file) + lower_vfs->szOsFile;
    vfs.xOpen = open_file;
    vfs.xDelete = delete_file;
    sqlite3_vfs_register(&vfs, 1);
}

/* ---- called by tests ---- */

void vfs_faults_plan(const char *folder, enum vfs_fault fault, int nth, int count)
{
    pthread_mutex_lock(&mutex);
    struct disk *disk = disk_of(folder);
    disk->is_planned = true;
    disk->fault = fault;
    disk->nth = nth;
    disk->count = count;
    disk->seen = 0;
    disk->struck = 0;
    pthread_mutex_unlock(&mutex);
}

int vfs_faults_heal(const char *folder, int *out_struck_count)
{
    pthread_mutex_lock(&mutex);
    struct disk *disk = disk_of(folder);
    disk->is_planned = false;
    int seen = disk->seen;
    *out_struck_count = disk->struck;
    pthread_mutex_unlock(&mutex);
    return seen;
}

static void write_image(const struct image *image, const char *to)
{
    struct buf name = {0};
    buf_printf(&name, "%s%s", to, strrchr(image->path, '/'));
    FILE *file = fopen(name.data, "we");
    assert(file != NULL);
    size_t written = fwrite(image->bytes, 1, image->size, file);
    assert(written == image->size);
    fclose(file);
    buf_fini(&name);
}

void vfs_faults_cut_power(const char *folder, const char *to)
{
    pthread_mutex_lock(&mutex);
    const struct disk *disk = disk_of(folder);
    for (size_t i = 0; i < disk->image_count; i++) {
        /* A renamed file has another image. */
        if (!disk->images[i].is_removed && access(disk->images[i].path, F_OK) == 0) {
            write_image(&disk->images[i], to);
        }
    }
    pthread_mutex_unlock(&mutex);
}

void vfs_faults_forget(const char *folder)
{
    pthread_mutex_lock(&mutex);
    struct disk *disk = disk_of(folder);
    struct disk **link = &disks;
    while (*link != disk) {
        link = &(*link)->next;
    }
    *link = disk->next;
    for (size_t i = 0; i < disk->image_count; i++) {
        free(disk->images[i].path);
        free(disk->images[i].bytes);
        free(disk->images[i].is_dirty);
    }
    free(disk->folder);
    free(disk);
    pthread_mutex_unlock(&mutex);
}
