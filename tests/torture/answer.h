/*
 * answer - a parsed reply or dead letter.
 */
#ifndef TORTURE_ANSWER_H
#define TORTURE_ANSWER_H

#include "record.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

struct answer {
    cJSON *json; /* NULL: the body is no JSON */
    const char *status;
    const char *token; /* texts are "" if absent */
    const char *request_id;
    const char *code;
    const char *source;
    const char *correlation_id;
    bool is_replayed;
    int64_t received_ms;  /* wall clock; 0: absent */
    int64_t completed_ms; /* the same */
};

void answer_read(const struct record_reply *reply, struct answer *out_answer);
void answer_fini(struct answer *answer);
bool answer_is(const struct answer *answer, const char *status);
/* Whether the answer is a refusal of this command (invalid, late, overloaded) and not an outcome of
 * its token. */
bool answer_is_refusal(const struct answer *answer);

#endif
