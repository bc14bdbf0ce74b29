/* The control socket: who may use it, what a request may be, clients that do not go on. */
#include "app/control.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "settings/settings.h"

#define WAIT_MS 30000
#define POLL_MS 5

struct fixture {
    char directory[64];
    char path[96];
    struct loop *loop;
    struct loop_timer *poll;
    int64_t end_ms;
    struct control *control;
    bool answers_later; /* the test does it */
    struct control_ticket ticket;
    int request_count;
    int fd; /* the client that is read from */
    struct buf answer;
    pid_t child;
    int child_status;
    struct loop_timer *ended;
};

static void requested(void *arg, const struct control_request *request,
                      struct control_ticket ticket)
{
    struct fixture *fixture = arg;
    fixture->request_count++;
    fixture->ticket = ticket;
    if (!fixture->answers_later) {
        control_answer(fixture->control, ticket, true,
                       slice_text(request->order == CONTROL_LEVEL ? "level" : "other"));
    }
}

static enum status listen_at(struct fixture *fixture, const char *path, struct buf *why)
{
    return control_new(fixture->loop, path, requested, fixture, &fixture->control, why);
}

/* Reads from the client until its line is whole or its connection has ended. */
static void poll_client(void *arg)
{
    struct fixture *fixture = arg;
    char *room = buf_reserve(&fixture->answer, 4096);
    ssize_t got = recv(fixture->fd, room, 4096, MSG_DONTWAIT);
    if (got > 0) {
        fixture->answer.length += (size_t)got;
        room[got] = '\0';
    }
    bool is_whole = memchr(buf_slice(&fixture->answer).data, '\n', fixture->answer.length) != NULL;
    assert_true(loop_now_ms(fixture->loop) < fixture->end_ms);
    if (got == 0 || is_whole) {
        loop_stop(fixture->loop);
    } else {
        loop_timer_start(fixture->poll, POLL_MS);
    }
}

/* The next line that the client gets, or what came before the end of its connection. */
static const char *answer_of(struct fixture *fixture, int fd)
{
    fixture->fd = fd;
    buf_clear(&fixture->answer);
    buf_append_text(&fixture->answer, "");
    fixture->end_ms = loop_now_ms(fixture->loop) + WAIT_MS;
    loop_timer_start(fixture->poll, 0);
    loop_run(fixture->loop);
    return fixture->answer.data;
}

static int connect_client(const struct fixture *fixture)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", fixture->path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct buf why = {0};
    strcpy(fixture->directory, "/tmp/control-XXXXXX");
    assert_non_null(mkdtemp(fixture->directory));
    snprintf(fixture->path, sizeof fixture->path, "%s/sock", fixture->directory);
    fixture->loop = loop_new();
    fixture->poll = loop_timer_new(fixture->loop, poll_client, fixture);
    assert_int_equal(listen_at(fixture, fixture->path, &why), STATUS_OK);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    control_free(fixture->control);
    loop_timer_free(fixture->poll);
    loop_free(fixture->loop);
    buf_fini(&fixture->answer);
    unlink(fixture->path);
    assert_int_equal(rmdir(fixture->directory), 0);
    free(fixture);
    return 0;
}

static void test_a_request_gets_its_answer_and_the_next_one_too(void **state)
{
    struct fixture *fixture = *state;
    int fd = connect_client(fixture);
    say(fd, "{\"Do\":\"status\"}\n{\"Do\":\"level\",");
    assert_string_equal(answer_of(fixture, fd), "{\"Done\":true,\"Output\":\"other\"}\n");
    say(fd, "\"Level\":\"debug\"}\n");
    assert_string_equal(answer_of(fixture, fd), "{\"Done\":true,\"Output\":\"level\"}\n");
    close(fd);
}

static void test_only_the_owner_may_open_the_socket(void **state)
{
    struct fixture *fixture = *state;
    struct stat file;
    assert_int_equal(stat(fixture->path, &file), 0);
    assert_int_equal(file.st_mode & 07777U, 0600);
    mode_t mask = umask(022);
    umask(mask);
    assert_int_not_equal(mask, 0177); /* that of the socket was for a moment only */
}

/* Another user's process, in a child: 0 if it gets nothing. */
static int use_as_another_user(const struct fixture *fixture)
{
    char byte;
    if (setresuid(65534, 65534, 65534) != 0) {
        return 1;
    }
    int fd = connect_client(fixture);
    (void)send(fd, "{\"Do\":\"status\"}\n", 16, MSG_NOSIGNAL);
    return recv(fd, &byte, 1, 0) > 0 ? 2 : 0;
}

static void stop_when_ended(void *arg)
{
    struct fixture *fixture = arg;
    assert_true(loop_now_ms(fixture->loop) < fixture->end_ms);
    if (waitpid(fixture->child, &fixture->child_status, WNOHANG) == fixture->child) {
        loop_stop(fixture->loop);
    } else {
        loop_timer_start(fixture->ended, POLL_MS);
    }
}

/* Even if somebody has changed the mode of the file. */
static void test_another_user_gets_nothing(void **state)
{
    struct fixture *fixture = *state;
    if (geteuid() != 0) {
        skip();
    }
    assert_int_equal(chmod(fixture->directory, 0755), 0);
    assert_int_equal(chmod(fixture->path, 0666), 0);
    fixture->child = fork();
    if (fixture->child == 0) {
        _exit(use_as_another_user(fixture));
    }
    fixture->end_ms = loop_now_ms(fixture->loop) + WAIT_MS;
    fixture->ended = loop_timer_new(fixture->loop, stop_when_ended, fixture);
    loop_timer_start(fixture->ended, 0);
    loop_run(fixture->loop);
    loop_timer_free(fixture->ended);
    assert_true(WIFEXITED(fixture->child_status));
    assert_int_equal(WEXITSTATUS(fixture->child_status), 0);
    assert_int_equal(fixture->request_count, 0);
}

/* A dead bridge leaves its file; a live one still listens. */
static void test_a_stale_file_is_replaced_and_a_live_one_is_not(void **state)
{
    struct fixture *fixture = *state;
    struct control *live = fixture->control;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct buf why = {0};
    assert_int_equal(listen_at(fixture, fixture->path, &why), STATUS_BUSY);
    assert_non_null(strstr(why.data, "another program listens"));
    control_free(live);
    assert_int_equal(access(fixture->path, F_OK), -1);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", fixture->path);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    close(fd);
    assert_int_equal(access(fixture->path, F_OK), 0);
    buf_clear(&why);
    assert_int_equal(listen_at(fixture, fixture->path, &why), STATUS_OK);
    fd = connect_client(fixture);
    say(fd, "{\"Do\":\"status\"}\n");
    assert_string_equal(answer_of(fixture, fd), "{\"Done\":true,\"Output\":\"other\"}\n");
    close(fd);
    buf_fini(&why);
}

static void test_a_file_that_is_no_socket_is_left_alone(void **state)
{
    struct fixture *fixture = *state;
    struct buf why = {0};
    char path[128];
    struct control *control = fixture->control;
    snprintf(path, sizeof path, "%s/file", fixture->directory);
    fclose(fopen(path, "w"));
    assert_int_equal(listen_at(fixture, path, &why), STATUS_BUSY);
    assert_non_null(strstr(why.data, "is not a socket"));
    assert_int_equal(access(path, F_OK), 0);
    unlink(path);
    fixture->control = control;
    buf_fini(&why);
}

static void test_a_path_that_is_too_long_is_refused_with_the_limit(void **state)
{
    struct fixture *fixture = *state;
    struct buf why = {0};
    char path[SETTINGS_SOCKET_BYTES_MAX + 2];
    memset(path, 'a', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    assert_int_equal(listen_at(fixture, path, &why), STATUS_LIMIT);
    assert_non_null(strstr(why.data, "108 bytes"));
    assert_non_null(strstr(why.data, "107"));
    assert_non_null(strstr(why.data, "control.socket"));
    buf_fini(&why);
}

static void test_a_request_without_an_end_is_refused_and_closed(void **state)
{
    struct fixture *fixture = *state;
    int fd = connect_client(fixture);
    char part[1025];
    memset(part, ' ', sizeof part - 1);
    part[sizeof part - 1] = '\0';
    for (size_t sent = 0; sent < CONTROL_REQUEST_BYTES_MAX; sent += sizeof part - 1) {
        say(fd, part);
    }
    assert_non_null(strstr(answer_of(fixture, fd), "longer than 8192 bytes"));
    assert_string_equal(answer_of(fixture, fd), "");
    assert_int_equal(fixture->request_count, 0);
    close(fd);
}

/* The clients that stall are closed for those that come. */
static void test_clients_that_stall_keep_nobody_out(void **state)
{
    struct fixture *fixture = *state;
    int stalled[CONTROL_CLIENTS_MAX * 2];
    for (size_t i = 0; i < sizeof stalled / sizeof stalled[0]; i++) {
        stalled[i] = connect_client(fixture);
        say(stalled[i], "{\"Do\":");
    }
    int fd = connect_client(fixture);
    say(fd, "{\"Do\":\"status\"}\n");
    assert_string_equal(answer_of(fixture, fd), "{\"Done\":true,\"Output\":\"other\"}\n");
    assert_string_equal(answer_of(fixture, stalled[0]), "");
    for (size_t i = 0; i < sizeof stalled / sizeof stalled[0]; i++) {
        close(stalled[i]);
    }
    close(fd);
}

static void test_an_answer_to_a_client_that_is_gone_is_dropped(void **state)
{
    struct fixture *fixture = *state;
    fixture->answers_later = true;
    int gone = connect_client(fixture);
    int fd = connect_client(fixture);
    say(gone, "{\"Do\":\"status\"}\n");
    say(fd, "nonsense\n");
    assert_non_null(strstr(answer_of(fixture, fd), "\"Done\":false"));
    assert_int_equal(fixture->request_count, 1);
    close(gone);
    control_answer(fixture->control, fixture->ticket, true, slice_text("late"));
    control_answer(fixture->control, fixture->ticket, true, slice_text("twice"));
    control_answer(fixture->control, (struct control_ticket){99}, true, slice_text("never"));
    say(fd, "nonsense\n");
    assert_non_null(strstr(answer_of(fixture, fd), "\"Done\":false"));
    close(fd);
}

static void test_a_wrong_request_is_refused_by_the_name_of_its_field(void **state)
{
    static const struct {
        const char *line;
        const char *why; /* "" for a valid one */
    } cases[] = {
        {"{\"Do\":\"status\"}", ""},
        {" {\"Do\":\"ack\",\"What\":\"session_lost\"} ", ""},
        {"{\"Do\":\"ack\",\"What\":\"ledger_may_have_lost\"}", ""},
        {"", "not JSON"},
        {"{\"Do\":\"status\"} {}", "not JSON"},
        {"[]", "not a JSON object"},
        {"{}", "Do is not one of status level"},
        {"{\"Do\":\"stop\"}", "Do is not one of status level"},
        {"{\"Do\":1}", "Do is not a string"},
        {"{\"Do\":\"status\",\"Do\":\"level\"}", "Do is there twice"},
        {"{\"Do\":\"status\",\"Secret\":\"x\"}", "the request has an unknown field"},
        {"{\"Do\":\"level\"}", "Level is missing"},
        {"{\"Do\":\"level\",\"Level\":\"loud\"}", "the level is not one of error warn info debug"},
        {"{\"Do\":\"status\",\"Level\":\"info\"}", "Level does not belong to this order"},
        {"{\"Do\":\"ack\",\"What\":\"everything\"}",
         "what can be acknowledged is session_lost or ledger_may_have_lost"},
        {"{\"Do\":\"retry\",\"ClientToken\":\"a token\"}", ""},
        {"{\"Do\":\"leave\"}", ""},
        {"{\"Do\":\"support\"}", ""},
        {"{\"Do\":\"support\",\"ClientToken\":\"t\"}", "ClientToken does not belong"},
        {"{\"Do\":\"retry\"}", "ClientToken is missing"},
        {"{\"Do\":\"retry\",\"ClientToken\":\"\"}", "ClientToken has 0 bytes; allowed: 1 to 64"},
        {"{\"Do\":\"retry\",\"ClientToken\":\"\\u00e4\"}", "ClientToken has 2 bytes"},
        {"{\"Do\":\"retry\",\"ClientToken\":\"t\",\"Note\":\"n\"}",
         "Note does not belong to this order"},
        {"{\"Do\":\"resolve\",\"ClientToken\":\"t\",\"As\":\"failed\",\"Note\":\"n\"}", ""},
        {"{\"Do\":\"resolve\",\"ClientToken\":\"t\",\"As\":\"succeeded\",\"Note\":\"n\"}",
         "RequestId is missing"},
        {"{\"Do\":\"resolve\",\"ClientToken\":\"t\",\"As\":\"failed\",\"Note\":\"n\","
         "\"RequestId\":\"r\"}",
         "RequestId belongs only to As succeeded"},
        {"{\"Do\":\"resolve\",\"ClientToken\":\"t\",\"As\":\"maybe\",\"Note\":\"n\"}",
         "As is not one of succeeded failed unknown"},
        {"{\"Do\":\"resolve\",\"ClientToken\":\"t\",\"As\":\"failed\"}", "Note is missing"},
        {"{\"Do\":\"resolve\",\"ClientToken\":\"t\",\"As\":\"failed\",\"Note\":\"\\n\"}",
         "Note has 1 bytes"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct control_request request;
        struct buf why = {0};
        enum status status = control_request_read(slice_text(cases[i].line), &request, &why);
        assert_int_equal(status, cases[i].why[0] == '\0' ? STATUS_OK : STATUS_INVALID);
        if (status != STATUS_OK && strstr(why.data, cases[i].why) == NULL) {
            fail_msg("%s: %s", cases[i].line, why.data);
        }
        buf_fini(&why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_a_request_gets_its_answer_and_the_next_one_too),
        TEST(test_only_the_owner_may_open_the_socket),
        TEST(test_another_user_gets_nothing),
        TEST(test_a_stale_file_is_replaced_and_a_live_one_is_not),
        TEST(test_a_file_that_is_no_socket_is_left_alone),
        TEST(test_a_path_that_is_too_long_is_refused_with_the_limit),
        TEST(test_a_request_without_an_end_is_refused_and_closed),
        TEST(test_clients_that_stall_keep_nobody_out),
        TEST(test_an_answer_to_a_client_that_is_gone_is_dropped),
        cmocka_unit_test(test_a_wrong_request_is_refused_by_the_name_of_its_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
