/*
 * status - how an operation on the machine or on an input ended.
 *
 * Returned by value and always checked. What the far side answers is a struct outcome instead; what
 * only our own mistake can cause is an assert.
 *
 * Thread: any.
 */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

enum status {
    STATUS_OK = 0,
    STATUS_INVALID,     /* the input breaks a rule; the caller was told which */
    STATUS_NOT_FOUND,   /* the file, key or row is not there */
    STATUS_LIMIT,       /* a named limit was passed */
    STATUS_UNAVAILABLE, /* the far side, a process or a permission is missing for now */
    STATUS_STORE,       /* the store cannot be read or written */
    STATUS_BUSY,        /* somebody else holds it */
    STATUS_CLOSED,      /* the other end is gone or this part is stopping */
};

/* A lower-case word for logs; never NULL. */
const char *status_text(enum status status);

#endif
