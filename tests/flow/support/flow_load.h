/*
 * flow_load - many commands at once; every reply is counted.
 */
#ifndef FLOW_LOAD_H
#define FLOW_LOAD_H

#include "flow_fixture.h"

#include <stdbool.h>

enum { LOAD_COMMANDS_MAX = 2000 };

struct load {
    struct fixture *fixture;
    struct client *client; /* its own client, with its own reply topic */
    const char *name;
    const char *prefix; /* prefix of the tokens */
    int count;          /* number of commands; the correlation is the number of a command */
    int token_count;    /* command i has token i % token_count */
    int group_count;    /* and token i belongs to group i % group_count */
    int reply_counts[LOAD_COMMANDS_MAX];
    int answered_count;  /* commands with at least one reply */
    int succeeded_count; /* commands whose first reply was a success */
};

/* Makes a load with a new client; commands are numbered from 0. */
void load_init(struct load *load, struct fixture *fixture, const char *prefix, int count,
               int token_count, int group_count);
void load_fini(struct load *load);
/* Publishes command `index` at QoS 1; false if the connection is lost. */
bool load_post(struct load *load, int index);
/* Publishes the commands `from` to `to` - 1, counting replies in the meantime; then waits for their
 * PUBACKs. */
void load_send(struct load *load, int from, int to);
/* Counts the replies that have arrived; does not wait. */
void load_count(struct load *load);
/* Waits until `count` commands have a reply. */
void load_wait_answered(struct load *load, int count);
/* Every command was answered with a success, and no token had more than one effect. */
void load_check(struct load *load);
/* The number of replies beyond one for each command. */
int load_extra_replies(const struct load *load);

#endif
