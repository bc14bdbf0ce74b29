/*
 * TLS and passwords, with a real server whose certificate is made here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ledger/postgres/hosts.h"
#include "support/tls_peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define TIMEOUT_MS 30000
#define SECRET     "open-sesame"
#define NOBODY     65534 /* as whom the server runs where this program is root */

static struct {
    char folder[64];
    char server[80];
    char certificate[80];
    char key[80];
    char stranger[80]; /* the certificate of another authority */
    char password[80]; /* a file */
    char passfile[80];
    int port;
} f;

static void write_file(const char *path, const char *text, mode_t mode)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static int free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, length), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static void server(const char *verb, const char *rest)
{
    struct buf command = {0};
    buf_printf(&command, "tests/support/postgres %s %s %s", verb, f.server, rest);
    assert_int_equal(system(command.data), 0);
    buf_fini(&command);
}

static void sql(const char *text)
{
    struct buf command = {0};
    buf_printf(&command, "echo \"%s\" | tests/support/postgres sql %s >/dev/null", text, f.server);
    assert_int_equal(system(command.data), 0);
    buf_fini(&command);
}

/* Over the network only with TLS and the password. */
static void close_to_strangers(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/data/pg_hba.conf", f.server);
    write_file(path, "local all all trust\nhostssl all all all scram-sha-256\n", 0644);
    sql("ALTER USER bridge PASSWORD '" SECRET "'; SELECT pg_reload_conf()");
}

static int begin(void **state)
{
    struct tls_identity own;
    struct tls_identity other;
    struct buf rest = {0};
    char passfile[128];
    (void)state;
    snprintf(f.folder, sizeof f.folder, "/tmp/test-postgres-tls-XXXXXX");
    assert_non_null(mkdtemp(f.folder));
    assert_int_equal(chmod(f.folder, 0711), 0);
    snprintf(f.server, sizeof f.server, "%s/s", f.folder);
    snprintf(f.certificate, sizeof f.certificate, "%s/certificate.pem", f.folder);
    snprintf(f.key, sizeof f.key, "%s/key.pem", f.folder);
    snprintf(f.stranger, sizeof f.stranger, "%s/stranger.pem", f.folder);
    snprintf(f.password, sizeof f.password, "%s/password", f.folder);
    snprintf(f.passfile, sizeof f.passfile, "%s/passfile", f.folder);
    tls_identity_init(&own, "postgres");
    tls_identity_init(&other, "stranger");
    write_file(f.certificate, own.certificate_pem, 0644);
    write_file(f.stranger, other.certificate_pem, 0644);
    write_file(f.key, own.key_pem, 0600);
    if (geteuid() == 0) {
        assert_int_equal(chown(f.key, NOBODY, NOBODY), 0);
    }
    tls_identity_fini(&own);
    tls_identity_fini(&other);
    f.port = free_port();
    write_file(f.password, SECRET "\n", 0600);
    snprintf(passfile, sizeof passfile, "127.0.0.1:%d:postgres:bridge:" SECRET "\n", f.port);
    write_file(f.passfile, passfile, 0600);
    buf_printf(&rest, "--port %d -c ssl=on -c ssl_cert_file=%s -c ssl_key_file=%s", f.port,
               f.certificate, f.key);
    server("start", rest.data);
    buf_fini(&rest);
    close_to_strangers();
    return 0;
}

static int end(void **state)
{
    struct buf command = {0};
    (void)state;
    server("stop", "");
    buf_printf(&command, "rm -r %s", f.folder);
    int code = system(command.data);
    buf_fini(&command);
    return code;
}

/* Opens it at this host with these options. No text has the password. */
static enum status try_open(const char *host, const char *options, const char *password_file,
                            struct buf *out_why)
{
    struct postgres_connection *connection = NULL;
    struct buf uri = {0};
    buf_printf(&uri, "postgresql://bridge@%s:%d/postgres?%s", host, f.port, options);
    buf_clear(out_why);
    enum status status =
        postgres_open(uri.data, password_file, true, false, TIMEOUT_MS, &connection, out_why);
    if (status == STATUS_OK) {
        postgres_close(connection);
    } else {
        assert_null(strstr(out_why->data, SECRET));
    }
    buf_fini(&uri);
    return status;
}

static void test_the_server_is_verified(void **state)
{
    struct buf why = {0};
    char own[160];
    char other[160];
    (void)state;
    snprintf(own, sizeof own, "sslmode=verify-full&sslrootcert=%s", f.certificate);
    snprintf(other, sizeof other, "sslmode=verify-full&sslrootcert=%s", f.stranger);
    if (try_open("127.0.0.1", own, f.password, &why) != STATUS_OK) {
        fail_msg("%s", why.data);
    }
    assert_int_equal(try_open("127.0.0.1", other, f.password, &why), STATUS_UNAVAILABLE);
    assert_non_null(strstr(why.data, "certificate verify failed"));
    /* The certificate is of another name. */
    assert_int_equal(try_open("localhost", own, f.password, &why), STATUS_UNAVAILABLE);
    assert_non_null(strstr(why.data, "does not match host name"));
    /* Nothing goes out without TLS. */
    assert_int_equal(try_open("127.0.0.1", "sslmode=disable", f.password, &why),
                     STATUS_UNAVAILABLE);
    buf_fini(&why);
}

static void test_the_password_comes_from_a_file_that_is_read_each_time(void **state)
{
    struct buf why = {0};
    char options[256];
    (void)state;
    snprintf(options, sizeof options, "sslmode=verify-full&sslrootcert=%s", f.certificate);
    write_file(f.password, "wrong\n", 0600);
    assert_int_equal(try_open("127.0.0.1", options, f.password, &why), STATUS_UNAVAILABLE);
    assert_non_null(strstr(why.data, "password authentication failed"));
    write_file(f.password, SECRET "\r\n", 0600);
    assert_int_equal(try_open("127.0.0.1", options, f.password, &why), STATUS_OK);
    assert_int_equal(try_open("127.0.0.1", options, "/nonexistent", &why), STATUS_UNAVAILABLE);
    assert_non_null(strstr(why.data, "ledger.password_file /nonexistent"));
    /* libpq's own file. */
    assert_int_equal(try_open("127.0.0.1", options, NULL, &why), STATUS_UNAVAILABLE);
    snprintf(options, sizeof options, "sslmode=verify-full&sslrootcert=%s&passfile=%s",
             f.certificate, f.passfile);
    assert_int_equal(try_open("127.0.0.1", options, NULL, &why), STATUS_OK);
    buf_fini(&why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_server_is_verified),
        cmocka_unit_test(test_the_password_comes_from_a_file_that_is_read_each_time),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
