/*
 * ini - a file of [sections] with key = value lines, read strictly, one item at a time.
 *
 * Lines end with LF or CR LF. White space around names and values does not count. A comment begins
 * with '#' or ';', at the start of a line or behind white space. A value may stand in double or
 * single quotes, which are taken off and within which nothing begins a comment; nothing is escaped.
 * A section asked for that comes twice, a key asked for that comes twice in it, a key before the
 * first section, a line that is neither and control characters are refused. Keys and sections are
 * case-sensitive. A byte order mark in front is passed over.
 *
 * Thread: any; pure. Faults are phrases that never hold any of the text.
 */
#ifndef CREDENTIALS_INI_H
#define CREDENTIALS_INI_H

#include "base/slice.h"
#include "base/status.h"

#include <stddef.h>

struct ini_fault {
    const char *what;
    size_t line; /* from 1 */
};

/*
 * Reads the values of `count` keys of one section. values[i] is absent where keys[i] is not there,
 * else points into `text`; other keys are passed over. The whole text is checked, also behind the
 * section.
 *
 * STATUS_NOT_FOUND: no such section; STATUS_INVALID: *out_fault tells what and where. The values
 * are untouched in both cases.
 */
enum status ini_read(struct slice text, const char *section, const char *const keys[], size_t count,
                     struct slice out_values[], struct ini_fault *out_fault);

#endif
