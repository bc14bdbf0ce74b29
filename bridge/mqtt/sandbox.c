/*
 * What is allowed from CONNACK on was measured with strace, with each kind of connection: Paho
 * 1.3.12 and 1.3.14, OpenSSL 3.0 and 3.5, glibc 2.36 and 2.41 (Debian 12 and 13) on x86_64. They
 * make 15 calls. The other ones in the list are what glibc uses for the same on other processors,
 * to give memory back, to read the time where the vDSO cannot, and for abort(). flow_sandbox shows
 * that nothing is missing on the system where it runs.
 */
#include "sandbox.h"

#include "landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* What no step needs, and what would give most to an attacker. Not a list of what is needed: before
 * CONNACK that depends on the configuration of OpenSSL. */
static const int never[] = {
    /* programs and processes; clone() and signals have arguments, see below */
    SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(fork), SCMP_SYS(vfork), SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(process_madvise),
    SCMP_SYS(pidfd_open), SCMP_SYS(pidfd_getfd), SCMP_SYS(pidfd_send_signal), SCMP_SYS(kcmp),
    SCMP_SYS(rt_sigqueueinfo), SCMP_SYS(rt_tgsigqueueinfo), SCMP_SYS(tkill), SCMP_SYS(setpriority),
    SCMP_SYS(unshare), SCMP_SYS(setns), SCMP_SYS(personality),
    /* sockets and what stands for them */
    SCMP_SYS(socketpair), SCMP_SYS(bind), SCMP_SYS(listen), SCMP_SYS(accept), SCMP_SYS(accept4),
    SCMP_SYS(socketcall), SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter),
    SCMP_SYS(io_uring_register),
    /* files */
    SCMP_SYS(creat), SCMP_SYS(open_by_handle_at), SCMP_SYS(truncate), SCMP_SYS(truncate64),
    SCMP_SYS(mkdir), SCMP_SYS(mkdirat), SCMP_SYS(mknod), SCMP_SYS(mknodat), SCMP_SYS(rmdir),
    SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(rename), SCMP_SYS(renameat), SCMP_SYS(renameat2),
    SCMP_SYS(link), SCMP_SYS(linkat), SCMP_SYS(symlink), SCMP_SYS(symlinkat), SCMP_SYS(chmod),
    SCMP_SYS(fchmod), SCMP_SYS(fchmodat), SCMP_SYS(chown), SCMP_SYS(fchown), SCMP_SYS(fchownat),
    SCMP_SYS(lchown), SCMP_SYS(setxattr), SCMP_SYS(lsetxattr), SCMP_SYS(fsetxattr), SCMP_SYS(mount),
    SCMP_SYS(umount2), SCMP_SYS(move_mount), SCMP_SYS(open_tree), SCMP_SYS(fsopen),
    SCMP_SYS(pivot_root), SCMP_SYS(chroot),
    /* the kernel */
    SCMP_SYS(bpf), SCMP_SYS(perf_event_open), SCMP_SYS(userfaultfd), SCMP_SYS(add_key),
    SCMP_SYS(request_key), SCMP_SYS(keyctl), SCMP_SYS(init_module), SCMP_SYS(finit_module),
    SCMP_SYS(kexec_load), SCMP_SYS(reboot)};

/* From CONNACK on. The names with "time64", "mmap2" and "fcntl64" are those of 32-bit processors.
 */
static const int allowed[] = {
    /* sockets, pipes and eventfds that are open */
    SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(recvfrom), SCMP_SYS(poll),
    SCMP_SYS(ppoll), SCMP_SYS(ppoll_time64), SCMP_SYS(shutdown), SCMP_SYS(close),
    /* memory; see below */
    SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise),
    /* threads and time; that is read by the kernel where the vDSO cannot */
    SCMP_SYS(futex), SCMP_SYS(futex_time64), SCMP_SYS(nanosleep), SCMP_SYS(clock_nanosleep),
    SCMP_SYS(clock_nanosleep_time64), SCMP_SYS(clock_gettime), SCMP_SYS(clock_gettime64),
    SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(restart_syscall),
    /* itself: OpenSSL asks for the process and for random numbers, abort() for the rest */
    SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(getrandom), SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(exit), SCMP_SYS(exit_group)};

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
    /* the log, before it writes to a pipe */
    {SCMP_SYS(fcntl), 1, UINT32_MAX, F_GETPIPE_SZ},
    {SCMP_SYS(fcntl64), 1, UINT32_MAX, F_GETPIPE_SZ},
    {SCMP_SYS(ioctl), 1, UINT32_MAX, FIONREAD},
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
    {SCMP_SYS(fstat), EACCES},      {SCMP_SYS(fstat64), EACCES},
};

/* ---- The filters; their functions return 0, or an errno value below 0 ---- */

/* Not libseccomp's macros for it: clang warns of them. */
static struct scmp_arg_cmp argument_is(unsigned argument, scmp_datum_t value)
{
    return (struct scmp_arg_cmp){argument, SCMP_CMP_EQ, value, 0};
}

static struct scmp_arg_cmp argument_has(unsigned argument, scmp_datum_t mask, scmp_datum_t value)
{
    return (struct scmp_arg_cmp){argument, SCMP_CMP_MASKED_EQ, mask, value};
}

/* Where the filter allows everything else. A thread may be started, a process may not. The flags of
 * clone3() are in memory, where a filter cannot see them: libc uses clone() where there is no
 * clone3(). */
static int deny_processes(scmp_filter_ctx filter)
{
    struct scmp_arg_cmp others = {0, SCMP_CMP_NE, (scmp_datum_t)getpid(), 0};
    int error = seccomp_rule_add(filter, SCMP_ACT_TRAP, SCMP_SYS(clone), 1,
                                 argument_has(0, CLONE_THREAD, 0));
    error =
        error != 0 ? error : seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    error =
        error != 0 ? error : seccomp_rule_add(filter, SCMP_ACT_TRAP, SCMP_SYS(tgkill), 1, others);
#ifndef BRIDGE_CRASH_POINTS /* which may kill the bridge, too */
    error = error != 0 ? error : seccomp_rule_add(filter, SCMP_ACT_TRAP, SCMP_SYS(kill), 1, others);
#endif
    return error;
}

static int deny_writing(scmp_filter_ctx filter)
{
    static const scmp_datum_t modes[] = {O_WRONLY, O_RDWR, O_CREAT};
    int error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(openat2), 0);
    for (size_t i = 0; error == 0 && i < COUNT(modes); i++) {
        error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(openat), 1,
                                 argument_has(2, modes[i], modes[i]));
        if (error == 0) {
            error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(open), 1,
                                     argument_has(1, modes[i], modes[i]));
        }
    }
    return error;
}

/* Only those for TCP are allowed; libc asks for others and does without. */
static int deny_sockets(scmp_filter_ctx filter)
{
    const scmp_datum_t kind = 0xf; /* beside SOCK_NONBLOCK and SOCK_CLOEXEC */
    int error = 0;
    for (scmp_datum_t i = 0; error == 0 && i < AF_MAX; i++) {
        if (i != AF_INET && i != AF_INET6) {
            error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(socket), 1,
                                     argument_is(0, i));
        }
    }
    for (scmp_datum_t i = 0; error == 0 && i <= kind; i++) {
        if (i != SOCK_STREAM) {
            error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(socket), 1,
                                     argument_has(1, kind, i));
        }
    }
    return error;
}

static int build_start(scmp_filter_ctx filter)
{
    int error = deny_processes(filter);
    for (size_t i = 0; error == 0 && i < COUNT(never); i++) {
        error = seccomp_rule_add(filter, SCMP_ACT_TRAP, never[i], 0);
    }
    error = error != 0 ? error : deny_writing(filter);
    return error != 0 ? error : deny_sockets(filter);
}

static int build_connect(scmp_filter_ctx filter)
{
    return seccomp_rule_add(filter, SCMP_ACT_TRAP, SCMP_SYS(socket), 0);
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
    error = error != 0 ? error : seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(getppid), 0);
#endif
    return error;
}

static int build_accepted(scmp_filter_ctx filter)
{
    /* Without an address: with one, MSG_FASTOPEN would connect a socket that is closed. */
    int error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(sendto), 1, argument_is(4, 0));
    for (size_t i = 0; error == 0 && i < COUNT(allowed); i++) {
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
    }
    for (size_t i = 0; error == 0 && i < COUNT(allowed_with); i++) {
        error = seccomp_rule_add(
            filter, SCMP_ACT_ALLOW, allowed_with[i].call, 1,
            argument_has(allowed_with[i].argument, allowed_with[i].mask, allowed_with[i].value));
    }
    for (size_t i = 0; error == 0 && i < COUNT(refused); i++) {
        error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(refused[i].error), refused[i].call, 0);
    }
    return error != 0 ? error : allow_signals(filter);
}

/* The kernel applies all filters that were loaded; the strictest answer counts. */
static const struct {
    uint32_t otherwise;
    int (*build)(scmp_filter_ctx filter);
} filters[] = {
    [SANDBOX_START] = {SCMP_ACT_ALLOW, build_start},
    [SANDBOX_CONNECT] = {SCMP_ACT_ALLOW, build_connect},
    [SANDBOX_ACCEPTED] = {SCMP_ACT_TRAP, build_accepted},
};

static int filter_system_calls(enum sandbox_step step)
{
    scmp_filter_ctx filter = seccomp_init(filters[step].otherwise);
    if (filter == NULL) {
        return -ENOMEM;
    }
    int error = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    error = error != 0 ? error : seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    error = error != 0 ? error : seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    error = error != 0 ? error : filters[step].build(filter);
    error = error != 0 ? error : seccomp_load(filter);
    seccomp_release(filter);
    return error;
}

/* ---- Names of system calls ---- */

#define CALLS_MAX 512

/* Found at the start: a signal handler must not allocate memory. */
static struct buf names; /* each ends with a NUL */
static uint16_t name_at[CALLS_MAX];

static void find_names(void)
{
    buf_append_char(&names, '\0');
    for (int i = 0; i < CALLS_MAX; i++) {
        char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, i);
        if (name != NULL) {
            name_at[i] = (uint16_t)names.length;
            buf_append(&names, slice_of(name, strlen(name) + 1));
        }
        free(name);
    }
}

const char *sandbox_call_name(int number)
{
    return number < 0 || number >= CALLS_MAX || names.length == 0 ? ""
                                                                  : names.data + name_at[number];
}

/* ---- All of it ---- */

static enum status enter_landlock(enum sandbox_step step, const struct sandbox_needs *needs,
                                  struct buf *out_why)
{
    if (step == SANDBOX_CONNECT || landlock_version() == 0) {
        return STATUS_OK;
    }
    return step == SANDBOX_START ? landlock_deny_all_but(needs->files, needs->port, out_why)
                                 : landlock_deny_all(out_why);
}

enum status sandbox_enter(enum sandbox_step step, const struct sandbox_needs *needs,
                          struct buf *out_why)
{
    const struct rlimit none = {0, 0};
    const struct rlimit files = {SANDBOX_FD_MAX, SANDBOX_FD_MAX};
    bool has_seccomp = prctl(PR_GET_SECCOMP, 0, 0, 0, 0) >= 0;
    if (step == SANDBOX_START) {
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        find_names();
    }
    if (step == SANDBOX_ACCEPTED) {
        setrlimit(RLIMIT_NPROC, &none);
    }
    if (enter_landlock(step, needs, out_why) != STATUS_OK) {
        return STATUS_UNAVAILABLE;
    }
    if (step == SANDBOX_ACCEPTED) {
        setrlimit(RLIMIT_NOFILE, &files);
    }
    int error = has_seccomp ? filter_system_calls(step) : 0;
    if (error != 0) {
        buf_printf(out_why, "the kernel has seccomp, but does not let the process use it: %s",
                   strerror(-error));
        return STATUS_UNAVAILABLE;
    }
    return has_seccomp ? STATUS_OK : STATUS_NOT_FOUND;
}
