/*
 * credential_fixture - the fixture of tests of credential sources: a loop, an environment, a
 * folder, and one service on loopback that acts as STS, CloudSSO and all others.
 *
 * Every secret in these tests contains SECRET_WORD; no error text may contain it.
 *
 * Thread: the test's; the service runs on its own threads and uses `answer` as of the last get.
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

/* The answer to requests that start with `start`; a list ends with {0}. */
struct fixture_route {
    const char *start; /* "GET /latest" */
    int status;
    const char *body;
};

/* The behaviour of the service. */
struct fixture_answer {
    int status;
    const char *body;                   /* NULL: the service closes the connection */
    bool is_silent;                     /* no answer until the client gives up */
    const char *signing_secret;         /* key to check V1 signatures with; NULL: no check */
    const struct fixture_route *routes; /* checked first; NULL: none */
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
    /* The result of the last get. */
    int answered;
    bool is_running;
    enum status status;
    struct credentials got;
    char text[4096];
};

/* For cmocka. settings.sts_endpoint is the service. */
int fixture_set_up(void **state);
int fixture_tear_down(void **state);
/* Creates the HTTP clients again, with another read timeout. */
void fixture_set_timeout(struct fixture *fixture, int64_t read_ms);
/* NULL removes the variable. Names must be literals. */
void fixture_env(const char *name, const char *value);
/* Writes a file into the folder; returns its path, valid until the next call. */
const char *fixture_file(struct fixture *fixture, const char *name, mode_t mode,
                         const char *content);
/* Runs one get. Its callback must come exactly once; the error text must contain no secret. */
void fixture_get(struct fixture *fixture, struct credential_source *source);
/* Runs one get, then frees the source. */
void fixture_get_once(struct fixture *fixture, struct credential_source *source);
void fixture_assert_got(const struct fixture *fixture, const char *id, const char *secret,
                        const char *token, const char *provider);
void fixture_assert_failed(const struct fixture *fixture, enum status status, const char *text);
/* A decoded parameter of the last request, from its query or its form; NULL: none. Valid until the
 * next call. */
const char *fixture_parameter(struct fixture *fixture, const char *name);

#endif
