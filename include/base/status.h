/*
 * status - the result of an operation on the machine or on an input.
 *
 * Returned by value and always checked. An answer of the API is a struct outcome instead; what only
 * a bug of ours can cause is an assert.
 *
 * Thread: any.
 */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

enum status {
    STATUS_OK = 0,
    STATUS_INVALID,     /* the input breaks a rule */
    STATUS_NOT_FOUND,   /* the file, key or row is not there */
    STATUS_LIMIT,       /* a limit was exceeded */
    STATUS_UNAVAILABLE, /* a peer, a process or a permission is missing for now */
    STATUS_STORE,       /* the store cannot be read or written */
    STATUS_BUSY,        /* another process uses it */
    STATUS_CLOSED,      /* the peer has closed, or this part is stopping */
};

/* A lower-case word for logs; never NULL. */
const char *status_text(enum status status);

#endif
