/*
 * One fetch serves all callers that wait. A timer refreshes the stored credentials before they
 * expire; they stay in use meanwhile, and a refresh that fails is tried again.
 *
 *   empty   → a get → fetching → stored, or all waiting callers get the error
 *   stored  → refresh due → stored and fetching → new ones stored, or the old ones stay
 *   stored  → refused by the API → empty
 *
 * Expiry is a time of the wall clock. Each get compares it, since a timer does not notice when the
 * clock is set.
 */
#include "sources.h"

#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <utlist.h>

#define REFRESH_AHEAD_MS 900000 /* like the vendor's SDKs */
#define REFRESH_WAIT_MIN 1000
#define RETRY_WAIT_MAX   60000
/* A get within this time after a failure gives the same error, without a fetch. */
#define FAILURE_CACHED_MS 1000
/* After a refusal: new credentials that are refused within this time stay in use. */
#define REFUSED_AGAIN_MS   60000
#define EXPIRY_MARGIN_MS   5000 /* a call must reach the API before they expire */
#define EXPIRY_MARGIN_PART 10   /* but no more than this part of their lifetime */

struct waiter {
    struct waiter *prev;
    struct waiter *next;
    credentials_got_fn *got;
    void *arg;
};

struct cache {
    struct credential_source source; /* first: a source is cast back to this */
    const struct credential_context *context;
    struct credential_source *inner;
    struct loop_timer *timer;
    struct waiter *waiters;
    bool is_fetching;
    bool has_stored;
    struct credentials stored;
    int64_t usable_until_ms; /* wall clock */
    uint64_t serial;
    bool is_after_refusal; /* the last successful or the running fetch was started by a refusal */
    int64_t fetched_at_ms; /* the loop's clock */
    /* The last failure, while nothing is stored. */
    bool has_failed;
    enum status status;
    struct buf why;
    int64_t failed_at_ms; /* the loop's clock */
};

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Random, from wait_ms * (1 - 1/part) to wait_ms: many bridges do not fetch at the same moment. */
static int64_t jittered(int64_t wait_ms, int64_t part)
{
    uint32_t random;
    digest_random(&random, sizeof random);
    int64_t range_ms = wait_ms / part;
    return range_ms < 1 ? wait_ms : wait_ms - (int64_t)random % range_ms;
}

/* --- waiting callers --- */

static void answer_waiters(struct cache *cache, enum status status,
                           const struct credentials *credentials, const char *text)
{
    struct waiter *due = cache->waiters;
    cache->waiters = NULL;
    while (due != NULL) {
        struct waiter *waiter = due;
        DL_DELETE(due, waiter);
        waiter->got(waiter->arg, status, credentials, text);
        free(waiter);
    }
}

/* --- times --- */

/* No expiry but refresh due now: serve the current waiters, do not store. */
static bool is_single_use(const struct credentials *credentials, int64_t now_ms)
{
    return credentials->expires_at_ms == INT64_MAX && credentials->refresh_at_ms != 0 &&
           credentials->refresh_at_ms <= now_ms;
}

static void plan_refresh(struct cache *cache, int64_t now_ms)
{
    const struct credentials *stored = &cache->stored;
    int64_t at_ms = stored->refresh_at_ms;
    if (is_single_use(stored, now_ms) || (at_ms == 0 && stored->expires_at_ms == INT64_MAX)) {
        loop_timer_stop(cache->timer);
        return;
    }
    if (at_ms == 0) {
        at_ms = stored->expires_at_ms - REFRESH_AHEAD_MS;
    }
    int64_t wait_ms = at_ms - now_ms;
    if (stored->expires_at_ms != INT64_MAX) {
        /* A service may give the same ones until shortly before they expire: no busy loop then. */
        wait_ms = larger(wait_ms, (stored->expires_at_ms - now_ms) / 2);
    }
    loop_timer_start(cache->timer, jittered(larger(wait_ms, REFRESH_WAIT_MIN), 10));
}

static bool is_usable(const struct cache *cache)
{
    return cache->has_stored && cache->context->now_ms() < cache->usable_until_ms;
}

/* --- the fetch --- */

static void store(struct cache *cache, const struct credentials *credentials, int64_t now_ms)
{
    char expires[CLOCK_TEXT_BYTES] = "never";
    int64_t life_ms = credentials->expires_at_ms - now_ms;
    credentials_copy(&cache->stored, credentials);
    cache->stored.serial = ++cache->serial;
    cache->has_stored = true;
    cache->has_failed = false;
    cache->fetched_at_ms = loop_now_ms(cache->context->loop);
    cache->usable_until_ms = is_single_use(credentials, now_ms) ? now_ms : INT64_MAX;
    if (credentials->expires_at_ms != INT64_MAX) {
        cache->usable_until_ms =
            credentials->expires_at_ms - smaller(EXPIRY_MARGIN_MS, life_ms / EXPIRY_MARGIN_PART);
        clock_format_s(credentials->expires_at_ms, expires);
    }
    plan_refresh(cache, now_ms);
    LOG_EVENT(is_single_use(credentials, now_ms) ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO,
              "credentials_obtained", LOG_TEXT("provider", credentials->provider),
              LOG_TEXT("expires", expires));
}

/* A chain reports one line per source. */
static void append_as_line(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        buf_append_text(out, *text == '\n' ? "; " : (const char[]){*text, '\0'});
    }
}

static void fail(struct cache *cache, enum status status, const char *text)
{
    if (is_usable(cache)) {
        LOG_WARN("credentials_not_refreshed", LOG_TEXT("why", text));
        int64_t left_ms = cache->usable_until_ms - cache->context->now_ms();
        int64_t wait_ms = larger(smaller(left_ms / 4, RETRY_WAIT_MAX), REFRESH_WAIT_MIN);
        loop_timer_start(cache->timer, jittered(wait_ms, 2));
        answer_waiters(cache, STATUS_OK, &cache->stored, "");
        return;
    }
    if (!cache->has_failed || !slice_equals_text(buf_slice(&cache->why), text)) {
        struct buf line = {0};
        append_as_line(&line, text);
        LOG_WARN("credentials_unavailable", LOG_SLICE("why", buf_slice(&line)));
        buf_fini(&line);
    }
    cache->has_stored = false;
    credentials_fini(&cache->stored);
    cache->has_failed = true;
    cache->status = status;
    cache->failed_at_ms = loop_now_ms(cache->context->loop);
    buf_clear(&cache->why);
    buf_append_text(&cache->why, text);
    answer_waiters(cache, status, NULL, cache->why.data);
}

static void fetched(void *arg, enum status status, const struct credentials *credentials,
                    const char *text)
{
    struct cache *cache = arg;
    int64_t now_ms = cache->context->now_ms();
    struct buf why = {0};
    cache->is_fetching = false;
    if (status == STATUS_OK && credentials->expires_at_ms <= now_ms) {
        char expired[CLOCK_TEXT_BYTES];
        clock_format_s(credentials->expires_at_ms, expired);
        buf_printf(&why, "%s: its credentials expired at %s; is this machine's clock right?",
                   credentials->provider, expired);
        fail(cache, STATUS_INVALID, why.data);
    } else if (status == STATUS_OK) {
        store(cache, credentials, now_ms);
        answer_waiters(cache, STATUS_OK, &cache->stored, "");
    } else {
        buf_append_text(&why, text);
        fail(cache, status, why.data);
    }
    buf_fini(&why);
}

static void fetch(struct cache *cache)
{
    if (!cache->is_fetching) {
        cache->is_fetching = true;
        loop_timer_stop(cache->timer);
        credentials_get(cache->inner, fetched, cache);
    }
}

static void refresh_due(void *arg)
{
    struct cache *cache = arg;
    cache->is_after_refusal = false;
    fetch(cache);
}

/* --- the source --- */

static void cache_get(struct credential_source *source, credentials_got_fn *got, void *arg)
{
    struct cache *cache = (struct cache *)source;
    int64_t since_failure_ms = loop_now_ms(cache->context->loop) - cache->failed_at_ms;
    if (is_usable(cache)) {
        got(arg, STATUS_OK, &cache->stored, "");
    } else if (!cache->is_fetching && cache->has_failed && since_failure_ms < FAILURE_CACHED_MS) {
        got(arg, cache->status, NULL, cache->why.data);
    } else {
        struct waiter *waiter = mem_zalloc(1, sizeof *waiter);
        waiter->got = got;
        waiter->arg = arg;
        DL_APPEND(cache->waiters, waiter);
        fetch(cache);
    }
}

static bool cache_refused(struct credential_source *source, uint64_t serial)
{
    struct cache *cache = (struct cache *)source;
    if (!cache->has_stored || serial != cache->stored.serial) {
        return true; /* new ones are stored already, or a fetch is due */
    }
    bool is_too_soon = cache->is_after_refusal &&
                       loop_now_ms(cache->context->loop) - cache->fetched_at_ms < REFUSED_AGAIN_MS;
    if (is_too_soon || !credentials_refused(cache->inner, serial)) {
        return false;
    }
    cache->has_stored = false;
    cache->is_after_refusal = true;
    credentials_fini(&cache->stored);
    loop_timer_stop(cache->timer);
    return true;
}

static void cache_files(struct credential_source *source, credentials_file_fn *report, void *arg)
{
    credentials_files(((struct cache *)source)->inner, report, arg);
}

static void cache_free(struct credential_source *source)
{
    struct cache *cache = (struct cache *)source;
    struct waiter *waiter;
    struct waiter *next;
    credentials_source_free(cache->inner);
    loop_timer_free(cache->timer);
    DL_FOREACH_SAFE (cache->waiters, waiter, next) {
        free(waiter);
    }
    credentials_fini(&cache->stored);
    buf_fini(&cache->why);
    free(cache);
}

struct credential_source *credentials_cache_new(const struct credential_context *context,
                                                struct credential_source *source)
{
    static const struct credential_source_ops ops = {.name = "cache",
                                                     .get = cache_get,
                                                     .refused = cache_refused,
                                                     .files = cache_files,
                                                     .free = cache_free};
    struct cache *cache = mem_zalloc(1, sizeof *cache);
    cache->source.ops = &ops;
    cache->context = context;
    cache->inner = source;
    cache->timer = loop_timer_new(context->loop, refresh_due, cache);
    return &cache->source;
}
