/*
 * record - the record of the senders: what was sent, acknowledged and answered.
 *
 * Times are on the monotonic clock, in ms; 0 is never.
 */
#ifndef TORTURE_RECORD_H
#define TORTURE_RECORD_H

#include <mosquitto.h>
#include <stdbool.h>
#include <stdint.h>

/* A reply or dead letter. Replies with identical bytes are one entry with a count. */
struct record_reply {
    struct record_reply *next; /* next reply to the same command */
    int64_t first_ms;
    int count;
    bool is_dead_letter;
    const char *topic;
    const char *correlation; /* "" for none */
    const char *properties;  /* the user properties, as text */
    const char *body;
    char bytes[];
};

struct record_row {
    int64_t posted_ms;
    int64_t acked_ms; /* time of the broker's PUBACK to the sender */
    struct record_reply *replies;
};

struct record {
    struct record_row *rows;
    uint32_t capacity;
    uint64_t reply_count;    /* including repeated ones */
    uint64_t repeated_count; /* repeated with identical bytes */
    uint64_t strange_count;  /* replies that belong to no command */
    char strange[512];       /* the first of them */
};

void record_init(struct record *record, uint32_t capacity);
void record_fini(struct record *record);
/* Stores a message of the reply topics. `dead_letters` is the topic of dead letters. */
void record_add(struct record *record, const struct mosquitto_message *message,
                const mosquitto_property *properties, const char *dead_letters);

#endif
