/*
 * check_reply - compares the content of replies with the commands and the API's record.
 */
#ifndef TORTURE_CHECK_REPLY_H
#define TORTURE_CHECK_REPLY_H

#include "check.h"

void check_replies(struct check *check);

#endif
