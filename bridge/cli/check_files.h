/*
 * check_files - the part of `check` that looks at the ledger's place and at the rights of files,
 * and how all parts of it report what they find.
 *
 * Thread: the main one.
 */
#ifndef CLI_CHECK_FILES_H
#define CLI_CHECK_FILES_H

#include "settings/settings.h"

struct check {
    const char *path; /* of the configuration file */
    const struct settings *settings;
    int error_count;
    int warning_count;
};

/* Prints one line on standard error and counts it. */
void check_error(struct check *check, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void check_warning(struct check *check, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Warns of a secret file that other users may open. */
void check_secret_file(struct check *check, const char *key, const char *path);
/* The ledger's directory and files, the audit file, and the files that are read later than at the
 * start. The other files of the settings were checked when the settings were read. */
void check_files(struct check *check);

#endif
