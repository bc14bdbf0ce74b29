/*
 * parts - what several sources are made of: files that hold keys, answers of services, a source
 * that stands on another.
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

/* A file that holds keys. All zero but the path at first. */
struct key_file {
    char *path;           /* owned, never NULL */
    bool has_been_warned; /* that others may read it */
};

/* `path` is copied; one that begins with "~/" starts at $HOME. */
void key_file_init(struct key_file *file, const struct credential_context *context,
                   const char *path);
void key_file_fini(struct key_file *file);
/*
 * Reads the whole file, at most KEY_FILE_BYTES_MAX, as it is now; links are followed. What others
 * may write is refused, what they may read is logged once.
 * STATUS_NOT_FOUND: there is none; STATUS_INVALID: all else. *out_why is appended to and names the
 * file.
 */
enum status key_file_read(struct key_file *file, struct secret *out, struct buf *out_why);

/* --- services --- */

/* "STS", or "CloudSSO", and what it answered: credentials, or why there are none. `caller` are
 * those the request was signed with, or NULL: they are cut out of the text. */
enum status service_answer_read(const struct http_answer *answer, const char *service,
                                const struct credential_form *form,
                                const struct credentials *caller, struct credentials *out,
                                struct buf *out_why);
/* The STS endpoint as a profile (its parts may be NULL), the settings and the environment say. */
enum status service_sts_endpoint(const struct credential_context *context, const char *endpoint,
                                 const char *region, bool is_vpc, struct buf *out_url,
                                 struct buf *out_why);
/* Posts the form of an STS request and wipes the request. */
void service_sts_send(const struct credential_context *context, struct sts_request *request,
                      http_done_fn *done, void *arg);

/* --- a profile in a file, which stands for another source --- */

struct profile_file;
/*
 * Makes the source that the profile stands for, and the text that its errors begin with; the caller
 * gives both up. Else *out_why is appended to.
 */
typedef enum status profile_read_fn(const struct profile_file *file, struct slice content,
                                    struct credential_source **out_source, char **out_where,
                                    struct buf *out_why);

struct profile_file {
    struct credential_source source; /* first: a source is cast back to this */
    const struct credential_context *context;
    struct key_file file;
    char *profile;        /* NULL for the file's own choice */
    const char *off_name; /* variable that turns the file off; NULL for none */
    profile_read_fn *read;
    /* The source of the last get. */
    struct credential_source *inner;
    struct credential_source *old; /* may still be in its callback */
    char *where;
    credentials_got_fn *got;
    void *arg;
};

/* The file is read anew for each get. `ops` has the name, and the operations below. */
struct profile_file *profile_file_new(const struct credential_source_ops *ops,
                                      const struct credential_context *context, const char *path,
                                      const char *profile, profile_read_fn *read);
void profile_file_get(struct credential_source *source, credentials_got_fn *got, void *arg);
void profile_file_files(struct credential_source *source, credentials_file_fn *told, void *arg);
void profile_file_free(struct credential_source *source);

#endif
