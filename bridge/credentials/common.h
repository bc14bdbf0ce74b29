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

/* --- a source that stands on another --- */

struct delegate {
    const char *provider; /* put before the other's: "cli_profile" */
    struct credential_source *inner;
    struct credential_source *old; /* may still be in its callback */
    char *where;                   /* put before what goes wrong */
    credentials_got_fn *got;
    void *arg;
};

/* Asks `inner`, which is taken over, as is `where`. */
void delegate_get(struct delegate *delegate, struct credential_source *inner, char *where,
                  credentials_got_fn *got, void *arg);
void delegate_fini(struct delegate *delegate);

#endif
