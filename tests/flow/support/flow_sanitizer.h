/*
 * flow_sanitizer - whether this build uses AddressSanitizer or ThreadSanitizer, of gcc or clang.
 * With them measurements of memory and time mean nothing, and tools that inspect a process fail.
 */
#ifndef FLOW_SANITIZER_H
#define FLOW_SANITIZER_H

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FLOW_IS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define FLOW_IS_SANITIZED 1
#endif
#endif
#ifndef FLOW_IS_SANITIZED
#define FLOW_IS_SANITIZED 0
#endif

#endif
