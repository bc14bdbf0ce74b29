/*
 * tokens - every ClientToken ever seen and what it caused.
 *
 * Compact, since a load test brings millions: about 90 bytes a token with a UUID for a name.
 * A token's address is stable until tokens_fini().
 */
#ifndef SIMULATOR_TOKENS_H
#define SIMULATOR_TOKENS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct group;

enum { REQUEST_ID_BYTES = 16, REQUEST_ID_TEXT_BYTES = 37 };

struct token {
    struct group *group;                  /* of the first call, or of the effect */
    uint8_t request_id[REQUEST_ID_BYTES]; /* of the effect */
    uint32_t effect_s;                    /* simulated seconds of the last effect */
    uint32_t calls;
    uint32_t effects;
    uint32_t succeeded; /* answered 200 with the RequestId */
    uint32_t lost;      /* got no definite answer, because of a fault */
    uint32_t errors;    /* answered a definite error */
    bool is_one_shot;
    uint8_t action; /* enum action_kind: of the first call, or of the effect */
    uint8_t name_length;
    char name[];
};

struct token_chunk;

/* {0} is empty. */
struct tokens {
    struct token **slots;
    size_t slot_count;
    size_t count;
    uint32_t max_effects; /* the most effects of any one token */
    struct token_chunk *chunks;
};

/* The token of that name (1..255 bytes), made if it is new. */
struct token *tokens_get(struct tokens *tokens, const char *name, bool *out_is_new);

/* The token of that name, or NULL. */
struct token *tokens_find(const struct tokens *tokens, const char *name);

/* Count one effect of a token. */
void tokens_add_effect(struct tokens *tokens, struct token *token);

void tokens_fini(struct tokens *tokens);

/* A new RequestId, and its text: an upper-case UUID. */
void request_id_new(uint8_t out_id[REQUEST_ID_BYTES]);
void request_id_format(const uint8_t id[REQUEST_ID_BYTES], char out_text[REQUEST_ID_TEXT_BYTES]);

#endif
