/*
 * faults - the misbehaviour that tests ask for, in the order in which they ask.
 */
#ifndef SIMULATOR_FAULTS_H
#define SIMULATOR_FAULTS_H

#include "groups.h"
#include "params.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

/* How an answer leaves the simulator. */
enum delivery {
    DELIVERY_NORMAL,
    DELIVERY_RESET,   /* the connection is reset instead of an answer */
    DELIVERY_CUT,     /* less is sent than Content-Length says, then closed */
    DELIVERY_SLOW,    /* one byte at a time */
    DELIVERY_HUGE,    /* `bytes` of valid JSON */
    DELIVERY_HANG,    /* nothing until the client closes or the faults are cleared */
    DELIVERY_HTML,    /* HTTP 502 with a page of a load balancer */
    DELIVERY_EMPTY,   /* HTTP 200 with `{}` */
    DELIVERY_TWICE,   /* the answer, and then a refusal that nobody asked for */
    DELIVERY_GARBAGE, /* HTTP 200 with bytes that are neither JSON nor XML */
};

/* One kind of fault: its name and what it does by default. */
struct fault_kind {
    const char *name;
    enum delivery delivery;
    bool has_effect;    /* whether the action is carried out */
    bool is_error;      /* answers an error code */
    bool is_xml;        /* answers in XML */
    bool is_clock;      /* moves the server's clock while it matches */
    bool is_indefinite; /* the client cannot know what happened */
    bool is_omitting;   /* lists leave out what `Match` names, or everything */
    const char *action; /* the action it is for unless Match says otherwise; NULL: a start */
    const char *code;   /* the error answered where none is given */
};

enum { FAULT_NAME_BYTES = 129, FAULT_MESSAGE_BYTES = 512 };

struct fault {
    const struct fault_kind *kind;
    int64_t id;
    int64_t count; /* how often it still applies; -1: until cleared */
    int64_t taken; /* how often it applied */
    bool has_effect;
    bool is_xml;            /* the answer is XML whatever was asked for */
    int64_t delay_ms;       /* before anything else happens */
    int64_t byte_ms;        /* between two bytes */
    int64_t size_bytes;     /* of a huge answer */
    int64_t offset_s;       /* of a wrong clock */
    int64_t retry_after_ms; /* sent as x-acs-retry-after; 0: not sent */
    unsigned http;
    char code[FAULT_NAME_BYTES];
    char message[FAULT_MESSAGE_BYTES];
    /* What a call must be for the fault to apply; "" matches every value. */
    char action[FAULT_NAME_BYTES];
    char region[FAULT_NAME_BYTES];
    char group[FAULT_NAME_BYTES];
    char pair[PAIR_ID_BYTES];
    char site[FAULT_NAME_BYTES];
    char token[FAULT_NAME_BYTES];
    struct fault *prev;
    struct fault *next;
};

/* {0} is empty. */
struct faults {
    struct fault *list;
    int64_t last_id;
    int64_t taken_total;
};

/*
 * Add the fault a control request describes. NULL if it is not understood;
 * *out_reason (static) is then the reason.
 */
const struct fault *faults_add(struct faults *faults, const cJSON *body, const char **out_reason);

/*
 * The first fault that applies to a call, counted as taken, copied to *out. `is_clock` asks for
 * faults of the clock or for all others. False if there is none.
 */
bool faults_take(struct faults *faults, bool is_clock, const char *action,
                 const struct params *params, struct fault *out);

/* What GET /_sim/faults shows. */
cJSON *faults_describe(const struct faults *faults);

/* Remove all; returns how many there were. */
int faults_clear(struct faults *faults);

#endif
