/*
 * vfs_faults - a SQLite file system whose disks fail on request and forget what was not synced.
 *
 * It lies over the default one. Every folder is a disk. Of a database and its write-ahead log, what
 * was synced is kept aside, page by page, as what a power cut would leave. A sync that fails treats
 * the pages that were to be written as kernels do: they count as clean from then on, and the next
 * sync does not write them unless they were written anew.
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
    VFS_SYNC_EIO,   /* what was to be written stays readable, but never reaches the disk */
    VFS_SYNC_LOST,  /* the same, and it reads as it was before */
};

/* Once, before SQLite's first use: it is the default from then on. */
void vfs_faults_register(void);
/* Of the operations of the fault's kind from now on, the `nth` (from 1) and the `count` - 1 after
 * it fail. */
void vfs_faults_plan(const char *folder, enum vfs_fault fault, int nth, int count);
/* The plan is over. How many operations of its kind there were, and how many of them failed. */
int vfs_faults_heal(const char *folder, int *out_struck_count);
/* Writes what would be left of the folder's databases into another one, which is there. */
void vfs_faults_cut_power(const char *folder, const char *to);
/* Forgets the folder; nothing in it is open any more. */
void vfs_faults_forget(const char *folder);

#endif
