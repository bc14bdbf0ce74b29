/*
 * file_private - what the two files of the audit file share.
 *
 *   file_open.c  opens it: whose it is, and where its next line goes
 *   file.c       appends to it, and changes to a new one
 */
#ifndef AUDIT_FILE_PRIVATE_H
#define AUDIT_FILE_PRIVATE_H

#include "file.h"

struct audit_file {
    char *path;
    bool is_full;
    int fd;
    int64_t offset;           /* of the byte after the last line that was appended */
    struct audit_chain chain; /* as of that line */
    struct audit_place place; /* of the next line */
    bool lacks_line_end;      /* the byte before `offset` is no line end, and should be one */
    char error[512];
};

/* Opens or creates, checks and locks the file. Statuses as audit_file_open(). */
enum status audit_file_open_path(const char *path, int *out_fd, struct buf *out_why);
/* The file of `size` bytes does not hold what was written to it: logs that and goes on at its end.
 */
void audit_file_note_damage(struct audit_file *file, int64_t size);

#endif
