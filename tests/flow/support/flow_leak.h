/*
 * flow_leak - looks for secrets in what a program gave out: as they are, percent-encoded, in hex,
 * and in base64 at each of its three alignments.
 */
#ifndef FLOW_LEAK_H
#define FLOW_LEAK_H

#include <stddef.h>
#include <sys/types.h>

/* How the secret stands in the bytes ("plain", "base64", ...), or NULL where it does not. */
const char *leak_in_bytes(const char *bytes, size_t length, const char *secret);
/* Fails the running test where a secret of the list (ends with NULL) is in a file. A file that is
 * not there, or that nobody may read, holds none. */
void leak_check_file(const char *path, const char *const *secrets);
/* The same for every regular file below a directory, but for those of this name (NULL: none);
 * returns how many were read. */
int leak_check_tree(const char *directory, const char *const *secrets, const char *skipped_name);
/* The same for what /proc shows of a process: its command line, its environment. */
void leak_check_process(pid_t pid, const char *const *secrets);

#endif
