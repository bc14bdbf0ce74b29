/*
 * The head of a frame waits for its page, which SQLite writes next; a head without a page means
 * nothing to SQLite. It is only kept where it continues the last write: a frame that is already in
 * the log may get a new head, and no page follows then.
 */
#include "file_io.h"

#include "base/clock.h"

#include <stddef.h>
#include <string.h>

static struct file_io_methods *methods_of(sqlite3_file *file)
{
    return (struct file_io_methods *)(void *)file->pMethods;
}

/* Writes a head that waits by itself, where SQLite does not write its page next. */
static int write_head(sqlite3_file *file)
{
    struct file_io *io = methods_of(file)->io;
    if (!io->has_head) {
        return SQLITE_OK;
    }
    io->has_head = false;
    return methods_of(file)->own->xWrite(file, io->frame, FILE_IO_HEAD_BYTES,
                                         io->written_to - FILE_IO_HEAD_BYTES);
}

static int write_log(sqlite3_file *file, const void *bytes, int length, sqlite3_int64 offset)
{
    const sqlite3_io_methods *own = methods_of(file)->own;
    struct file_io *io = methods_of(file)->io;
    bool is_next = offset == io->written_to;
    if (io->has_head && is_next && length <= FILE_IO_PAGE_BYTES) {
        io->has_head = false;
        io->written_to = offset + length;
        memcpy(io->frame + FILE_IO_HEAD_BYTES, bytes, (size_t)length);
        return own->xWrite(file, io->frame, FILE_IO_HEAD_BYTES + length,
                           offset - FILE_IO_HEAD_BYTES);
    }
    int result = write_head(file);
    if (result != SQLITE_OK) {
        return result;
    }
    io->written_to = offset + length;
    if (is_next && length == FILE_IO_HEAD_BYTES) {
        memcpy(io->frame, bytes, FILE_IO_HEAD_BYTES);
        io->has_head = true;
        return SQLITE_OK;
    }
    return own->xWrite(file, bytes, length, offset);
}

static int read_log(sqlite3_file *file, void *bytes, int length, sqlite3_int64 offset)
{
    int result = write_head(file);
    return result == SQLITE_OK ? methods_of(file)->own->xRead(file, bytes, length, offset) : result;
}

static int sync_file(sqlite3_file *file, int flags)
{
    struct file_io_methods *methods = methods_of(file);
    int64_t began_us = clock_mono_us();
    int result = methods->own->xSync(file, flags);
    methods->io->sync_us += clock_mono_us() - began_us;
    return result;
}

static int sync_log(sqlite3_file *file, int flags)
{
    int result = write_head(file);
    return result == SQLITE_OK ? sync_file(file, flags) : result;
}

static void replace_methods(struct file_io *io, struct file_io_methods *methods, sqlite3 *db,
                            int which)
{
    sqlite3_file *file = NULL;
    if (sqlite3_file_control(db, "main", which, &file) != SQLITE_OK || file == NULL ||
        file->pMethods == NULL) {
        return;
    }
    *methods = (struct file_io_methods){*file->pMethods, file->pMethods, io};
    methods->methods.xSync = sync_file;
    if (which == SQLITE_FCNTL_JOURNAL_POINTER) {
        methods->methods.xSync = sync_log;
        methods->methods.xWrite = write_log;
        methods->methods.xRead = read_log;
    }
    file->pMethods = &methods->methods;
}

void file_io_begin(struct file_io *io, sqlite3 *db)
{
    io->written_to = -1;
    replace_methods(io, &io->file, db, SQLITE_FCNTL_FILE_POINTER);
    replace_methods(io, &io->log, db, SQLITE_FCNTL_JOURNAL_POINTER);
}
