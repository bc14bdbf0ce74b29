/*
 * A struct json is a cJSON object; only this file knows that. cJSON copies a number into a buffer
 * of 64 bytes before it parses it and fails on longer numbers, so these are first rewritten in a
 * copy of the text.
 */
#include "base/json.h"

#include "base/mem.h"
#include "base/secret.h"
#include "json_scan.h"

#include <assert.h>
#include <cjson/cJSON.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CJSON_LONGEST_NUMBER 63

static pthread_once_t is_prepared = PTHREAD_ONCE_INIT;

static const cJSON *cjson_of(const struct json *value)
{
    return (const cJSON *)value;
}

static const struct json *json_of(const cJSON *item)
{
    return (const struct json *)item;
}

static void prepare(void)
{
    cJSON_Hooks hooks = {.malloc_fn = mem_alloc, .free_fn = free};
    cJSON_InitHooks(&hooks);
}

/* Overwrites a number with a shorter one of the same value and pads it with white space. */
static void shorten_number(char *number, size_t length)
{
    char *digits = mem_dup(number, length);
    double value = strtod(digits, NULL);
    char text[32];
    int size = isinf(value) ? snprintf(text, sizeof text, "%s", value < 0 ? "-1e999" : "1e999")
                            : snprintf(text, sizeof text, "%.17g", value);
    assert(size > 0 && (size_t)size < length && (size_t)size < sizeof text);
    memset(number, ' ', length);
    memcpy(number, text, (size_t)size);
    free(digits);
}

/* `text` has passed json_scan(); a NUL follows it. */
static void shorten_numbers(char *text, size_t length)
{
    bool is_in_string = false;
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '"') {
            is_in_string = !is_in_string;
        } else if (is_in_string) {
            i += text[i] == '\\' ? 1 : 0;
        } else if (text[i] == '-' || (text[i] >= '0' && text[i] <= '9')) {
            size_t number_length = strspn(text + i, "0123456789+-.eE");
            if (number_length > CJSON_LONGEST_NUMBER) {
                shorten_number(text + i, number_length);
            }
            i += number_length - 1;
        }
    }
}

struct json *json_parse(struct slice text, unsigned max_depth, struct json_fault *out_fault)
{
    int result = pthread_once(&is_prepared, prepare);
    assert(result == 0);
    struct json_scan scan;
    if (json_scan(text, max_depth, &scan) != STATUS_OK) {
        *out_fault = (struct json_fault){scan.what, scan.offset};
        return NULL;
    }
    char *copy = NULL;
    if (scan.longest_number > CJSON_LONGEST_NUMBER) {
        copy = mem_dup(text.data, text.length);
        shorten_numbers(copy, text.length);
    }
    cJSON *root =
        cJSON_ParseWithLengthOpts(copy == NULL ? text.data : copy, text.length, NULL, false);
    free(copy);
    if (root == NULL) {
        *out_fault = (struct json_fault){"a form that the JSON parser does not support", 0};
    }
    return (struct json *)root;
}

void json_free(struct json *root)
{
    cJSON_Delete((cJSON *)root);
}

/* The recursion is as deep as json_scan() allowed. */
static void wipe(cJSON *item)
{
    for (; item != NULL; item = item->next) {
        if (item->valuestring != NULL) {
            secret_wipe(item->valuestring, strlen(item->valuestring));
        }
        wipe(item->child);
    }
}

void json_free_secret(struct json *root)
{
    wipe((cJSON *)root);
    cJSON_Delete((cJSON *)root);
}

enum json_kind json_kind(const struct json *value)
{
    switch (cjson_of(value)->type & 0xff) {
    case cJSON_False:
        return JSON_FALSE;
    case cJSON_True:
        return JSON_TRUE;
    case cJSON_Number:
        return JSON_NUMBER;
    case cJSON_String:
        return JSON_TEXT;
    case cJSON_Array:
        return JSON_ARRAY;
    case cJSON_Object:
        return JSON_OBJECT;
    default:
        return JSON_NULL;
    }
}

const char *json_kind_text(enum json_kind kind)
{
    static const char *const texts[] = {
        [JSON_NULL] = "null",     [JSON_FALSE] = "boolean", [JSON_TRUE] = "boolean",
        [JSON_NUMBER] = "number", [JSON_TEXT] = "string",   [JSON_ARRAY] = "array",
        [JSON_OBJECT] = "object",
    };
    assert((size_t)kind < sizeof texts / sizeof texts[0]);
    return texts[kind];
}

const struct json *json_first(const struct json *parent)
{
    return json_of(cjson_of(parent)->child);
}

const struct json *json_next(const struct json *value)
{
    return json_of(cjson_of(value)->next);
}

struct slice json_name(const struct json *member)
{
    return slice_text(cjson_of(member)->string);
}

const struct json *json_member(const struct json *object, const char *name)
{
    if (object == NULL || json_kind(object) != JSON_OBJECT) {
        return NULL;
    }
    const cJSON *member = cjson_of(object)->child;
    while (member != NULL && strcmp(member->string, name) != 0) {
        member = member->next;
    }
    return json_of(member);
}

struct slice json_text(const struct json *value)
{
    if (value == NULL || json_kind(value) != JSON_TEXT) {
        return slice_text(NULL);
    }
    return slice_text(cjson_of(value)->valuestring);
}

double json_number(const struct json *value)
{
    if (value == NULL || json_kind(value) != JSON_NUMBER) {
        return 0;
    }
    return cjson_of(value)->valuedouble;
}
