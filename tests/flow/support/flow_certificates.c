#include "flow_certificates.h"

#include "flow_check.h"
#include "flow_process.h"
#include "flow_tls.h"

#include <ftw.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PASSWORD "correct horse"
#define HERE     "IP:127.0.0.1,DNS:localhost"

char certificates[64] = "/tmp/ecs-flow-tls-XXXXXX";

static void write_in(const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", certificates, name);
    file_write(path, text);
    chmod(path, 0600);
}

void certificates_copy(const char *from, const char *to)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", certificates, from);
    char *text = file_read(path);
    write_in(to, text);
    free(text);
}

void certificates_begin(void)
{
    enum { DAY_S = 24 * 3600 };
    if (mkdtemp(certificates) == NULL) {
        flow_fail("cannot make a directory");
    }
    struct tls_authority *good = tls_authority_new(certificates, "good");
    struct tls_authority *stranger = tls_authority_new(certificates, "stranger");
    tls_issue(good, &(struct tls_subject){.name = "right", .alt = HERE});
    tls_issue(stranger, &(struct tls_subject){.name = "unknown", .alt = HERE});
    tls_issue(good, &(struct tls_subject){.name = "other", .alt = "DNS:other.example"});
    tls_issue(good, &(struct tls_subject){
                        .name = "expired", .alt = HERE, .begins_s = -9 * DAY_S, .ends_s = -DAY_S});
    tls_issue(good, &(struct tls_subject){.name = "future", .alt = HERE, .begins_s = DAY_S});
    tls_issue(good, &(struct tls_subject){.name = "client", .password = PASSWORD});
    tls_issue(good, &(struct tls_subject){.name = "plain-client"});
    tls_issue(good, &(struct tls_subject){.name = "soon", .ends_s = 3 * DAY_S});
    tls_issue(stranger, &(struct tls_subject){.name = "strange-client"});
    write_in("password", PASSWORD "\n");
    write_in("wrong-password", "wrong\n");
    write_in("nothing", "nothing of that kind\n");
    tls_authority_free(good);
    tls_authority_free(stranger);
}

void certificates_hash(const char *name, const char *authority)
{
    char path[192];
    snprintf(path, sizeof path, "%s/%s.pem", certificates, authority);
    FILE *file = fopen(path, "re");
    X509 *certificate = PEM_read_X509(file, NULL, NULL, NULL);
    fclose(file);
    snprintf(path, sizeof path, "%s/%s", certificates, name);
    mkdir(path, 0700);
    char from[128];
    char to[160];
    snprintf(from, sizeof from, "%s.pem", authority);
    snprintf(to, sizeof to, "%s/%08lx.0", name,
             X509_NAME_hash_ex(X509_get_subject_name(certificate), NULL, NULL, NULL));
    certificates_copy(from, to);
    X509_free(certificate);
}

void certificates_set_good(void)
{
    certificates_copy("right.pem", "server.pem");
    certificates_copy("right.key", "server.key");
    certificates_copy("good.pem", "trust.pem");
    certificates_copy("plain-client.pem", "shown.pem");
    certificates_copy("plain-client.key", "shown.key");
}

void certificates_set_next(const char *authority)
{
    char file[128];
    struct tls_authority *next = tls_authority_new(certificates, authority);
    tls_issue(next, &(struct tls_subject){.name = "server", .alt = HERE});
    tls_issue(next, &(struct tls_subject){.name = "shown"});
    tls_authority_free(next);
    snprintf(file, sizeof file, "%s.pem", authority);
    certificates_copy(file, "trust.pem");
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
    (void)info;
    (void)kind;
    (void)walk;
    return remove(path);
}

void certificates_end(void)
{
    nftw(certificates, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}
