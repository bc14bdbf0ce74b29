/*
 * file - what the C library lacks for files.
 *
 * Thread: any.
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

/*
 * Syncs the directory of a file, so that a power cut does not lose the name of a file that was
 * created or renamed. Returns 0, or -1 with errno set.
 */
int file_sync_directory_of(const char *path);

#endif
