/*
 * outbox_fixture - the outbox with a ledger that is a table of rows, a publisher that records what
 * it is given, and timers that the test moves on.
 */
#ifndef SUPPORT_FAKES_OUTBOX_FIXTURE_H
#define SUPPORT_FAKES_OUTBOX_FIXTURE_H

#include "outbox/outbox.h"

#define ROWS_MAX    2000
#define WINDOW      128 /* at most so many are handed over at a time */
#define MEMORY_MAX  512 /* at most so many are in memory */
#define RETRY_MS    1000
#define ALONE_MS    1000 /* so long a connection has lasted before a message goes alone */
#define EXPIRY_S    600
#define TEXT_BYTES  32
#define READS_MAX   32
#define PACE_MS_MAX 10000

/* A read that is not answered yet. */
struct waiting_read {
    int64_t from_id;
    size_t limit;
    ledger_message_fn *each;
    ledger_read_fn *done;
    void *arg;
};

/* One for the whole program. */
extern struct outbox_fixture {
    struct settings settings;
    struct health *health;
    struct counters counters;
    struct outbox *outbox;
    /* the ledger */
    bool has_row[ROWS_MAX + 1];
    int64_t last_id;
    size_t delivered_count;
    int64_t traced_id; /* the last one */
    size_t traced_bytes;
    int64_t made_at_ms;    /* of all messages */
    bool has_dead_letters; /* the messages are dead letters */
    int64_t event_topics;  /* the messages are events, in turn to so many topics; 0: replies */
    bool is_reading;
    struct waiting_read read;
    size_t read_count;
    struct waiting_read retry_reads[READS_MAX];
    size_t retry_read_count;
    size_t retry_read_total;
    /* the replacement that is not answered yet */
    int64_t replaced_id;
    struct buf letter;
    ledger_done_fn *replaced;
    void *replaced_arg;
    size_t replaced_count;
    /* the publisher */
    size_t room; /* how many more its pipe takes */
    int64_t handed[2 * ROWS_MAX];
    size_t handed_count;
    int64_t valid_until_ms; /* of the last one */
    int flush_count;
} fixture;

/* A row's bytes, the same at each reading, until the next call. */
struct slice fixture_row_bytes(int64_t id);
/* Stores so many rows; the outbox does not know of them yet. */
void fixture_store(int64_t count);
/* Stores so many rows and reports them to the outbox. */
void fixture_post(int64_t count);
/* Answers the read of the next part of the outbox. */
void fixture_answer_read(void);
/* Lets time pass and answers the reads of messages that are due. */
void fixture_advance(int64_t ms);
/* Answers the replacement. */
void fixture_answer_replace(enum status status);
/* The dead letter that replaces this message, with a word of its error's message. */
void fixture_assert_letter(int64_t id, const char *word);
void fixture_refuse(int64_t id);
bool fixture_is_refused(void);
void fixture_connect_outbox(void);
/* The publisher is connected and takes all. */
void fixture_publisher_comes(void);
void fixture_publisher_goes(void);
/* A connection is lost when all that may go has gone: what goes alone waits for a moment. */
void fixture_lose_connections(int count);
/* Publisher and connection have lasted, and waits have ended. */
void fixture_publisher_comes_and_lasts(void);
/* Acknowledges what is handed over until nothing more is; answers reads. */
void fixture_publish_all(size_t from_index);
/* handed[from_index ...] are `count` ids in order, from `first_id` on. */
void fixture_assert_handed(size_t from_index, int64_t first_id, size_t count);
void fixture_flushed(void *arg);
/* Acknowledges what is handed over, from this index on, and lets held messages come back. */
void fixture_acknowledge_all(size_t from_index);
/* cmocka's. An outbox that is not connected yet. */
int fixture_set_up(void **state);
int fixture_tear_down(void **state);

#endif
