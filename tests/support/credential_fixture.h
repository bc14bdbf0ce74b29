/*
 * credential_fixture - what tests of credential sources share: a loop, an environment of their own,
 * a folder, and a service on loopback that is STS, CloudSSO and all others in one.
 *
 * Every secret in these tests holds the word SECRET_WORD, and no text that reaches the test may.
 *
 * Thread: the test's; the service answers on threads of its own, as `answer` was at the last get.
 */
#ifndef SUPPORT_CREDENTIAL_FIXTURE_H
#define SUPPORT_CREDENTIAL_FIXTURE_H

#include "credentials/sources.h"
#include "support/http_peer.h"

#include <pthread.h>
#include <sys/stat.h>

#define SECRET_WORD "s3cret"

#define FIXTURE_EXPIRES    "2099-01-02T03:04:05Z"
#define FIXTURE_EXPIRES_MS INT64_C(4071006245000)
#define FIXTURE_KEYS(id)                                                     \
    "{\"AccessKeyId\":\"" id "\",\"AccessKeySecret\":\"session-" SECRET_WORD \
    "\",\"SecurityToken\":\"token-" SECRET_WORD "+/=\",\"Expiration\":\"" FIXTURE_EXPIRES "\"}"
#define FIXTURE_STS(id) "{\"RequestId\":\"R-1\",\"Credentials\":" FIXTURE_KEYS(id) "}"

/* What requests that begin so are answered with; a list ends with {0}. */
struct fixture_route {
    const char *start; /* "GET /latest" */
    int status;
    const char *body;
};

/* What the service does. */
struct fixture_answer {
    int status;
    const char *body;                   /* NULL: the connection ends without a word */
    bool is_silent;                     /* nothing is answered until the reply_to gives up */
    const char *signing_secret;         /* V1 signatures are checked with it, NULL for no check */
    const struct fixture_route *routes; /* before the rest, NULL for none */
};

struct fixture {
    struct loop *loop;
    struct peer *peer;
    char url[64];
    char folder[64];
    struct credential_settings settings;
    struct credential_context context;
    struct fixture_answer answer;
    struct fixture_answer answer_now; /* the service's, under the lock */
    pthread_mutex_t lock;
    /* What the last get gave. */
    int told;
    bool is_running;
    enum status status;
    struct credentials got;
    char text[4096];
};

/* For cmocka. settings.sts_endpoint is the service; times are `read_ms` for all. */
int fixture_set_up(void **state);
int fixture_tear_down(void **state);
/* Opens the clients again with another time to wait for an answer. */
void fixture_set_timeout(struct fixture *fixture, int64_t read_ms);
/* NULL takes it away. Names must be literals. */
void fixture_env(const char *name, const char *value);
/* Writes a file into the folder and gives its path, which the next call reuses. */
const char *fixture_file(struct fixture *fixture, const char *name, mode_t mode,
                         const char *content);
/* One get, to its end, which must come exactly once and hold no secret but in the credentials. */
void fixture_get(struct fixture *fixture, struct credential_source *source);
/* The get of a source that is made for it alone; frees it. */
void fixture_get_once(struct fixture *fixture, struct credential_source *source);
void fixture_assert_got(const struct fixture *fixture, const char *id, const char *secret,
                        const char *token, const char *provider);
void fixture_assert_failed(const struct fixture *fixture, enum status status, const char *text);
/* A parameter of the request read last, of its query or its form, decoded; NULL for none. The next
 * call reuses it. */
const char *fixture_parameter(struct fixture *fixture, const char *name);

#endif
