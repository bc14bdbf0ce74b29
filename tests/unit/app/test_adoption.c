/* Which sessions of absent bridges are adopted, and when they are left. The ledger of the test
 * answers with the rows that the test has set. */
#include "app/adoption.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "support/fakes/fake_timers.h"

#define ADOPT_S 60
/* The bridge asks at least so often. */
#define ASK_MS   5000
#define ROWS_MAX 4

static struct {
    struct settings settings;
    struct lease lease;
    struct adoption *adoption;
    struct {
        const char *instance;
        const char *key;
        int64_t value;
    } rows[ROWS_MAX];
    size_t row_count;
    bool is_leased;     /* by this run: once it has asked for it */
    bool answers_later; /* else at once */
    unsigned question_count;
    char lease_of[32]; /* of the last question; "": none */
    ledger_absent_fn *each;
    ledger_done_fn *done;
    void *arg;
    enum status recalled; /* the lease on the own sessions */
    char forgotten[64];
    char adopted[32]; /* the session's client id */
    size_t adopted_filters;
    char abandoned[32];
    bool is_abandoned_at_once;
} fixture;

/* ---- the ledger ---- */

static void answer(void)
{
    if (fixture.is_leased) {
        fixture.each(fixture.arg, "dead", LEDGER_ADOPTER_KEY, 1, true);
    }
    for (size_t i = 0; i < fixture.row_count; i++) {
        fixture.each(fixture.arg, fixture.rows[i].instance, fixture.rows[i].key,
                     fixture.rows[i].value, fixture.is_leased);
    }
    fixture.done(fixture.arg, STATUS_OK);
}

void ledger_list_absent(struct ledger *ledger, const char *lease_of, ledger_absent_fn *each,
                        ledger_done_fn *done, void *arg)
{
    (void)ledger;
    snprintf(fixture.lease_of, sizeof fixture.lease_of, "%s", lease_of == NULL ? "" : lease_of);
    fixture.is_leased |= lease_of != NULL;
    fixture.question_count++;
    fixture.each = each;
    fixture.done = done;
    fixture.arg = arg;
    if (!fixture.answers_later) {
        answer();
    }
}

void ledger_forget_of(struct ledger *ledger, const char *instance, const char *key)
{
    (void)ledger;
    snprintf(fixture.forgotten, sizeof fixture.forgotten, "%s %s", instance, key);
    fixture.is_leased = false;
}

void ledger_remember_of(struct ledger *ledger, const char *instance, const char *key, int64_t value)
{
    (void)ledger;
    (void)value;
    fail_msg("%s %s was written", instance, key);
}

void ledger_forget(struct ledger *ledger, const char *key)
{
    (void)ledger;
    fail_msg("%s was deleted", key);
}

enum status ledger_read_number(struct ledger *ledger, const char *key, int64_t *out_value)
{
    (void)ledger;
    assert_string_equal(key, LEDGER_ADOPTER_KEY);
    if (fixture.recalled == STATUS_OK) {
        *out_value = 4711;
    }
    return fixture.recalled;
}

void ledger_recall_all(struct ledger *ledger, const char *prefix, ledger_meta_fn *each, void *arg)
{
    (void)ledger;
    (void)each;
    (void)arg;
    fail_msg("%s was read", prefix);
}

/* ---- the sessions ---- */

bool sessions_adopt(struct sessions *sessions, const char *instance,
                    const struct session_record *found)
{
    (void)sessions;
    assert_string_equal(instance, "dead");
    snprintf(fixture.adopted, sizeof fixture.adopted, "%s", found->client_id);
    fixture.adopted_filters = found->filters.count;
    return true;
}

void sessions_abandon(struct sessions *sessions, const char *client_id, bool at_once)
{
    (void)sessions;
    fixture.is_abandoned_at_once = at_once;
    snprintf(fixture.abandoned, sizeof fixture.abandoned, "%s", client_id);
}

/* ---- steps of a test ---- */

static void set_rows(size_t count)
{
    static const struct {
        const char *key;
        int64_t value;
    } ROWS[ROWS_MAX] = {{LEDGER_SESSION_PREFIX "x", 3},
                        {LEDGER_FILTER_PREFIX "x\n$share/all/f", 1},
                        {LEDGER_SESSION_PREFIX "y", 1}};
    fixture.row_count = count;
    for (size_t i = 0; i < count; i++) {
        fixture.rows[i].instance = "dead";
        fixture.rows[i].key = ROWS[i].key;
        fixture.rows[i].value = ROWS[i].value;
    }
}

/* Time passes, a second after the other. */
static void pass_s(int64_t seconds)
{
    for (int64_t i = 0; i < seconds; i++) {
        fake_timers_advance(1000);
    }
}

static void end_session(const char *client_id)
{
    adoption_session_ended(fixture.adoption, client_id);
}

static int set_up(void **state)
{
    (void)state;
    memset(&fixture, 0, sizeof fixture);
    static char store[] = "postgresql://bridge@/bridge";
    fixture.settings.ledger.store = store;
    fixture.settings.ledger.session_adopt_s = ADOPT_S;
    fixture.lease.is_valid = true;
    const struct adoption_parts parts = {&fixture.settings, &fixture.lease, NULL, NULL};
    fixture.adoption = adoption_new(NULL, &parts);
    set_rows(2);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    adoption_free(fixture.adoption);
    return 0;
}

/* A session of the absent instance is being drained. */
static void adopt(void)
{
    pass_s(ADOPT_S + 2 * ASK_MS / 1000);
    assert_string_equal(fixture.adopted, "x");
}

/* ---- the tests ---- */

static void test_a_session_is_adopted_when_its_instance_has_been_absent_long_enough(void **state)
{
    (void)state;
    pass_s(ADOPT_S - 1);
    assert_true(fixture.question_count >= 10);
    assert_string_equal(fixture.lease_of, "");
    assert_string_equal(fixture.adopted, "");
    adopt();
    assert_int_equal(fixture.adopted_filters, 1);
}

static void test_the_time_begins_anew_when_the_instance_was_there(void **state)
{
    (void)state;
    pass_s(ADOPT_S - 10);
    set_rows(0);
    pass_s(ASK_MS / 1000);
    set_rows(2);
    pass_s(ADOPT_S - 1);
    assert_string_equal(fixture.adopted, "");
    adopt();
}

static void test_a_session_whose_bridge_comes_back_is_left_and_then_the_lease_ends(void **state)
{
    (void)state;
    adopt();
    set_rows(0);
    pass_s(3);
    assert_string_equal(fixture.abandoned, "x");
    assert_string_equal(fixture.forgotten, "");
    end_session("x");
    assert_string_equal(fixture.forgotten, "dead " LEDGER_ADOPTER_KEY);
}

static void test_a_lease_on_the_sessions_of_a_bridge_that_is_back_ends_at_once(void **state)
{
    (void)state;
    pass_s(ADOPT_S);
    fixture.answers_later = true;
    pass_s(2 * ASK_MS / 1000);
    assert_string_equal(fixture.lease_of, "dead");
    set_rows(0); /* it came back since the last answer */
    answer();
    assert_string_equal(fixture.adopted, "");
    assert_string_equal(fixture.forgotten, "dead " LEDGER_ADOPTER_KEY);
}

static void test_a_session_is_left_while_the_own_lease_is_not_valid(void **state)
{
    (void)state;
    adopt();
    fixture.lease.is_valid = false;
    unsigned before = fixture.question_count;
    pass_s(3);
    assert_string_equal(fixture.abandoned, "x");
    assert_int_equal(fixture.question_count, before);
}

static void test_a_session_is_left_at_once_when_the_own_lease_ends(void **state)
{
    (void)state;
    adopt();
    fixture.lease.is_valid = false;
    adoption_lease_changed(fixture.adoption);
    fake_timers_advance(0);
    assert_string_equal(fixture.abandoned, "x");
    assert_true(fixture.is_abandoned_at_once);
    assert_string_equal(fixture.forgotten, "");
    end_session("x");
    assert_string_equal(fixture.forgotten, "dead " LEDGER_ADOPTER_KEY);
}

/* Its process may hang. */
static void test_the_end_of_the_own_lease_hastens_the_end_of_a_session_that_is_being_left(
    void **state)
{
    (void)state;
    adopt();
    set_rows(0);
    pass_s(3);
    assert_string_equal(fixture.abandoned, "x");
    assert_false(fixture.is_abandoned_at_once);
    adoption_stop(fixture.adoption);
    fixture.lease.is_valid = false;
    adoption_lease_changed(fixture.adoption);
    fake_timers_advance(0);
    assert_true(fixture.is_abandoned_at_once);
}

/* The process may have been stopped for so long that another one has the session. */
static void test_an_answer_that_is_handled_after_the_end_of_the_own_lease_is_ignored(void **state)
{
    (void)state;
    pass_s(ADOPT_S);
    fixture.answers_later = true;
    pass_s(2 * ASK_MS / 1000);
    assert_string_equal(fixture.lease_of, "dead");
    fixture.lease.is_valid = false;
    answer();
    assert_string_equal(fixture.adopted, "");
    fixture.lease.is_valid = true;
    fixture.answers_later = false;
    adoption_lease_changed(fixture.adoption);
    fake_timers_advance(0);
    assert_string_equal(fixture.adopted, "x");
}

static void test_all_sessions_of_an_instance_are_drained_before_the_lease_ends(void **state)
{
    (void)state;
    set_rows(3);
    adopt();
    fixture.rows[0] = fixture.rows[2]; /* x has ended, y is left */
    fixture.row_count = 1;
    end_session("x");
    pass_s(3);
    assert_string_equal(fixture.adopted, "y");
    assert_string_equal(fixture.forgotten, "");
    set_rows(0);
    end_session("y");
    pass_s(3);
    assert_string_equal(fixture.forgotten, "dead " LEDGER_ADOPTER_KEY);
    assert_string_equal(fixture.abandoned, "");
}

/* It would list a session that the broker has forgotten meanwhile. */
static void test_an_answer_from_before_the_end_of_a_session_is_ignored(void **state)
{
    (void)state;
    adopt();
    fixture.answers_later = true;
    pass_s(3);
    fixture.adopted[0] = '\0';
    end_session("x");
    answer();
    assert_string_equal(fixture.adopted, "");
    assert_string_equal(fixture.forgotten, "");
    fixture.answers_later = false;
    set_rows(0);
    pass_s(3);
    assert_string_equal(fixture.adopted, "");
    assert_string_equal(fixture.forgotten, "dead " LEDGER_ADOPTER_KEY);
}

static void test_nothing_is_asked_or_adopted_after_a_stop(void **state)
{
    (void)state;
    pass_s(ADOPT_S - 1);
    adoption_stop(fixture.adoption);
    unsigned before = fixture.question_count;
    pass_s(ADOPT_S);
    assert_int_equal(fixture.question_count, before);
}

static void test_a_bridge_alone_or_with_0_adopts_nothing(void **state)
{
    (void)state;
    static char store[] = "sqlite:ledger.db";
    const struct adoption_parts parts = {&fixture.settings, &fixture.lease, NULL, NULL};
    fixture.settings.ledger.session_adopt_s = 0;
    assert_null(adoption_new(NULL, &parts));
    fixture.settings.ledger.session_adopt_s = ADOPT_S;
    fixture.settings.ledger.store = store;
    assert_null(adoption_new(NULL, &parts));
}

static void test_a_bridge_waits_while_another_one_has_the_lease_on_its_sessions(void **state)
{
    (void)state;
    lease_init(&fixture.lease);
    fixture.recalled = STATUS_NOT_FOUND;
    assert_int_equal(adoption_must_wait(NULL, &fixture.lease), ADOPTION_GO_ON);
    fixture.recalled = STATUS_OK;
    assert_int_equal(adoption_must_wait(NULL, &fixture.lease), ADOPTION_WAIT);
}

/* Another run may have got the lease since, and it would not leave the sessions to this one. */
static void test_a_bridge_that_may_have_been_expelled_while_it_waited_starts_again(void **state)
{
    (void)state;
    lease_init(&fixture.lease);
    fixture.recalled = STATUS_STORE;
    assert_int_equal(adoption_must_wait(NULL, &fixture.lease), ADOPTION_START_AGAIN);
    lease_begin(&fixture.lease); /* it is not valid now */
    fixture.recalled = STATUS_OK;
    assert_int_equal(adoption_must_wait(NULL, &fixture.lease), ADOPTION_WAIT);
    fixture.recalled = STATUS_NOT_FOUND;
    assert_int_equal(adoption_must_wait(NULL, &fixture.lease), ADOPTION_START_AGAIN);
    lease_lose(&fixture.lease);
    fixture.recalled = STATUS_OK;
    assert_int_equal(adoption_must_wait(NULL, &fixture.lease), ADOPTION_START_AGAIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(test_a_session_is_adopted_when_its_instance_has_been_absent_long_enough),
        TEST(test_the_time_begins_anew_when_the_instance_was_there),
        TEST(test_a_session_whose_bridge_comes_back_is_left_and_then_the_lease_ends),
        TEST(test_a_lease_on_the_sessions_of_a_bridge_that_is_back_ends_at_once),
        TEST(test_a_session_is_left_while_the_own_lease_is_not_valid),
        TEST(test_a_session_is_left_at_once_when_the_own_lease_ends),
        TEST(test_the_end_of_the_own_lease_hastens_the_end_of_a_session_that_is_being_left),
        TEST(test_an_answer_that_is_handled_after_the_end_of_the_own_lease_is_ignored),
        TEST(test_all_sessions_of_an_instance_are_drained_before_the_lease_ends),
        TEST(test_an_answer_from_before_the_end_of_a_session_is_ignored),
        TEST(test_nothing_is_asked_or_adopted_after_a_stop),
        TEST(test_a_bridge_alone_or_with_0_adopts_nothing),
        TEST(test_a_bridge_waits_while_another_one_has_the_lease_on_its_sessions),
        TEST(test_a_bridge_that_may_have_been_expelled_while_it_waited_starts_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
