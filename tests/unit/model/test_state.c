#include "model/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define NO (-1)

/* The full matrix, written down a second time: rows are states, columns are moves in the order of
 * enum move. */
static const int expected[STATE_COUNT][MOVE_COUNT] = {
    /*            CLAIM        START            NOTHING_DONE  NO_ANSWER     RESTART */
    [STATE_NONE] = {STATE_READY, NO, NO, NO, NO,
                    /* FINISH, AGAIN, AGAIN_UNSURE, FORGET */ NO, NO, NO, NO},
    [STATE_READY] = {NO, STATE_CALLING, NO, NO, NO, STATE_DONE, NO, NO, NO},
    [STATE_CALLING] = {NO, NO, STATE_READY, STATE_UNSURE, STATE_UNSURE, STATE_DONE, NO, NO, NO},
    [STATE_UNSURE] = {NO, STATE_RECALLING, NO, NO, NO, STATE_DONE, NO, NO, NO},
    [STATE_RECALLING] = {NO, NO, STATE_UNSURE, STATE_UNSURE, STATE_UNSURE, STATE_DONE, NO, NO, NO},
    [STATE_DONE] = {NO, NO, NO, NO, NO, NO, STATE_READY, STATE_UNSURE, STATE_NONE},
};

static void test_every_state_allows_exactly_its_moves(void **state)
{
    (void)state;
    for (int from = 0; from < STATE_COUNT; from++) {
        for (int move = 0; move < MOVE_COUNT; move++) {
            int to = expected[from][move];
            assert_int_equal(state_may((enum state)from, (enum move)move), to != NO);
            if (to != NO) {
                assert_int_equal(state_after((enum state)from, (enum move)move), to);
            }
        }
    }
}

static void test_an_illegal_move_ends_the_process(void **state)
{
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        signal(SIGABRT, SIG_DFL);
        fclose(stderr);
        state_after(STATE_DONE, MOVE_START);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

static void test_a_row_whose_call_may_have_had_effect_stays_unsure_until_its_outcome(void **state)
{
    (void)state;
    for (int from = 0; from < STATE_COUNT; from++) {
        for (int move = 0; move < MOVE_COUNT; move++) {
            bool was_unsure = from == STATE_UNSURE || from == STATE_RECALLING;
            if (was_unsure && move != MOVE_FINISH && state_may((enum state)from, (enum move)move)) {
                enum state after = state_after((enum state)from, (enum move)move);
                assert_true(after == STATE_UNSURE || after == STATE_RECALLING);
            }
        }
    }
}

static void test_states_have_the_numbers_and_names_that_ledgers_hold(void **state)
{
    (void)state;
    static const char *const names[] = {"none", "ready", "calling", "unsure", "recalling", "done"};
    assert_int_equal(STATE_COUNT, 6);
    for (int i = 0; i < STATE_COUNT; i++) {
        assert_string_equal(state_text((enum state)i), names[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_state_allows_exactly_its_moves),
        cmocka_unit_test(test_an_illegal_move_ends_the_process),
        cmocka_unit_test(test_a_row_whose_call_may_have_had_effect_stays_unsure_until_its_outcome),
        cmocka_unit_test(test_states_have_the_numbers_and_names_that_ledgers_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
