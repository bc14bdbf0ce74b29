/*
 * argv - a command line cut into words as a shell would, by a few of its rules and no others.
 *
 * White space parts words. '...' keeps everything; "..." keeps everything but a backslash before
 * '"' or '\'; outside of quotes a backslash keeps the next byte. Nothing is expanded: no variables,
 * no patterns, no commands, no comments. These are the rules of Python's shlex.split().
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
 * STATUS_INVALID with a phrase in *out_why: a quote or a backslash without its end, a NUL, or no
 * word at all; STATUS_LIMIT: more than ARGV_WORDS_MAX words.
 */
enum status argv_init(struct argv *argv, struct slice text, const char **out_why);
/* Wipes the words, since people put passwords there. Takes NULL. */
void argv_fini(struct argv *argv);

#endif
