/*
 * errors - every error the service is documented to answer, in one table.
 *
 * Source: the error tables of StartDiskReplicaGroup and of the API gateway. Where the
 * vendor publishes a code without its text or status, the row holds a plausible one.
 */
#ifndef SIMULATOR_ERRORS_H
#define SIMULATOR_ERRORS_H

#include <stdbool.h>
#include <stddef.h>

struct error_row {
    unsigned http;
    const char *code;
    const char *message;
};

extern const struct error_row error_rows[];
extern const size_t error_row_count;

/* The row of a code, or NULL. */
const struct error_row *error_find(const char *code);

/* An error on its way to the client. `message` is owned; {0} means "no error". */
struct problem {
    unsigned http;
    char code[96];
    char *message;
};

/*
 * Turn `problem` into the table's row `code`, which must exist. `format` replaces the row's
 * message; NULL keeps it. Always returns false, so that a check can end with it.
 */
bool problem_set(struct problem *problem, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same with a code and status of the caller's own. */
void problem_set_free(struct problem *problem, unsigned http, const char *code,
                      const char *message);

void problem_fini(struct problem *problem);

#endif
