/*
 * shared_text - a text that one thread replaces as a whole and others copy, under a mutex.
 *
 * Thread: any, after shared_text_init().
 */
#ifndef BASE_SHARED_TEXT_H
#define BASE_SHARED_TEXT_H

#include "buf.h"
#include "slice.h"

#include <pthread.h>

struct shared_text {
    pthread_mutex_t mutex;
    struct buf text;
};

/* The text is empty. */
void shared_text_init(struct shared_text *shared);
void shared_text_fini(struct shared_text *shared);
/* Replaces the text; the bytes are copied. */
void shared_text_set(struct shared_text *shared, struct slice text);
/* Appends the present text to *out. */
void shared_text_append_to(struct shared_text *shared, struct buf *out);

#endif
