/*
 * common - what several sources use: files that hold keys, answers of services, profiles in files.
 *
 * Thread: the loop's.
 */
#ifndef CREDENTIALS_COMMON_H
#define CREDENTIALS_COMMON_H

#include "document.h"
#include "sources.h"
#include "sts.h"

/* --- files --- */

#define KEY_FILE_BYTES_MAX 65536

/* A file that holds keys. Starts as zero except for the path. */
struct key_file {
    char *path;           /* owned, never NULL */
    bool has_been_warned; /* others may read it: the warning was logged */
};

/* Copies `path`; "~/" at its start stands for $HOME. */
void key_file_init(struct key_file *file, const struct credential_context *context,
                   const char *path);
void key_file_fini(struct key_file *file);
/*
 * Reads the whole file, at most KEY_FILE_BYTES_MAX; links are followed. Refused if others than the
 * owner may write it; if others may read it, one warning is logged.
 * STATUS_NOT_FOUND: there is no such file; STATUS_INVALID: any other problem. The reason, with the
 * file's name, is appended to *out_why.
 */
enum status key_file_read(struct key_file *file, struct secret *out, struct buf *out_why);

/* --- services --- */

/* Reads the answer of `service` ("STS", "CloudSSO"): credentials, or the reason why there are none.
 * `caller` are the credentials that signed the request, or NULL: they are removed from the reason.
 */
enum status service_answer_read(const struct http_answer *answer, const char *service,
                                const struct credential_form *form,
                                const struct credentials *caller, struct credentials *out,
                                struct buf *out_why);
/* The STS endpoint from a profile (its parts may be NULL), the settings and the environment. */
enum status service_sts_endpoint(const struct credential_context *context, const char *endpoint,
                                 const char *region, bool is_vpc, struct buf *out_url,
                                 struct buf *out_why);
/* Sends the STS request with POST and wipes it. */
void service_sts_send(const struct credential_context *context, struct sts_request *request,
                      http_done_fn *done, void *arg);

/* --- a profile in a file, which names another source --- */

struct profile_file;
/*
 * Creates the source that the profile names, and the text that its errors start with; the caller
 * owns both. On failure the reason is appended to *out_why.
 */
typedef enum status profile_read_fn(const struct profile_file *file, struct slice content,
                                    struct credential_source **out_source, char **out_where,
                                    struct buf *out_why);

struct profile_file {
    struct credential_source source; /* first: a source is cast back to this */
    const struct credential_context *context;
    struct key_file file;
    char *profile;        /* NULL: the file names the current one */
    const char *off_name; /* variable that turns the file off; NULL for none */
    profile_read_fn *read;
    /* The source of the last get. */
    struct credential_source *inner;
    struct credential_source *old; /* the one before; its callback may still be running */
    char *where;
    credentials_got_fn *got;
    void *arg;
};

/* The file is read for each get. `ops` has the name, and the operations below. */
struct profile_file *profile_file_new(const struct credential_source_ops *ops,
                                      const struct credential_context *context, const char *path,
                                      const char *profile, profile_read_fn *read);
void profile_file_get(struct credential_source *source, credentials_got_fn *got, void *arg);
void profile_file_files(struct credential_source *source, credentials_file_fn *report, void *arg);
void profile_file_free(struct credential_source *source);

#endif
