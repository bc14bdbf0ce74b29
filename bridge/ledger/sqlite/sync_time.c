#include "sync_time.h"

#include "base/clock.h"

#include <stddef.h>

static int sync_timed(sqlite3_file *file, int flags)
{
    const struct sync_methods *methods = (const void *)file->pMethods;
    int64_t began_us = clock_mono_us();
    int result = methods->own->xSync(file, flags);
    methods->time->us += clock_mono_us() - began_us;
    return result;
}

static void replace_methods(struct sync_time *time, struct sync_methods *methods, sqlite3 *db,
                            int which)
{
    sqlite3_file *file = NULL;
    if (sqlite3_file_control(db, "main", which, &file) != SQLITE_OK || file == NULL ||
        file->pMethods == NULL) {
        return;
    }
    *methods = (struct sync_methods){*file->pMethods, file->pMethods, time};
    methods->methods.xSync = sync_timed;
    file->pMethods = &methods->methods;
}

void sync_time_begin(struct sync_time *time, sqlite3 *db)
{
    replace_methods(time, &time->file, db, SQLITE_FCNTL_FILE_POINTER);
    replace_methods(time, &time->log, db, SQLITE_FCNTL_JOURNAL_POINTER);
}
