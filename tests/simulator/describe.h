/*
 * describe - the actions that read: groups, pairs, and how far a pair is.
 *
 * Source: the API pages of the three actions, for parameters, defaults and limits. GroupIds and
 * PairIds hold up to 100 ids; MaxResults is 10 unless given, with ids as well; with NextToken,
 * PageNumber and PageSize are ignored and TotalCount means nothing (it is 0 here).
 */
#ifndef SIMULATOR_DESCRIBE_H
#define SIMULATOR_DESCRIBE_H

#include "sim.h"

enum { ID_LIST_LIMIT = 100 };

/* Whether a text is a NextToken that an answer may have held. */
bool describe_is_next_token(const char *value);

/* Set call->fields or call->problem of a checked call. */
void describe_groups(struct call *call);
void describe_pairs(struct call *call);
void describe_progress(struct call *call);

#endif
