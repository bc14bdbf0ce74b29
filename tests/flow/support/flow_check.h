/*
 * flow_check - cmocka with the headers it needs, and a failure with a message.
 */
#ifndef FLOW_CHECK_H
#define FLOW_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Fails the running test with this message. */
_Noreturn void flow_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
