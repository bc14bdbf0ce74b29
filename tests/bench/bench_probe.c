/*
 * bench_probe - measurements that a shell cannot make.
 *
 * bench_probe memory PID   PSS, private memory, RSS and peak RSS of PID and its descendants
 * bench_probe pids PID     PID and its descendants, separated by commas
 * bench_probe cpu PID      the CPU time that PID and its descendants have used
 * bench_probe idle PID S   the times per second that their threads were woken, over S seconds
 * bench_probe port         a free TCP port on loopback
 * bench_probe fsync DIR    the time to append 4 KiB and fdatasync in DIR
 *
 * Prints one line. Exits with 1 if there is no process PID.
 */
#include "bench.h"
#include "bench_family.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

enum { FSYNC_ROUNDS = 200, FSYNC_BYTES = 4096 };

static int probe_memory(pid_t pid)
{
    struct bench_family family;

    bench_family_find(&family, pid);
    struct bench_memory all = bench_family_memory(&family);
    struct bench_memory first =
        bench_family_memory(&(struct bench_family){.pids = {pid}, .count = 1});
    printf("{\"processes\":%zu,\"pss_kib\":%" PRIu64 ",\"private_kib\":%" PRIu64
           ",\"private_dirty_kib\":%" PRIu64 ",\"private_clean_kib\":%" PRIu64
           ",\"rss_kib\":%" PRIu64 ",\"peak_rss_kib\":%" PRIu64 ",\"main_pss_kib\":%" PRIu64 "}\n",
           family.count, all.pss_kib, all.private_kib, all.dirty_kib,
           all.private_kib - all.dirty_kib, all.rss_kib, all.peak_rss_kib, first.pss_kib);
    return BENCH_EXIT_OK;
}

static int probe_pids(pid_t pid)
{
    struct bench_family family;

    bench_family_find(&family, pid);
    for (size_t i = 0; i < family.count; i++) {
        printf("%s%d", i == 0 ? "" : ",", (int)family.pids[i]);
    }
    printf("\n");
    return BENCH_EXIT_OK;
}

static int probe_cpu(pid_t pid)
{
    struct bench_family family;

    bench_family_find(&family, pid);
    printf("{\"cpu_ms\":%.1f}\n", (double)bench_family_cpu_ns(&family) / 1e6);
    return BENCH_EXIT_OK;
}

static uint64_t switches(const struct bench_family *family, struct bench_threads *threads)
{
    uint64_t sum = 0;

    bench_family_threads(family, threads);
    for (size_t i = 0; i < threads->count; i++) {
        sum += threads->items[i].voluntary + threads->items[i].involuntary;
    }
    return sum;
}

/* A thread that waits and is woken makes one voluntary switch. */
static int probe_idle(pid_t pid, unsigned seconds)
{
    struct bench_family family;
    struct bench_threads *threads = bench_alloc(1, sizeof(*threads));

    bench_family_find(&family, pid);
    uint64_t cpu_ns = bench_family_cpu_ns(&family);
    uint64_t count = switches(&family, threads);
    uint64_t start_ns = bench_now_ns();
    sleep(seconds);
    double elapsed_s = (double)(bench_now_ns() - start_ns) / 1e9;
    count = switches(&family, threads) - count;
    cpu_ns = bench_family_cpu_ns(&family) - cpu_ns;
    printf("{\"seconds\":%.1f,\"wakeups_per_s\":%.2f,\"cpu_us_per_s\":%.1f,\"threads\":%zu}\n",
           elapsed_s, (double)count / elapsed_s, (double)cpu_ns / 1000.0 / elapsed_s,
           threads->count);
    free(threads);
    return BENCH_EXIT_OK;
}

static int probe_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t address_bytes = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &address_bytes) != 0) {
        bench_die(EX_OSERR, "no free port: %s", strerror(errno));
    }
    printf("%u\n", (unsigned)ntohs(address.sin_port));
    close(fd);
    return BENCH_EXIT_OK;
}

static int probe_fsync(const char *directory)
{
    static const char page[FSYNC_BYTES] = {1};
    struct bench_samples samples;
    int fd = open(directory, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);

    if (fd < 0) {
        bench_die(EX_CANTCREAT, "%s: %s", directory, strerror(errno));
    }
    bench_samples_init(&samples, FSYNC_ROUNDS);
    for (int i = 0; i < FSYNC_ROUNDS; i++) {
        uint64_t start_ns = bench_now_ns();
        if (write(fd, page, sizeof(page)) != FSYNC_BYTES || fdatasync(fd) != 0) {
            bench_die(EX_IOERR, "%s: %s", directory, strerror(errno));
        }
        bench_samples_add(&samples, bench_now_ns() - start_ns);
    }
    bench_samples_sort(&samples);
    printf("{\"p50_us\":%.1f,\"p99_us\":%.1f}\n", bench_samples_percentile_us(&samples, 50.0),
           bench_samples_percentile_us(&samples, 99.0));
    bench_samples_fini(&samples);
    close(fd);
    return BENCH_EXIT_OK;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";

    if (strcmp(what, "port") == 0 && argc == 2) {
        return probe_port();
    }
    if (strcmp(what, "fsync") == 0 && argc == 3) {
        return probe_fsync(argv[2]);
    }
    if (strcmp(what, "memory") == 0 && argc == 3) {
        return probe_memory((pid_t)bench_number(what, argv[2], 1, INT32_MAX));
    }
    if (strcmp(what, "pids") == 0 && argc == 3) {
        return probe_pids((pid_t)bench_number(what, argv[2], 1, INT32_MAX));
    }
    if (strcmp(what, "cpu") == 0 && argc == 3) {
        return probe_cpu((pid_t)bench_number(what, argv[2], 1, INT32_MAX));
    }
    if (strcmp(what, "idle") == 0 && argc == 4) {
        return probe_idle((pid_t)bench_number(what, argv[2], 1, INT32_MAX),
                          (unsigned)bench_number(what, argv[3], 1, 3600));
    }
    bench_die(EX_USAGE, "one of: memory PID, pids PID, cpu PID, idle PID SECONDS, port, fsync DIR");
}
