/*
 * section - the values of one section of an ini file, read strictly.
 *
 * Wraps libinih. Lines end with LF or CR LF. A key ends at the first '=' or ':' of its line. White
 * space around names and values does not count. A comment begins with '#' or ';', at the start of a
 * line or after white space. A value may stand in double or single quotes, which are removed and
 * within which nothing begins a comment; nothing is escaped. Keys and sections are case-sensitive.
 * A byte order mark in front is skipped.
 *
 * Refused: a wanted key that appears twice, a wanted section whose keys are in two places, a key
 * before the first section, a line that is neither section nor key, control characters. A line or a
 * section's name that libinih would truncate is refused too: a secret is never read in part.
 *
 * Thread: the loop's, since libinih's options are global. Errors never contain any of the text.
 */
#ifndef BASE_SECTION_H
#define BASE_SECTION_H

#include "base/slice.h"
#include "base/status.h"

#include <stddef.h>

/* A line without its end. Files of keys are not larger. */
#define SECTION_LINE_BYTES_MAX 65536
/* A section's name. */
#define SECTION_NAME_BYTES_MAX 48

struct section_fault {
    const char *what;
    size_t line; /* from 1 */
};

/*
 * Reads the values of `count` keys of one section; other keys are skipped. values[i] points into
 * `text`; it is absent if keys[i] is. The whole text is checked, also after the section.
 *
 * STATUS_NOT_FOUND: no such section, or an empty one; STATUS_INVALID: *out_fault has the error and
 * its line. The values are unchanged in both cases.
 */
enum status section_read(struct slice text, const char *section, const char *const keys[],
                         size_t count, struct slice out_values[], struct section_fault *out_fault);

#endif
