/*
 * The thread and the loop share a job, which the last of them frees. The thread wakes the loop only
 * while the lookup is wanted, so the loop may be freed while a thread still waits for an answer.
 */
#include "base/lookup.h"

#include "base/mem.h"

#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct job {
    char *host;
    struct lookup_result result;
    pthread_mutex_t mutex;  /* guards what follows */
    struct loop_wake *wake; /* NULL: nobody waits for the result */
    bool is_done;
};

struct lookup {
    struct job *job;
    struct loop_wake *wake;
    lookup_done_fn *done;
    void *arg;
};

static void job_free(struct job *job)
{
    pthread_mutex_destroy(&job->mutex);
    free(job->host);
    free(job);
}

static const char *error_text(int error)
{
    switch (error) {
    case EAI_NONAME:
    case EAI_NODATA:
        return "no such host: the name cannot be resolved";
    case EAI_AGAIN:
        return "the name cannot be resolved: no name server answers";
    default:
        return gai_strerror(error);
    }
}

static bool has_address(const struct lookup_result *result, const char *address)
{
    bool is_known = false;
    for (size_t i = 0; i < result->count; i++) {
        is_known = is_known || strcmp(result->addresses[i], address) == 0;
    }
    return is_known;
}

static void resolve(const char *host, struct lookup_result *out)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    int error = getaddrinfo(host, NULL, &hints, &list);
    for (const struct addrinfo *at = list; at != NULL; at = at->ai_next) {
        char *address = out->addresses[out->count];
        if (out->count < LOOKUP_ADDRESSES_MAX &&
            getnameinfo(at->ai_addr, at->ai_addrlen, address, LOOKUP_ADDRESS_BYTES, NULL, 0,
                        NI_NUMERICHOST) == 0 &&
            !has_address(out, address)) {
            out->count++;
        }
    }
    if (list != NULL) {
        freeaddrinfo(list);
    }
    out->error = out->count > 0 ? NULL : error_text(error == 0 ? EAI_NONAME : error);
}

static void *run(void *arg)
{
    struct job *job = arg;
    resolve(job->host, &job->result);
    pthread_mutex_lock(&job->mutex);
    bool is_wanted = job->wake != NULL;
    job->is_done = true;
    if (is_wanted) {
        loop_wake_signal(job->wake);
    }
    pthread_mutex_unlock(&job->mutex);
    if (!is_wanted) {
        job_free(job);
    }
    return NULL;
}

static void woken(void *arg)
{
    struct lookup *lookup = arg;
    /* The thread has written the result, and has left the mutex. */
    pthread_mutex_lock(&lookup->job->mutex);
    pthread_mutex_unlock(&lookup->job->mutex);
    lookup->done(lookup->arg, &lookup->job->result);
}

/* False where the system has no thread left. */
static bool start_thread(struct job *job)
{
    sigset_t all;
    sigset_t before;
    pthread_t thread;
    pthread_attr_t detached;
    sigfillset(&all);
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&thread, &detached, run, job);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&detached);
    return error == 0;
}

struct lookup *lookup_start(struct loop *loop, const char *host, lookup_done_fn *done, void *arg)
{
    struct lookup *lookup = mem_zalloc(1, sizeof *lookup);
    struct job *job = mem_zalloc(1, sizeof *job);
    *lookup = (struct lookup){.job = job, .done = done, .arg = arg};
    lookup->wake = loop_wake_new(loop, woken, lookup);
    job->host = mem_strdup(host);
    job->wake = lookup->wake;
    pthread_mutex_init(&job->mutex, NULL);
    if (!start_thread(job)) {
        job->is_done = true;
        job->result.error = "the name cannot be resolved: the system has no thread left";
        loop_wake_signal(lookup->wake);
    }
    return lookup;
}

void lookup_free(struct lookup *lookup)
{
    if (lookup == NULL) {
        return;
    }
    struct job *job = lookup->job;
    pthread_mutex_lock(&job->mutex);
    bool is_done = job->is_done;
    job->wake = NULL;
    pthread_mutex_unlock(&job->mutex);
    if (is_done) {
        job_free(job);
    }
    loop_wake_free(lookup->wake);
    free(lookup);
}
