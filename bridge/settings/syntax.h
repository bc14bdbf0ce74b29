/*
 * syntax - the text of a configuration file in front of libconfig: what libconfig would accept
 * without a message is refused, and a syntax error that libconfig finds is explained, because
 * libconfig itself says no more than its line.
 *
 * Thread: any; one text at a time for each struct.
 */
#ifndef SETTINGS_SYNTAX_H
#define SETTINGS_SYNTAX_H

#include "table.h"

#define SYNTAX_DEPTH_MAX 32

enum syntax_kind { SYNTAX_WORD, SYNTAX_NUMBER, SYNTAX_STRING, SYNTAX_CHAR };

/* A name of a setting, to find the one that is there twice. */
struct syntax_name {
    unsigned group; /* the number of the group that it is in */
    unsigned line;
    struct slice name;
};

/* Begin with {0}; the slices point into the text. */
struct syntax {
    int state;
    size_t depth;
    struct {
        char open; /* '{', '(' or '[' */
        unsigned line;
        unsigned group;
    } stack[SYNTAX_DEPTH_MAX];
    unsigned group_count;
    struct slice name;    /* of the last setting */
    bool is_after_string; /* the last value is a text, which may continue */
    bool is_lost;         /* too deep: nothing more is known */
    struct syntax_name *names;
    size_t name_count;
    struct buf fault;    /* what is wrong with the first token that does not fit */
    unsigned fault_line; /* 0: none was found */
};

/* The next token, and the end of the text. */
void syntax_token(struct syntax *syntax, enum syntax_kind kind, struct slice token, unsigned line);
void syntax_end(struct syntax *syntax, unsigned line);
/* The name on this line that an earlier setting of the same group has; absent: there is none. */
struct slice syntax_duplicate(const struct syntax *syntax, unsigned line);
void syntax_fini(struct syntax *syntax);

/*
 * Prepares the text for libconfig 1.5, which accepts some errors without a message: whole numbers
 * beyond 32 bits get the suffix L (libconfig would truncate them); a comment or a string without an
 * end, a NUL, "\x00", @include and a byte order mark are errors. Line numbers do not change.
 */
enum status settings_scan(struct slice text, const char *file, struct buf *out,
                          struct settings_report *report, struct syntax *syntax);

#endif
