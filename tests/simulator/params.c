/* Decoding and canonical encoding of request parameters. */
#include "params.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool decode(char *text)
{
    char *out = text;
    for (const char *in = text; *in; in++) {
        char byte = *in;
        if (byte == '%') {
            int high = hex_digit(in[1]);
            int low = high < 0 ? -1 : hex_digit(in[2]);
            byte = (char)(high * 16 + low);
            if (low < 0 || byte == '\0') {
                return false;
            }
            in += 2;
        } else if (byte == '+') {
            byte = ' ';
        }
        *out++ = byte;
    }
    *out = '\0';
    return true;
}

static bool add_pair(struct params *params, char *pair)
{
    char *equals = strchr(pair, '=');
    char *value = equals ? equals + 1 : pair + strlen(pair);
    if (equals) {
        *equals = '\0';
    }
    if (!decode(pair) || !decode(value) || !*pair || params_get(params, pair) ||
        params->count == PARAMS_LIMIT) {
        return false;
    }
    params->items[params->count++] = (struct param){.name = pair, .value = value};
    return true;
}

bool params_add(struct params *params, const char *encoded, size_t length)
{
    assert(params->storage_count < 2);
    if (length == 0) {
        return true;
    }
    if (memchr(encoded, '\0', length)) {
        return false;
    }
    char *rest = base_copy(encoded, length);
    params->storage[params->storage_count++] = rest;
    while (rest) {
        char *pair = strsep(&rest, "&");
        if (*pair && !add_pair(params, pair)) {
            return false;
        }
    }
    return true;
}

const char *params_get(const struct params *params, const char *name)
{
    for (size_t i = 0; i < params->count; i++) {
        if (strcmp(params->items[i].name, name) == 0) {
            return params->items[i].value;
        }
    }
    return NULL;
}

bool params_lists(const char *list, const char *id)
{
    size_t length = strlen(id);
    for (const char *item = list; *item; item += *item == ',') {
        size_t item_length = strcspn(item, ",");
        if (item_length == length && strncmp(item, id, length) == 0) {
            return true;
        }
        item += item_length;
    }
    return false;
}

static int by_name(const void *left, const void *right)
{
    const struct param *const *a = left;
    const struct param *const *b = right;
    return strcmp((*a)->name, (*b)->name);
}

void params_canonical(const struct params *params, const char *without, struct text *out)
{
    const struct param *sorted[PARAMS_LIMIT];
    for (size_t i = 0; i < params->count; i++) {
        sorted[i] = &params->items[i];
    }
    qsort(sorted, params->count, sizeof sorted[0], by_name);
    const char *separator = "";
    for (size_t i = 0; i < params->count; i++) {
        if (without && strcmp(sorted[i]->name, without) == 0) {
            continue;
        }
        text_puts(out, separator);
        text_add_encoded(out, sorted[i]->name);
        text_puts(out, "=");
        text_add_encoded(out, sorted[i]->value);
        separator = "&";
    }
}

void params_fini(struct params *params)
{
    for (size_t i = 0; i < params->storage_count; i++) {
        free(params->storage[i]);
    }
    params->storage_count = 0;
    params->count = 0;
}
