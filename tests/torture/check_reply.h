/*
 * check_reply - what the replies say, held against the commands and the API's record.
 */
#ifndef TORTURE_CHECK_REPLY_H
#define TORTURE_CHECK_REPLY_H

#include "check.h"

void check_replies(struct check *check);

#endif
