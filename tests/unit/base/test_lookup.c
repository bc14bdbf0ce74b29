/* Host names: an answer, none, and one that does not come in time. */
#include "base/lookup.h"

#include <netdb.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static sem_t answer; /* of the name server, for slow.test */
static sem_t answered;

int __real_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                       struct addrinfo **out);
int __wrap_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                       struct addrinfo **out);

int __wrap_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                       struct addrinfo **out)
{
    static const char *const addresses[] = {"2001:db8::1", "192.0.2.1", "192.0.2.1", "192.0.2.2"};
    if (strcmp(node, "slow.test") == 0) {
        sem_wait(&answer);
        sem_post(&answered);
    }
    if (strcmp(node, "many.test") == 0) {
        for (size_t i = 0; i < 40; i++) {
            char address[32];
            snprintf(address, sizeof address, "192.0.2.%zu", i);
            (void)__real_getaddrinfo(address, service, hints, out);
            out = &(*out)->ai_next;
        }
        return 0;
    }
    if (strcmp(node, "good.test") != 0) {
        return strcmp(node, "silent.test") == 0 ? EAI_AGAIN : EAI_NONAME;
    }
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
        (void)__real_getaddrinfo(addresses[i], service, hints, out);
        out = &(*out)->ai_next;
    }
    return 0;
}

struct fixture {
    struct loop *loop;
    struct lookup *lookup;
    struct lookup_result result;
    int done_count;
};

static void take(void *arg, const struct lookup_result *result)
{
    struct fixture *fixture = arg;
    fixture->result = *result;
    fixture->done_count++;
    lookup_free(fixture->lookup);
    loop_stop(fixture->loop);
}

static struct lookup_result look_up(const char *host)
{
    struct fixture fixture = {.loop = loop_new()};
    fixture.lookup = lookup_start(fixture.loop, host, take, &fixture);
    assert_int_equal(fixture.done_count, 0);
    loop_run(fixture.loop);
    assert_int_equal(fixture.done_count, 1);
    loop_free(fixture.loop);
    return fixture.result;
}

static void test_all_addresses_of_a_name_come_once_and_in_order(void **state)
{
    (void)state;
    struct lookup_result result = look_up("good.test");
    assert_int_equal(result.count, 3);
    assert_string_equal(result.addresses[0], "2001:db8::1");
    assert_string_equal(result.addresses[1], "192.0.2.1");
    assert_string_equal(result.addresses[2], "192.0.2.2");
    assert_null(result.error);
}

static void test_more_addresses_than_there_is_room_for_are_left_out(void **state)
{
    (void)state;
    assert_int_equal(look_up("many.test").count, LOOKUP_ADDRESSES_MAX);
}

static void test_a_name_without_an_address_says_why(void **state)
{
    (void)state;
    assert_int_equal(look_up("none.test").count, 0);
    assert_non_null(strstr(look_up("none.test").error, "no such host"));
    assert_non_null(strstr(look_up("silent.test").error, "no name server answers"));
}

static void test_a_loop_ends_while_a_name_server_does_not_answer(void **state)
{
    (void)state;
    struct fixture fixture = {.loop = loop_new()};
    fixture.lookup = lookup_start(fixture.loop, "slow.test", take, &fixture);
    lookup_free(fixture.lookup);
    loop_free(fixture.loop);
    sem_post(&answer);
    sem_wait(&answered); /* the thread ends without the loop */
    assert_int_equal(fixture.done_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_addresses_of_a_name_come_once_and_in_order),
        cmocka_unit_test(test_more_addresses_than_there_is_room_for_are_left_out),
        cmocka_unit_test(test_a_name_without_an_address_says_why),
        cmocka_unit_test(test_a_loop_ends_while_a_name_server_does_not_answer),
    };
    sem_init(&answer, 0, 0);
    sem_init(&answered, 0, 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
