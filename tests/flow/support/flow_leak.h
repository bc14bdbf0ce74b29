/*
 * flow_leak - searches the output of a program for secrets: plain, percent-encoded, in hex, and in
 * base64 at each of its three alignments.
 */
#ifndef FLOW_LEAK_H
#define FLOW_LEAK_H

#include <stddef.h>
#include <sys/types.h>

/* The encoding in which the bytes contain the secret ("plain", "base64", ...), or NULL. */
const char *leak_in_bytes(const char *bytes, size_t length, const char *secret);
/* Fails the running test if the file contains a secret of the list (ends with NULL). A file that
 * does not exist or cannot be read contains none. */
void leak_check_file(const char *path, const char *const *secrets);
/* The same for every regular file below a directory, except files named `skipped_name` (NULL:
 * none); returns how many were read. */
int leak_check_tree(const char *directory, const char *const *secrets, const char *skipped_name);
/* The same for the command line and the environment of a process in /proc. */
void leak_check_process(pid_t pid, const char *const *secrets);

#endif
