/*
 * schema_write - writes JSON Schemas from tables of fields.
 *
 * Thread: any; pure.
 */
#ifndef DOCUMENTS_SCHEMA_WRITE_H
#define DOCUMENTS_SCHEMA_WRITE_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>

struct schema_field {
    const char *name;
    bool is_required;
    const char *members; /* of the field's schema, as JSON text; NULL where `put` writes them */
    void (*put)(struct buf *out);
    const char *meaning;
};

/* Members of the schema of a string that holds a time, and of one that holds 1 to so many printable
 * ASCII characters. `bytes` is a macro of a number. */
#define SCHEMA_TIME                "\"type\":\"string\",\"format\":\"date-time\""
#define SCHEMA_PRINTABLE(bytes)    SCHEMA_PRINTABLE_OF(bytes)
#define SCHEMA_PRINTABLE_OF(bytes) "\"type\":\"string\",\"pattern\":\"^[ -~]{1," #bytes "}$\""
/* A string of at most so many bytes, which are at least as many as its characters. */
#define SCHEMA_TEXT(bytes)    SCHEMA_TEXT_OF(bytes)
#define SCHEMA_TEXT_OF(bytes) "\"type\":\"string\",\"maxLength\":" #bytes
#define SCHEMA_COUNT          "\"type\":\"integer\",\"minimum\":0"

/* A file of config/schema. */
struct schema {
    const char *title;
    const char *description;
    const struct schema_field *fields;
    size_t field_count;
    void (*put_more)(struct buf *out); /* further properties; NULL: none */
    const char *members;               /* further members, as JSON text; NULL: none */
};

/* Appends the schema's file, with a line for each value. */
void schema_write(const struct schema *schema, struct buf *out);
/* "type":"object","properties":{...},"required":[...]; members of an object that is open. `more`
 * writes further properties, or is NULL. */
void schema_put_object(struct buf *out, const struct schema_field *fields, size_t count,
                       void (*more)(struct buf *out));
/* The schema of one property, with its name. */
void schema_put_field(struct buf *out, const struct schema_field *field);
/* Appends members that already are JSON text to the object that is open. */
void schema_put_members(struct buf *out, const char *members);

#endif
