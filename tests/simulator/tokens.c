/* An open-addressing table of pointers into chunks, which saves the allocator's own overhead. */
#include "tokens.h"

#include "base.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 256 * 1024 };

struct token_chunk {
    struct token_chunk *next;
    size_t used_bytes;
    max_align_t data[];
};

static size_t find_slot(const struct tokens *tokens, const char *name, size_t length)
{
    size_t slot = (size_t)base_hash(name, length) & (tokens->slot_count - 1);
    for (; tokens->slots[slot]; slot = (slot + 1) & (tokens->slot_count - 1)) {
        const struct token *token = tokens->slots[slot];
        if (token->name_length == length && memcmp(token->name, name, length) == 0) {
            break;
        }
    }
    return slot;
}

static void grow(struct tokens *tokens)
{
    struct tokens larger = *tokens;
    larger.slot_count = tokens->slot_count ? tokens->slot_count * 2 : 256;
    larger.slots = base_alloc(larger.slot_count * sizeof larger.slots[0]);
    for (size_t i = 0; i < tokens->slot_count; i++) {
        struct token *token = tokens->slots[i];
        if (token) {
            larger.slots[find_slot(&larger, token->name, token->name_length)] = token;
        }
    }
    free(tokens->slots);
    *tokens = larger;
}

static struct token *take_space(struct tokens *tokens, size_t name_length)
{
    size_t align = _Alignof(struct token);
    size_t needed = (sizeof(struct token) + name_length + 1 + align - 1) / align * align;
    if (!tokens->chunks || tokens->chunks->used_bytes + needed > CHUNK_BYTES) {
        struct token_chunk *chunk = base_alloc(sizeof *chunk + CHUNK_BYTES);
        chunk->next = tokens->chunks;
        tokens->chunks = chunk;
    }
    char *space = (char *)tokens->chunks->data + tokens->chunks->used_bytes;
    tokens->chunks->used_bytes += needed;
    return (struct token *)(void *)space;
}

struct token *tokens_get(struct tokens *tokens, const char *name, bool *out_is_new)
{
    size_t length = strlen(name);
    assert(length > 0 && length <= UINT8_MAX);
    if (tokens->count * 4 >= tokens->slot_count * 3) {
        grow(tokens);
    }
    size_t slot = find_slot(tokens, name, length);
    *out_is_new = !tokens->slots[slot];
    if (*out_is_new) {
        struct token *token = take_space(tokens, length);
        token->name_length = (uint8_t)length;
        memcpy(token->name, name, length + 1);
        tokens->slots[slot] = token;
        tokens->count++;
    }
    return tokens->slots[slot];
}

struct token *tokens_find(const struct tokens *tokens, const char *name)
{
    return tokens->slot_count ? tokens->slots[find_slot(tokens, name, strlen(name))] : NULL;
}

void tokens_add_effect(struct tokens *tokens, struct token *token)
{
    token->effects++;
    if (token->effects > tokens->max_effects) {
        tokens->max_effects = token->effects;
    }
}

void tokens_fini(struct tokens *tokens)
{
    while (tokens->chunks) {
        struct token_chunk *next = tokens->chunks->next;
        free(tokens->chunks);
        tokens->chunks = next;
    }
    free(tokens->slots);
    *tokens = (struct tokens){0};
}

void request_id_new(uint8_t out_id[REQUEST_ID_BYTES])
{
    uint64_t random[2] = {base_random(), base_random()};
    memcpy(out_id, random, REQUEST_ID_BYTES);
}

void request_id_format(const uint8_t id[REQUEST_ID_BYTES], char out_text[REQUEST_ID_TEXT_BYTES])
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < REQUEST_ID_BYTES; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *out_text++ = '-';
        }
        *out_text++ = digits[id[i] >> 4];
        *out_text++ = digits[id[i] & 15];
    }
    *out_text = '\0';
}
