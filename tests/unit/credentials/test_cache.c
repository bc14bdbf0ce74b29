/* The cache and the chain, with sources and a clock that the test controls. */
#include "base/mem.h"
#include "credentials/sources.h"
#include "support/fakes/fake_timers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define HOUR_MS   3600000
#define START_MS  1767323045000 /* 2026-01-02T03:04:05Z */
#define MINUTE_MS 60000

/* A source that answers at once, or when the test triggers it. */
struct scripted {
    struct credential_source source;
    const char *name;
    bool is_slow;
    bool is_steady; /* has nothing else after a refusal */
    enum status status;
    const char *text;
    int64_t life_ms; /* 0: for ever */
    int64_t refresh_after_ms;
    int gets;
    int refusals;
    int frees;
    credentials_got_fn *got;
    void *arg;
};

struct fixture {
    struct credential_context context;
    struct credential_settings settings;
    struct scripted scripted[3];
    struct credential_source *cache;
    struct credential_source *chain;
    /* What the callbacks got. */
    int answered;
    int ok_count;
    enum status status;
    char id[64];
    char provider[CREDENTIALS_PROVIDER_BYTES];
    char text[512];
    uint64_t serial;
    int64_t expires_at_ms;
};

static int64_t now_ms = START_MS;

static int64_t wall_ms(void)
{
    return now_ms;
}

static void pass(int64_t ms)
{
    now_ms += ms;
    fake_timers_advance(ms);
}

static void scripted_answer(struct scripted *scripted)
{
    struct credentials credentials = {.expires_at_ms = INT64_MAX};
    char id[64];
    credentials_got_fn *got = scripted->got;
    scripted->got = NULL;
    if (scripted->status != STATUS_OK) {
        got(scripted->arg, scripted->status, NULL, scripted->text);
        return;
    }
    snprintf(id, sizeof id, "%s-%d", scripted->name, scripted->gets);
    secret_set(&credentials.access_key_id, slice_text(id));
    secret_set(&credentials.access_key_secret, slice_text("thesecret"));
    credentials_set_provider(&credentials, "%s", scripted->name);
    if (scripted->life_ms != 0) {
        credentials.expires_at_ms = now_ms + scripted->life_ms;
    }
    if (scripted->refresh_after_ms != 0) {
        credentials.refresh_at_ms = now_ms + scripted->refresh_after_ms;
    }
    got(scripted->arg, STATUS_OK, &credentials, "");
    credentials_fini(&credentials);
}

static void scripted_get(struct credential_source *source, credentials_got_fn *got, void *arg)
{
    struct scripted *scripted = (struct scripted *)source;
    assert_null(scripted->got);
    scripted->gets++;
    scripted->got = got;
    scripted->arg = arg;
    if (!scripted->is_slow) {
        scripted_answer(scripted);
    }
}

static bool scripted_refused(struct credential_source *source, uint64_t serial)
{
    struct scripted *scripted = (struct scripted *)source;
    (void)serial;
    scripted->refusals++;
    return !scripted->is_steady;
}

static void scripted_free(struct credential_source *source)
{
    ((struct scripted *)source)->frees++;
}

static int set_up(void **state)
{
    static const char *const names[] = {"first", "second", "third"};
    static struct credential_source_ops ops[3];
    struct fixture *fixture = mem_zalloc(1, sizeof *fixture);
    struct credential_source *sources[3];
    now_ms = START_MS;
    fixture->context.now_ms = wall_ms;
    fixture->context.settings = &fixture->settings;
    for (size_t i = 0; i < 3; i++) {
        ops[i] = (struct credential_source_ops){.name = names[i],
                                                .get = scripted_get,
                                                .refused = scripted_refused,
                                                .free = scripted_free};
        fixture->scripted[i] = (struct scripted){.source.ops = &ops[i],
                                                 .name = names[i],
                                                 .status = i == 0 ? STATUS_OK : STATUS_NOT_FOUND,
                                                 .text = "has none",
                                                 .life_ms = HOUR_MS};
        sources[i] = &fixture->scripted[i].source;
    }
    fixture->chain = credentials_chain_new("default/", sources, 3);
    fixture->cache = credentials_cache_new(&fixture->context, fixture->chain);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    credentials_source_free(fixture->cache);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(fixture->scripted[i].frees, 1);
    }
    assert_int_equal(fake_timers_count(), 0);
    free(fixture);
    return 0;
}

static void take(void *arg, enum status status, const struct credentials *credentials,
                 const char *text)
{
    struct fixture *fixture = arg;
    fixture->answered++;
    fixture->status = status;
    snprintf(fixture->text, sizeof fixture->text, "%s", text);
    assert_true((credentials != NULL) == (status == STATUS_OK));
    if (credentials != NULL) {
        fixture->ok_count++;
        snprintf(fixture->id, sizeof fixture->id, "%s", credentials->access_key_id.data);
        snprintf(fixture->provider, sizeof fixture->provider, "%s", credentials->provider);
        fixture->serial = credentials->serial;
        fixture->expires_at_ms = credentials->expires_at_ms;
    }
}

/* A get whose callback runs at once. */
static void get(struct fixture *fixture)
{
    int answered = fixture->answered;
    credentials_get(fixture->cache, take, fixture);
    assert_int_equal(fixture->answered, answered + 1);
}

static void check_id(struct fixture *fixture, const char *id)
{
    get(fixture);
    assert_int_equal(fixture->status, STATUS_OK);
    assert_string_equal(fixture->id, id);
}

/* --- the cache --- */

static void test_a_hundred_gets_share_one_fetch(void **state)
{
    struct fixture *fixture = *state;
    struct scripted *first = &fixture->scripted[0];
    first->is_slow = true;
    for (int i = 0; i < 100; i++) {
        credentials_get(fixture->cache, take, fixture);
    }
    assert_int_equal(first->gets, 1);
    assert_int_equal(fixture->answered, 0);
    scripted_answer(first);
    assert_int_equal(fixture->ok_count, 100);
    check_id(fixture, "first-1");
    assert_int_equal(first->gets, 1);
}

static void test_a_hundred_gets_share_one_failure(void **state)
{
    struct fixture *fixture = *state;
    struct scripted *first = &fixture->scripted[0];
    first->is_slow = true;
    first->status = STATUS_UNAVAILABLE;
    for (int i = 0; i < 100; i++) {
        credentials_get(fixture->cache, take, fixture);
    }
    scripted_answer(first);
    assert_int_equal(fixture->answered, 100);
    assert_int_equal(fixture->ok_count, 0);
    assert_int_equal(first->gets, 1);
}

static void test_credentials_are_refreshed_before_they_expire_without_a_get(void **state)
{
    struct fixture *fixture = *state;
    struct scripted *first = &fixture->scripted[0];
    check_id(fixture, "first-1");
    /* 15 minutes before they expire, or earlier by up to a tenth of the 45 minutes. */
    pass(40 * MINUTE_MS);
    check_id(fixture, "first-1");
    pass(5 * MINUTE_MS + 1);
    assert_int_equal(first->gets, 2);
    check_id(fixture, "first-2");
}

static void test_many_caches_do_not_refresh_at_the_same_time(void **state)
{
    struct fixture *fixture = *state;
    struct scripted *first = &fixture->scripted[0];
    int64_t times[8];
    size_t different = 0;
    (void)fixture;
    get(fixture);
    for (size_t i = 0; i < 8; i++) {
        int gets = first->gets;
        int64_t begin_ms = now_ms;
        while (first->gets == gets) {
            pass(100);
        }
        times[i] = now_ms - begin_ms;
        different += i > 0 && times[i] != times[0] ? 1 : 0;
    }
    assert_true(different > 0);
}

static void test_short_lived_credentials_are_refreshed_in_time_and_not_too_often(void **state)
{
    struct fixture *fixture = *state;
    struct scripted *first = &fixture->scripted[0];
    first->life_ms = MINUTE_MS;
    get(fixture);
    for (int second = 0; second < 600; second++) {
        pass(1000);
        get(fixture);
        assert_int_equal(fixture->status, STATUS_OK);
        assert_true(fixture->expires_at_ms > now_ms);
    }
    assert_in_range(first->gets, 10, 30);
}

static void test_a_source_may_set_the_time_of_the_refresh(void **state)
{
    struct fixture *fixture = *state;
    struct scripted *first = &fixture->scripted[0];
    first->life_ms = 6 * HOUR_MS;
    first->refresh_after_ms = 5 * HOUR_MS;
    get(fixture);
    pass(4 * HOUR_MS);
    assert_int_equal(first->gets, 1);
    pass(HOUR_MS + 1);
    assert_int_equal(first->gets, 2);
}

static void test_credentials_that_never_expire_are_fetched_once(void **state)
{
    struct fixture *fixture = *state;
    fixture->scripted[0].life_ms = 0;
    get(fixture);
    pass(1000LL * HOUR_MS);
    check_id(fixture, "first-1");
    assert_int_equal(fixture->scripted[0].gets, 1);
}

static void test_single_use_credentials_are_fetched_for_each_use_and_never_refreshed(void **state)
{
    struct fixture *fixture = *state;
    struct scripted *first = &fixture->scripted[0];
    first->life_ms = 0;
    first->refresh_after_ms = -1;
    check_id(fixture, "first-1");
    pass(HOUR_MS);
    assert_int_equal(first->gets, 1);
    check_id(fixture, "first-2");
    first->is_slow = true;
    credentials_get(fixture->cache, take, fixture);
    credentials_get(fixture->cache, take, fixture);
    scripted_answer(first);
    assert_int_equal(fixture->ok_count, 4);
    assert_int_equal(first->gets, 3);
}

static void test_a_failed_refresh_is_tried_again_and_valid_credentials_stay_in_use(void **state)
{
    struct fixture *fixture = *state;
    struct scripted *first = &fixture->scripted[0];
    get(fixture);
    first->status = STATUS_UNAVAILABLE;
    pass(50 * MINUTE_MS);
    int gets = first->gets;
    assert_true(gets >= 3); /* one alone and one in the chain each time */
    check_id(fixture, "first-1");
    assert_int_equal(first->gets, gets);
    first->status = STATUS_OK;
    pass(2 * MINUTE_MS);
    assert_true(first->gets > gets);
    get(fixture);
    assert_string_not_equal(fixture->id, "first-1");
}

static void test_expired_credentials_are_never_given(void **state)
{
    struct fixture *fixture = *state;
    struct scripted *first = &fixture->scripted[0];
    get(fixture);
    first->status = STATUS_UNAVAILABLE;
    first->text = "is away";
    for (int minute = 0; minute < 60; minute++) {
        pass(MINUTE_MS);
        get(fixture);
        assert_int_equal(fixture->status, minute < 59 ? STATUS_OK : STATUS_UNAVAILABLE);
    }
    assert_non_null(strstr(fixture->text, "first: is away"));
    pass(1001);
    first->status = STATUS_OK;
    get(fixture);
    assert_int_equal(fixture->status, STATUS_OK);
}

/* A call must reach the API before they expire: 5 s, or a tenth of a short life. */
static void test_credentials_are_not_given_shortly_before_they_expire(void **state)
{
    static const struct {
        int64_t life_ms;
        int64_t margin_ms;
    } rows[] = {{HOUR_MS, 5000}, {20000, 2000}};
    struct fixture *fixture = *state;
    struct scripted *first = &fixture->scripted[0];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        first->status = STATUS_OK;
        first->life_ms = rows[i].life_ms;
        get(fixture);
        assert_int_equal(fixture->status, STATUS_OK);
        first->status = STATUS_UNAVAILABLE;
        first->text = "is away";
        pass(rows[i].life_ms - rows[i].margin_ms - 1);
        get(fixture);
        assert_int_equal(fixture->status, STATUS_OK);
        pass(1);
        get(fixture);
        assert_int_equal(fixture->status, STATUS_UNAVAILABLE);
        pass(1001);
    }
}

static void test_a_clock_that_jumps_forward_causes_a_fetch(void **state)
{
    struct fixture *fixture = *state;
    get(fixture);
    now_ms += 2 * HOUR_MS; /* without the timers, as after a suspend */
    check_id(fixture, "first-2");
}

static void test_expired_credentials_from_a_source_are_an_error_that_mentions_the_clock(
    void **state)
{
    struct fixture *fixture = *state;
    fixture->scripted[0].life_ms = -1000;
    get(fixture);
    assert_int_equal(fixture->status, STATUS_INVALID);
    assert_non_null(strstr(fixture->text, "default/first"));
    assert_non_null(strstr(fixture->text, "2026-01-02T03:04:04Z"));
    assert_non_null(strstr(fixture->text, "clock"));
}

static void test_a_get_right_after_a_failure_starts_no_fetch(void **state)
{
    struct fixture *fixture = *state;
    struct scripted *first = &fixture->scripted[0];
    first->status = STATUS_INVALID;
    first->text = "is wrong";
    get(fixture);
    get(fixture);
    assert_int_equal(first->gets, 1);
    assert_string_equal(fixture->text, "first: is wrong\nsecond: has none\nthird: has none");
    pass(1000);
    get(fixture);
    assert_int_equal(first->gets, 2);
}

static void test_a_refusal_by_the_api_discards_the_credentials_and_fetches_once(void **state)
{
    struct fixture *fixture = *state;
    struct scripted *first = &fixture->scripted[0];
    get(fixture);
    uint64_t serial = fixture->serial;
    /* Many calls used the same credentials. */
    for (int i = 0; i < 20; i++) {
        assert_true(credentials_refused(fixture->cache, serial));
        get(fixture);
        assert_string_equal(fixture->id, "first-2");
    }
    assert_int_equal(first->gets, 2);
    assert_int_equal(first->refusals, 1);
}

static void test_new_credentials_that_are_refused_too_cause_no_fetch_at_once(void **state)
{
    struct fixture *fixture = *state;
    struct scripted *first = &fixture->scripted[0];
    get(fixture);
    assert_true(credentials_refused(fixture->cache, fixture->serial));
    get(fixture);
    assert_false(credentials_refused(fixture->cache, fixture->serial));
    check_id(fixture, "first-2");
    pass(MINUTE_MS);
    assert_true(credentials_refused(fixture->cache, fixture->serial));
    check_id(fixture, "first-3");
    assert_int_equal(first->gets, 3);
}

static void test_a_refusal_of_fixed_credentials_is_final(void **state)
{
    struct fixture *fixture = *state;
    fixture->scripted[0].is_steady = true;
    get(fixture);
    assert_false(credentials_refused(fixture->cache, fixture->serial));
    check_id(fixture, "first-1");
}

static void test_a_cache_freed_during_a_fetch_calls_nobody_back(void **state)
{
    struct fixture *fixture = *state;
    fixture->scripted[0].is_slow = true;
    credentials_get(fixture->cache, take, fixture);
    credentials_get(fixture->cache, take, fixture);
    assert_int_equal(fixture->answered, 0);
}

/* --- the chain --- */

static void test_sources_are_tried_in_order_until_one_succeeds(void **state)
{
    struct fixture *fixture = *state;
    fixture->scripted[0].status = STATUS_NOT_FOUND;
    fixture->scripted[1].status = STATUS_OK;
    fixture->scripted[2].status = STATUS_OK;
    check_id(fixture, "second-1");
    assert_string_equal(fixture->provider, "default/second");
    assert_int_equal(fixture->scripted[0].gets, 1);
    assert_int_equal(fixture->scripted[2].gets, 0);
}

static void test_a_source_that_fails_does_not_stop_the_next(void **state)
{
    struct fixture *fixture = *state;
    fixture->scripted[0].status = STATUS_INVALID;
    fixture->scripted[1].status = STATUS_UNAVAILABLE;
    fixture->scripted[1].is_slow = true;
    fixture->scripted[2].status = STATUS_OK;
    fixture->scripted[2].is_slow = true;
    credentials_get(fixture->cache, take, fixture);
    scripted_answer(&fixture->scripted[1]);
    assert_int_equal(fixture->answered, 0);
    scripted_answer(&fixture->scripted[2]);
    assert_string_equal(fixture->id, "third-1");
}

static void test_the_source_that_succeeded_is_used_again(void **state)
{
    struct fixture *fixture = *state;
    fixture->scripted[0].status = STATUS_UNAVAILABLE;
    fixture->scripted[1].status = STATUS_OK;
    get(fixture);
    fixture->scripted[0].status = STATUS_OK;
    assert_true(credentials_refused(fixture->cache, fixture->serial));
    check_id(fixture, "second-2");
    assert_int_equal(fixture->scripted[0].gets, 1);
    assert_int_equal(fixture->scripted[1].refusals, 1);
    assert_int_equal(fixture->scripted[0].refusals, 0);
}

static void test_when_that_source_fails_all_are_tried_again(void **state)
{
    struct fixture *fixture = *state;
    fixture->scripted[0].status = STATUS_UNAVAILABLE;
    fixture->scripted[1].status = STATUS_OK;
    get(fixture);
    assert_true(credentials_refused(fixture->cache, fixture->serial));
    fixture->scripted[0].status = STATUS_OK;
    fixture->scripted[1].status = STATUS_UNAVAILABLE;
    check_id(fixture, "first-2");
    assert_string_equal(fixture->provider, "default/first");
}

static void test_after_all_failed_all_are_tried_again(void **state)
{
    struct fixture *fixture = *state;
    for (size_t round = 1; round <= 3; round++) {
        fixture->scripted[0].status = STATUS_NOT_FOUND;
        get(fixture);
        assert_int_equal(fixture->status, STATUS_NOT_FOUND);
        for (size_t i = 0; i < 3; i++) {
            assert_int_equal(fixture->scripted[i].gets, round);
        }
        pass(1000);
    }
    fixture->scripted[0].status = STATUS_OK;
    check_id(fixture, "first-4");
}

static void test_the_status_of_a_chain_is_unavailable_before_invalid_before_not_found(void **state)
{
    struct fixture *fixture = *state;
    fixture->scripted[0].status = STATUS_INVALID;
    get(fixture);
    assert_int_equal(fixture->status, STATUS_INVALID);
    pass(1000);
    fixture->scripted[2].status = STATUS_UNAVAILABLE;
    get(fixture);
    assert_int_equal(fixture->status, STATUS_UNAVAILABLE);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_a_hundred_gets_share_one_fetch),
        CASE(test_a_hundred_gets_share_one_failure),
        CASE(test_credentials_are_refreshed_before_they_expire_without_a_get),
        CASE(test_many_caches_do_not_refresh_at_the_same_time),
        CASE(test_short_lived_credentials_are_refreshed_in_time_and_not_too_often),
        CASE(test_a_source_may_set_the_time_of_the_refresh),
        CASE(test_credentials_that_never_expire_are_fetched_once),
        CASE(test_single_use_credentials_are_fetched_for_each_use_and_never_refreshed),
        CASE(test_a_failed_refresh_is_tried_again_and_valid_credentials_stay_in_use),
        CASE(test_expired_credentials_are_never_given),
        CASE(test_credentials_are_not_given_shortly_before_they_expire),
        CASE(test_a_clock_that_jumps_forward_causes_a_fetch),
        CASE(test_expired_credentials_from_a_source_are_an_error_that_mentions_the_clock),
        CASE(test_a_get_right_after_a_failure_starts_no_fetch),
        CASE(test_a_refusal_by_the_api_discards_the_credentials_and_fetches_once),
        CASE(test_new_credentials_that_are_refused_too_cause_no_fetch_at_once),
        CASE(test_a_refusal_of_fixed_credentials_is_final),
        CASE(test_a_cache_freed_during_a_fetch_calls_nobody_back),
        CASE(test_sources_are_tried_in_order_until_one_succeeds),
        CASE(test_a_source_that_fails_does_not_stop_the_next),
        CASE(test_the_source_that_succeeded_is_used_again),
        CASE(test_when_that_source_fails_all_are_tried_again),
        CASE(test_after_all_failed_all_are_tried_again),
        CASE(test_the_status_of_a_chain_is_unavailable_before_invalid_before_not_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
