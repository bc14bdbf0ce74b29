/*
 * flow_load - many commands at once, with every reply counted.
 */
#ifndef FLOW_LOAD_H
#define FLOW_LOAD_H

#include "flow_fixture.h"

#include <stdbool.h>

enum { LOAD_COMMANDS_MAX = 2000 };

struct load {
    struct fixture *fixture;
    struct client *client; /* its own, with a place for replies of its own */
    const char *name;
    const char *prefix; /* of the tokens */
    int count;          /* commands, each with its number as correlation */
    int token_count;    /* command i has token i % token_count */
    int group_count;    /* and token i belongs to group i % group_count */
    int reply_counts[LOAD_COMMANDS_MAX];
    int answered_count;  /* commands with at least one reply */
    int succeeded_count; /* of those, the first reply was a success */
};

/* A load on a new client; commands are counted from 0. */
void load_init(struct load *load, struct fixture *fixture, const char *prefix, int count,
               int token_count, int group_count);
void load_fini(struct load *load);
/* Publishes command `index` at QoS 1; false where the connection is gone. */
bool load_post(struct load *load, int index);
/* Publishes commands `from` up to `to`, counting what comes meanwhile; then waits until the broker
 * has them. */
void load_send(struct load *load, int from, int to);
/* Counts what has come; does not wait. */
void load_count(struct load *load);
/* Waits until `count` commands have a reply. */
void load_wait_answered(struct load *load, int count);
/* Every command was answered with a success, and no token had more than one effect. */
void load_check(struct load *load);
/* How many of its replies were more than one command's share. */
int load_extra_replies(const struct load *load);

#endif
