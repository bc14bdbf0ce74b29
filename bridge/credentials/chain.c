/*
 * Tries one source after the other. If a source answers before its get returns, the loop in walk()
 * goes on to the next, so that a long chain needs no recursion.
 *
 * The source that gave credentials last is tried first. If it fails, all are tried in order, that
 * one included.
 */
#include "sources.h"

#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>

struct chain {
    struct credential_source source; /* first: a source is cast back to this */
    char *prefix;
    struct credential_source **sources;
    size_t count;
    struct credential_source *last; /* gave credentials the last time; NULL: none did */
    /* The running get. */
    credentials_got_fn *got; /* NULL: none runs */
    void *arg;
    bool is_whole; /* all are tried; false: only `last` */
    size_t next;
    bool is_walking;  /* walk() runs and goes on by itself after an answer */
    bool is_answered; /* the source tried last has answered */
    enum status result;
    struct buf why;
};

static void finish(struct chain *chain, enum status status, const struct credentials *credentials)
{
    credentials_got_fn *got = chain->got;
    struct buf why = chain->why;
    chain->got = NULL;
    chain->why = (struct buf){0};
    got(chain->arg, status, credentials, buf_slice(&why).data);
    buf_fini(&why);
}

static struct credential_source *current_source(const struct chain *chain)
{
    return chain->is_whole ? chain->sources[chain->next - 1] : chain->last;
}

static void note_failure(struct chain *chain, enum status status, const char *text)
{
    if (!chain->is_whole) {
        /* Start over with all sources; its error then counts, this one does not. */
        chain->last = NULL;
        chain->is_whole = true;
        chain->next = 0;
        return;
    }
    /* STATUS_UNAVAILABLE wins, since waiting may help; then STATUS_INVALID. */
    if (status == STATUS_UNAVAILABLE || chain->result == STATUS_NOT_FOUND) {
        chain->result = status;
    }
    if (chain->why.length > 0) {
        buf_append_char(&chain->why, '\n');
    }
    buf_printf(&chain->why, "%s: %s", credentials_name(current_source(chain)), text);
}

static void walk(struct chain *chain);

static void answered(void *arg, enum status status, const struct credentials *credentials,
                     const char *text)
{
    struct chain *chain = arg;
    chain->is_answered = true;
    if (status == STATUS_OK) {
        struct credentials named = {0};
        chain->last = current_source(chain);
        credentials_copy(&named, credentials);
        credentials_set_provider(&named, "%s%s", chain->prefix, credentials->provider);
        finish(chain, STATUS_OK, &named);
        credentials_fini(&named);
        return;
    }
    note_failure(chain, status, text);
    if (!chain->is_walking) {
        walk(chain);
    }
}

/* Tries sources until one does not answer at once, or the get has ended. */
static void walk(struct chain *chain)
{
    chain->is_walking = true;
    do {
        if (chain->is_whole && chain->next == chain->count) {
            chain->is_walking = false;
            finish(chain, chain->result, NULL);
            return;
        }
        chain->is_answered = false;
        chain->next += chain->is_whole ? 1 : 0;
        credentials_get(current_source(chain), answered, chain);
    } while (chain->is_answered && chain->got != NULL);
    chain->is_walking = false;
}

static void chain_get(struct credential_source *source, credentials_got_fn *got, void *arg)
{
    struct chain *chain = (struct chain *)source;
    assert(chain->got == NULL);
    chain->got = got;
    chain->arg = arg;
    chain->is_whole = chain->last == NULL;
    chain->next = 0;
    chain->result = STATUS_NOT_FOUND;
    walk(chain);
}

/* Sources after `last` are not tried instead: the order is the user's configuration. */
static bool chain_refused(struct credential_source *source, uint64_t serial)
{
    struct chain *chain = (struct chain *)source;
    return chain->last != NULL && credentials_refused(chain->last, serial);
}

static void chain_files(struct credential_source *source, credentials_file_fn *report, void *arg)
{
    struct chain *chain = (struct chain *)source;
    for (size_t i = 0; i < chain->count; i++) {
        credentials_files(chain->sources[i], report, arg);
    }
}

static void chain_free(struct credential_source *source)
{
    struct chain *chain = (struct chain *)source;
    for (size_t i = 0; i < chain->count; i++) {
        credentials_source_free(chain->sources[i]);
    }
    free(chain->sources);
    free(chain->prefix);
    buf_fini(&chain->why);
    free(chain);
}

struct credential_source *credentials_chain_new(const char *prefix,
                                                struct credential_source *const *sources,
                                                size_t count)
{
    static const struct credential_source_ops ops = {.name = "default",
                                                     .get = chain_get,
                                                     .refused = chain_refused,
                                                     .files = chain_files,
                                                     .free = chain_free};
    struct chain *chain = mem_zalloc(1, sizeof *chain);
    chain->source.ops = &ops;
    chain->prefix = mem_strdup(prefix);
    chain->sources = mem_alloc(count * sizeof(struct credential_source *));
    for (size_t i = 0; i < count; i++) {
        chain->sources[i] = sources[i];
    }
    chain->count = count;
    return &chain->source;
}
