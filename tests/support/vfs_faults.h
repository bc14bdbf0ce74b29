/*
 * vfs_faults - a SQLite file system whose disks fail on request and forget what was not synced.
 *
 * It uses the default file system of SQLite. Every folder is a disk. For a database and its
 * write-ahead log it keeps an image of the pages that were synced: what a power cut would leave. A
 * sync that fails treats the written pages as kernels do: they count as clean, and the next sync
 * does not write them unless they are written again.
 *
 * Thread: any.
 */
#ifndef SUPPORT_VFS_FAULTS_H
#define SUPPORT_VFS_FAULTS_H

#include <stdbool.h>

enum vfs_fault {
    VFS_WRITE_EIO,   /* nothing is written */
    VFS_WRITE_SHORT, /* half of it is written */
    VFS_WRITE_FULL,  /* nothing is written: no space */
    VFS_WRITE_EROFS, /* nothing is written: a read-only file system */
    VFS_READ_EIO,
    VFS_READ_SHORT, /* the second half is missing, as from a file that was cut off */
    VFS_SYNC_EIO,   /* the written pages stay readable, but never reach the disk */
    VFS_SYNC_LOST,  /* the same, and reading returns the old pages */
};

/* Makes it the default file system. Call it once, before SQLite is used. */
void vfs_faults_register(void);
/* From now on, count the operations of the fault's kind: those from the `nth` (1 is the first) to
 * `nth + count - 1` fail. */
void vfs_faults_plan(const char *folder, enum vfs_fault fault, int nth, int count);
/* Ends the plan. Returns how many operations of its kind there were; *out_struck is how many
 * failed. */
int vfs_faults_heal(const char *folder, int *out_struck_count);
/* Writes what a power cut would leave of the folder's databases into another folder, which exists.
 */
void vfs_faults_cut_power(const char *folder, const char *to);
/* Forgets the folder; no file in it may be open. */
void vfs_faults_forget(const char *folder);

#endif
