/*
 * argv - splits a command line into words, with a few rules of the shell.
 *
 * White space separates words. In '...' every byte stands for itself; in "..." every byte except a
 * backslash before '"' or '\'; outside of quotes a backslash quotes the next byte. No variables,
 * patterns, commands or comments. These are the rules of Python's shlex.split().
 *
 * Thread: any; pure.
 */
#ifndef CREDENTIALS_ARGV_H
#define CREDENTIALS_ARGV_H

#include "base/slice.h"
#include "base/status.h"

#include <stddef.h>

#define ARGV_WORDS_MAX 1024

struct argv {
    char **words; /* `count` of them and a NULL, as execvp(3) has it */
    size_t count;
    char *bytes;
    size_t byte_count;
};

/*
 * STATUS_INVALID: an unclosed quote, a backslash at the end, a NUL, or no word at all; *out_why is
 * a phrase. STATUS_LIMIT: more than ARGV_WORDS_MAX words.
 */
enum status argv_init(struct argv *argv, struct slice text, const char **out_why);
/* Wipes the words, which may contain passwords. Takes NULL. */
void argv_fini(struct argv *argv);

#endif
