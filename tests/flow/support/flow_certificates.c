#include "flow_certificates.h"

#include "flow_check.h"
#include "flow_process.h"
#include "flow_tls.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PASSWORD "correct horse"

char certificates[64] = "/tmp/ecs-flow-tls-XXXXXX";

static void write_in(const char *name, const char *text)
{
    char path[128];
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
    static const char here[] = "IP:127.0.0.1,DNS:localhost";
    enum { DAY_S = 24 * 3600 };
    if (mkdtemp(certificates) == NULL) {
        flow_fail("cannot make a directory");
    }
    struct tls_authority *good = tls_authority_new(certificates, "good");
    struct tls_authority *stranger = tls_authority_new(certificates, "stranger");
    tls_issue(good, &(struct tls_subject){.name = "right", .alt = here});
    tls_issue(stranger, &(struct tls_subject){.name = "unknown", .alt = here});
    tls_issue(good, &(struct tls_subject){.name = "other", .alt = "DNS:other.example"});
    tls_issue(good, &(struct tls_subject){
                        .name = "expired", .alt = here, .begins_s = -9 * DAY_S, .ends_s = -DAY_S});
    tls_issue(good, &(struct tls_subject){.name = "future", .alt = here, .begins_s = DAY_S});
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
