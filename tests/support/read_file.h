/*
 * read_file - a whole file, for a test that compares it.
 */
#ifndef SUPPORT_READ_FILE_H
#define SUPPORT_READ_FILE_H

#include "base/buf.h"

/* Appends the content of a file, with a NUL behind it. Fails the running test if there is none. */
void read_file(const char *path, struct buf *out);

#endif
