/*
 * test_client - drives a real ecs-simulator: starts it, signs requests by itself, reads answers.
 *
 * Its signing is written apart from the simulator's, so that one checks the other.
 * Thread: calls may run on several threads; everything else on one.
 */
#ifndef SIMULATOR_TEST_CLIENT_H
#define SIMULATOR_TEST_CLIENT_H

#include <cjson/cJSON.h>
#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define TEST_KEY_ID "YourAccessKeyId"
#define TEST_SECRET "YourAccessKeySecret"

struct simulator {
    pid_t pid;
    int port;
    char directory[64];
    char port_file[96];
};

/* Start the binary SIMULATOR_BINARY with these arguments after the usual ones; NULL ends them. */
void simulator_start(struct simulator *simulator, const char *const *arguments);

/* End it with a signal; returns its exit code, or -1 if it did not exit by itself. */
int simulator_stop(struct simulator *simulator, int signal_number);

/* Run the binary with arguments it must refuse or answer at once; returns its exit code. */
int simulator_run(const char *const *arguments);

/* What came back. `json` is NULL if the body is none; `code` is Code, or "" . */
struct reply {
    CURLcode curl;
    long http;
    char *body;
    size_t length;
    char content_type[64];
    char date[64];
    long retry_after_ms;
    cJSON *json;
};

void reply_fini(struct reply *reply);

/* A string of the JSON answer, or "". */
const char *reply_text(const struct reply *reply, const char *name);

/* A request as it goes out; NULL and 0 take the usual value. */
struct request {
    const char *method; /* POST */
    const char *query;  /* encoded and sorted by name */
    const char *body;
    const char *headers[12];
    long timeout_ms; /* 10000 */
};

void simulator_send(const struct simulator *simulator, const struct request *request,
                    struct reply *out_reply);

/* What to sign with V3; NULL and 0 take the usual value. */
struct call_options {
    const char *action;  /* StartDiskReplicaGroup */
    const char *version; /* 2021-07-30 */
    const char *accept;  /* application/json */
    const char *key_id;
    const char *secret;
    const char *security_token;
    const char *nonce;
    const char *date;
    const char *payload_hash;
    const char *unsigned_header;
    int64_t date_offset_s;
    long timeout_ms;
};

/* Sign and send; `options` may be NULL. */
void simulator_call(const struct simulator *simulator, const char *query,
                    const struct call_options *options, struct reply *out_reply);

/* A start of a group in cn-beijing; `token` and `one_shot` may be NULL. Returns the HTTP status. */
long simulator_start_group(const struct simulator *simulator, const char *group, const char *token,
                           const char *one_shot, struct reply *out_reply);

/* A control request that must succeed; the answer is the caller's. */
cJSON *simulator_control(const struct simulator *simulator, const char *method, const char *path,
                         const char *body);

/* The same with the answer thrown away. */
void simulator_order(const struct simulator *simulator, const char *method, const char *path,
                     const char *body);

/* One number of /_sim/totals. */
int simulator_total(const struct simulator *simulator, const char *name);

/* One number of /_sim/tokens/<token>. */
int simulator_token_number(const struct simulator *simulator, const char *token, const char *name);

#endif
