/*
 * must - for calls of libcurl that fail only if we pass a wrong argument, or without memory.
 *
 * Thread: any.
 */
#ifndef HTTP_MUST_H
#define HTTP_MUST_H

#include <assert.h>
#include <curl/curl.h>

static inline void must(CURLcode code)
{
    assert(code == CURLE_OK);
}

static inline void must_multi(CURLMcode code)
{
    assert(code == CURLM_OK);
}

#endif
