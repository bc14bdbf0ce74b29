#include "base/shared_text.h"

void shared_text_init(struct shared_text *shared)
{
    pthread_mutex_init(&shared->mutex, NULL);
    shared->text = (struct buf){0};
}

void shared_text_fini(struct shared_text *shared)
{
    pthread_mutex_destroy(&shared->mutex);
    buf_fini(&shared->text);
}

void shared_text_set(struct shared_text *shared, struct slice text)
{
    pthread_mutex_lock(&shared->mutex);
    buf_clear(&shared->text);
    buf_append(&shared->text, text);
    pthread_mutex_unlock(&shared->mutex);
}

void shared_text_append_to(struct shared_text *shared, struct buf *out)
{
    pthread_mutex_lock(&shared->mutex);
    buf_append(out, buf_slice(&shared->text));
    pthread_mutex_unlock(&shared->mutex);
}
