/*
 * The lists are an estimate of what Paho, OpenSSL and glibc of Debian 12 need between CONNACK and
 * the end of the process. flow_sandbox shows that nothing is missing for its connections, on the
 * system where it runs; run it on each other one.
 */
#include "sandbox.h"

#include "landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* The names with "time64", "mmap2" and "fcntl64" are those of 32-bit processors. */
static const int allowed[] = {
    /* sockets, pipes and eventfds that are open */
    SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(recvfrom),
    SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(ppoll_time64), SCMP_SYS(shutdown), SCMP_SYS(close),
    SCMP_SYS(getsockopt), SCMP_SYS(getsockname), SCMP_SYS(getpeername), SCMP_SYS(fstat),
    /* memory; see below */
    SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise),
    /* threads and time */
    SCMP_SYS(futex), SCMP_SYS(futex_time64), SCMP_SYS(nanosleep), SCMP_SYS(clock_nanosleep),
    SCMP_SYS(clock_nanosleep_time64), SCMP_SYS(clock_gettime), SCMP_SYS(clock_gettime64),
    SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(sched_yield), SCMP_SYS(restart_syscall),
    /* itself */
    SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(getppid), SCMP_SYS(getrandom),
    SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(exit),
    SCMP_SYS(exit_group)};

/* Allowed only if the argument with this number, masked, has this value. */
static const struct {
    int call;
    unsigned argument;
    uint32_t mask;
    uint32_t value;
} allowed_with[] = {
    {SCMP_SYS(mmap), 2, PROT_EXEC, 0},
    {SCMP_SYS(mmap2), 2, PROT_EXEC, 0},
    {SCMP_SYS(mprotect), 2, PROT_EXEC, 0},
    {SCMP_SYS(fcntl), 1, UINT32_MAX, F_GETFL},
    {SCMP_SYS(fcntl), 1, UINT32_MAX, F_SETFL},
    {SCMP_SYS(fcntl), 1, UINT32_MAX, F_GETPIPE_SZ},
    {SCMP_SYS(fcntl64), 1, UINT32_MAX, F_GETFL},
    {SCMP_SYS(fcntl64), 1, UINT32_MAX, F_SETFL},
    {SCMP_SYS(fcntl64), 1, UINT32_MAX, F_GETPIPE_SZ},
    {SCMP_SYS(ioctl), 1, UINT32_MAX, FIONREAD},
    {SCMP_SYS(ioctl), 1, UINT32_MAX, FIONBIO},
};

/* What libraries try and do without: how they fail. */
static const struct {
    int call;
    uint16_t error;
} refused[] = {
    {SCMP_SYS(open), EACCES},       {SCMP_SYS(openat), EACCES},
    {SCMP_SYS(openat2), EACCES},    {SCMP_SYS(access), EACCES},
    {SCMP_SYS(faccessat), EACCES},  {SCMP_SYS(faccessat2), EACCES},
    {SCMP_SYS(stat), EACCES},       {SCMP_SYS(lstat), EACCES},
    {SCMP_SYS(newfstatat), EACCES}, {SCMP_SYS(statx), EACCES},
    {SCMP_SYS(readlink), EACCES},   {SCMP_SYS(readlinkat), EACCES},
    {SCMP_SYS(prctl), EPERM},       {SCMP_SYS(prlimit64), EPERM},
    {SCMP_SYS(getrlimit), EPERM},   {SCMP_SYS(sched_getaffinity), EPERM},
    {SCMP_SYS(sysinfo), EPERM},     {SCMP_SYS(uname), EPERM},
};

/* ---- seccomp ---- */

/* Not libseccomp's macros for it: clang warns of them. */
static struct scmp_arg_cmp argument_is(unsigned argument, scmp_datum_t value)
{
    return (struct scmp_arg_cmp){argument, SCMP_CMP_EQ, value, 0};
}

/* Signals to this process, such as abort() sends; a crash point may kill the bridge, too. */
static int allow_signals(scmp_filter_ctx filter)
{
    const scmp_datum_t self = (scmp_datum_t)getpid();
    int error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, argument_is(0, self));
#ifdef BRIDGE_CRASH_POINTS
    error = error != 0
                ? error
                : seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(kill), 1, argument_is(0, self));
    error = error != 0 ? error
                       : seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(kill), 1,
                                          argument_is(0, (scmp_datum_t)getppid()));
#endif
    return error;
}

/* All return 0, or an errno value below 0. */
static int add_rules(scmp_filter_ctx filter)
{
    /* Without an address: with one, MSG_FASTOPEN would connect a socket that is closed. */
    int error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(sendto), 1, argument_is(4, 0));
    for (size_t i = 0; error == 0 && i < COUNT(allowed); i++) {
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
    }
    for (size_t i = 0; error == 0 && i < COUNT(allowed_with); i++) {
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed_with[i].call, 1,
                                 SCMP_CMP64(allowed_with[i].argument, SCMP_CMP_MASKED_EQ,
                                            (scmp_datum_t)allowed_with[i].mask,
                                            (scmp_datum_t)allowed_with[i].value));
    }
    for (size_t i = 0; error == 0 && i < COUNT(refused); i++) {
        error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(refused[i].error), refused[i].call, 0);
    }
    return error != 0 ? error : allow_signals(filter);
}

static int filter_system_calls(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (filter == NULL) {
        return -ENOMEM;
    }
    int error = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    error = error != 0 ? error : seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    error = error != 0 ? error : seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    error = error != 0 ? error : add_rules(filter);
    error = error != 0 ? error : seccomp_load(filter);
    seccomp_release(filter);
    return error;
}

/* ---- All of it ---- */

void sandbox_prepare(void)
{
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

enum status sandbox_enter(struct buf *out_why)
{
    const struct rlimit none = {0, 0};
    const struct rlimit files = {SANDBOX_FD_MAX, SANDBOX_FD_MAX};
    bool has_seccomp = prctl(PR_GET_SECCOMP, 0, 0, 0, 0) >= 0;
    setrlimit(RLIMIT_NPROC, &none);
    if (landlock_version() > 0 && landlock_deny_all(out_why) != STATUS_OK) {
        return STATUS_UNAVAILABLE;
    }
    setrlimit(RLIMIT_NOFILE, &files);
    int error = has_seccomp ? filter_system_calls() : 0;
    if (error != 0) {
        buf_printf(out_why, "the kernel has seccomp, but does not let the process use it: %s",
                   strerror(-error));
        return STATUS_UNAVAILABLE;
    }
    return has_seccomp ? STATUS_OK : STATUS_NOT_FOUND;
}
