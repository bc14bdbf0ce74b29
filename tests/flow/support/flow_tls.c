#include "flow_tls.h"

#include "flow_broker.h"
#include "flow_check.h"
#include "flow_process.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HOUR_S = 3600, YEAR_S = 365 * 24 * 3600, RELAY_BYTES = 16384 };

struct tls_authority {
    char directory[TLS_PATH_BYTES];
    EVP_PKEY *key;
    X509 *certificate;
};

/* ---- Certificates ---- */

static void must(bool is_ok, const char *what)
{
    if (!is_ok) {
        ERR_print_errors_fp(stdout);
        flow_fail("OpenSSL: %s", what);
    }
}

static void add_extension(X509 *certificate, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    must(extension != NULL && X509_add_ext(certificate, extension, -1) == 1, "an extension");
    X509_EXTENSION_free(extension);
}

static X509 *begin_certificate(EVP_PKEY *key, const char *name, int begins_s, int ends_s)
{
    static int number;
    X509 *certificate = X509_new();
    must(certificate != NULL, "a certificate");
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++number);
    X509_gmtime_adj(X509_getm_notBefore(certificate), begins_s == 0 ? -HOUR_S : begins_s);
    X509_gmtime_adj(X509_getm_notAfter(certificate), ends_s == 0 ? YEAR_S : ends_s);
    X509_set_pubkey(certificate, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8,
                               (const unsigned char *)name, -1, -1, 0);
    return certificate;
}

static FILE *create(const char *directory, const char *name, const char *suffix)
{
    char path[TLS_PATH_BYTES + 64];
    snprintf(path, sizeof path, "%s/%s%s", directory, name, suffix);
    remove(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    must(file != NULL, path);
    return file;
}

struct tls_authority *tls_authority_new(const char *directory, const char *name)
{
    struct tls_authority *authority = calloc(1, sizeof *authority);
    assert(authority != NULL);
    snprintf(authority->directory, sizeof authority->directory, "%s", directory);
    authority->key = EVP_EC_gen("P-256");
    authority->certificate = begin_certificate(authority->key, name, 0, 0);
    X509 *certificate = authority->certificate;
    X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
    add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(certificate, NID_key_usage, "critical,keyCertSign,cRLSign");
    must(X509_sign(certificate, authority->key, EVP_sha256()) > 0, "signing");
    FILE *file = create(directory, name, ".pem");
    PEM_write_X509(file, certificate);
    fclose(file);
    return authority;
}

void tls_authority_free(struct tls_authority *authority)
{
    if (authority != NULL) {
        X509_free(authority->certificate);
        EVP_PKEY_free(authority->key);
        free(authority);
    }
}

void tls_issue(const struct tls_authority *authority, const struct tls_subject *subject)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = begin_certificate(key, subject->name, subject->begins_s, subject->ends_s);
    X509_set_issuer_name(certificate, X509_get_subject_name(authority->certificate));
    if (subject->alt != NULL) {
        add_extension(certificate, NID_subject_alt_name, subject->alt);
    }
    must(X509_sign(certificate, authority->key, EVP_sha256()) > 0, "signing");
    FILE *file = create(authority->directory, subject->name, ".pem");
    PEM_write_X509(file, certificate);
    fclose(file);
    file = create(authority->directory, subject->name, ".key");
    const EVP_CIPHER *cipher = subject->password == NULL ? NULL : EVP_aes_256_cbc();
    PEM_write_PKCS8PrivateKey(file, key, cipher, subject->password,
                              subject->password == NULL ? 0 : (int)strlen(subject->password), NULL,
                              NULL);
    fclose(file);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

/* ---- The front: its own process, and one more process for every connection ---- */

static int take_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_length,
                     const unsigned char *offered, unsigned int offered_length, void *arg)
{
    const char *wanted = arg;
    (void)ssl;
    for (unsigned int i = 0; i < offered_length; i += 1u + offered[i]) {
        if (offered[i] == strlen(wanted) && memcmp(offered + i + 1, wanted, offered[i]) == 0) {
            *out = offered + i + 1;
            *out_length = offered[i];
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static bool set_files(SSL_CTX *context, const char *directory,
                      const struct tls_front_options *options)
{
    char cert[TLS_PATH_BYTES + 64];
    char key[TLS_PATH_BYTES + 64];
    char client[TLS_PATH_BYTES + 64];
    snprintf(cert, sizeof cert, "%s/%s.pem", directory, options->cert);
    snprintf(key, sizeof key, "%s/%s.key", directory, options->cert);
    snprintf(client, sizeof client, "%s/%s.pem", directory,
             options->client == NULL ? "" : options->client);
    return SSL_CTX_use_certificate_chain_file(context, cert) == 1 &&
           SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) == 1 &&
           (options->client == NULL || SSL_CTX_load_verify_locations(context, client, NULL) == 1);
}

/* NULL if the files do not belong together. This process must not fail the test, which runs in
 * another process. */
static SSL_CTX *make_context(const char *directory, const struct tls_front_options *options)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (!set_files(context, directory, options)) {
        SSL_CTX_free(context);
        return NULL;
    }
    if (options->version != 0) {
        /* Without this, OpenSSL 3 supports no TLS below 1.2. */
        SSL_CTX_set_cipher_list(context, "ALL:@SECLEVEL=0");
        SSL_CTX_set_min_proto_version(context, options->version);
        SSL_CTX_set_max_proto_version(context, options->version);
    }
    if (options->client != NULL) {
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    }
    if (options->alpn != NULL) {
        SSL_CTX_set_alpn_select_cb(context, take_alpn, (void *)options->alpn);
    }
    return context;
}

/* Waits and tries again: the files may just be replaced, one after the other. */
static SSL_CTX *wait_context(const char *directory, const struct tls_front_options *options)
{
    SSL_CTX *context = NULL;
    int64_t end_ms = flow_now_ms() + FLOW_TIMEOUT_MS;
    while ((context = make_context(directory, options)) == NULL && flow_now_ms() < end_ms) {
        flow_pause();
    }
    if (context == NULL) {
        _exit(1);
    }
    return context;
}

static int connect_to(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return connect(fd, (struct sockaddr *)&address, sizeof address) == 0 ? fd : -1;
}

static bool pass_plain(int from, SSL *to)
{
    char bytes[RELAY_BYTES];
    ssize_t got = read(from, bytes, sizeof bytes);
    return got > 0 && SSL_write(to, bytes, (int)got) > 0;
}

static bool pass_tls(SSL *from, int to)
{
    char bytes[RELAY_BYTES];
    do {
        int got = SSL_read(from, bytes, sizeof bytes);
        if (got <= 0 || write(to, bytes, (size_t)got) != got) {
            return false;
        }
    } while (SSL_pending(from) > 0);
    return true;
}

static void relay(SSL *ssl, int plain)
{
    struct pollfd fds[] = {{.fd = SSL_get_fd(ssl), .events = POLLIN},
                           {.fd = plain, .events = POLLIN}};
    bool is_going = plain >= 0;
    while (is_going && poll(fds, 2, -1) > 0) {
        is_going = (fds[0].revents == 0 || pass_tls(ssl, plain)) &&
                   (fds[1].revents == 0 || pass_plain(plain, ssl));
    }
}

/* Reads what the client still sends: closing with unread data would discard our last alert. */
static void end_in_order(int fd)
{
    char rest[RELAY_BYTES];
    shutdown(fd, SHUT_WR);
    while (read(fd, rest, sizeof rest) > 0) {
    }
}

static void serve(const char *directory, int fd, const struct tls_front_options *options, int log)
{
    SSL *ssl = SSL_new(wait_context(directory, options));
    const unsigned char *alpn = NULL;
    unsigned int alpn_length = 0;
    SSL_set_fd(ssl, fd);
    if (SSL_accept(ssl) != 1) {
        dprintf(log, "refused\n");
        end_in_order(fd);
        return;
    }
    X509 *client = SSL_get1_peer_certificate(ssl);
    SSL_get0_alpn_selected(ssl, &alpn, &alpn_length);
    dprintf(log, "tls %s alpn %.*s client %s\n", SSL_get_version(ssl), (int)alpn_length,
            alpn_length == 0 ? "" : (const char *)alpn, client == NULL ? "no" : "yes");
    relay(ssl, connect_to(options->target));
    SSL_shutdown(ssl);
    end_in_order(fd);
}

static _Noreturn void run_front(const char *directory, const struct tls_front_options *options,
                                int listening, int log)
{
    signal(SIGCHLD, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    for (;;) {
        int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0 && fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            serve(directory, fd, options, log);
            _exit(0);
        }
        close(fd);
    }
}

static int listen_anywhere(int *out_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 64) == 0 &&
             getsockname(fd, (struct sockaddr *)&address, &length) == 0,
         "a socket to listen on");
    *out_port = ntohs(address.sin_port);
    return fd;
}

void tls_front_start(struct tls_front *front, const char *directory,
                     const struct tls_front_options *options)
{
    static int number;
    snprintf(front->log, sizeof front->log, "%s/front-%d.log", directory, ++number);
    int listening = listen_anywhere(&front->port);
    int log = open(front->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    pid_t parent = getpid();
    fflush(NULL);
    front->pid = fork();
    if (front->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) {
            _exit(1);
        }
        run_front(directory, options, listening, log);
    }
    close(listening);
    close(log);
}

void tls_front_stop(struct tls_front *front)
{
    process_end(front->pid, SIGKILL, FLOW_TIMEOUT_MS);
    *front = (struct tls_front){0};
}
