#include "bench_cost.h"

#include "bench.h"
#include "bench_family.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

/* CPU time up to now. */
struct used {
    uint64_t measured_ns;
    uint64_t main_ns; /* the first process of the measured program */
    uint64_t broker_ns;
    uint64_t responder_ns;
    uint64_t sender_ns;
};

struct bench_cost {
    struct bench_watch watch;
    struct bench_family family;
    bool is_family_changed;
    uint64_t wall_ns;
    struct used used; /* at the start; after the end the difference */
    struct bench_threads before;
    struct bench_threads threads; /* after the end: what each thread used since the start */
};

static struct used used_now(const struct bench_cost *cost)
{
    const struct bench_watch *watch = &cost->watch;

    return (struct used){
        .measured_ns = bench_family_cpu_ns(&cost->family),
        .main_ns = watch->measured == 0 ? 0 : bench_process_cpu_ns(watch->measured),
        .broker_ns = watch->broker == 0 ? 0 : bench_process_cpu_ns(watch->broker),
        .responder_ns = watch->responder == 0 ? 0 : bench_process_cpu_ns(watch->responder),
        .sender_ns = bench_cpu_ns(),
    };
}

struct bench_cost *bench_cost_begin(const struct bench_watch *watch)
{
    struct bench_cost *cost = bench_alloc(1, sizeof(*cost));

    cost->watch = *watch;
    if (watch->measured != 0) {
        bench_family_find(&cost->family, watch->measured);
        bench_family_threads(&cost->family, &cost->before);
    }
    cost->used = used_now(cost);
    cost->wall_ns = bench_now_ns();
    return cost;
}

/* Keeps in `threads` the threads of both lists, with the differences. */
static void threads_subtract(struct bench_threads *threads, const struct bench_threads *before)
{
    size_t kept = 0;

    for (size_t i = 0; i < threads->count; i++) {
        struct bench_thread thread = threads->items[i];
        for (size_t j = 0; j < before->count; j++) {
            if (before->items[j].tid == thread.tid) {
                thread.cpu_ns -= before->items[j].cpu_ns;
                thread.voluntary -= before->items[j].voluntary;
                thread.involuntary -= before->items[j].involuntary;
                threads->items[kept++] = thread;
                break;
            }
        }
    }
    threads->count = kept;
}

static int compare_threads(const void *left, const void *right)
{
    uint64_t a = ((const struct bench_thread *)left)->cpu_ns;
    uint64_t b = ((const struct bench_thread *)right)->cpu_ns;

    return (a < b) - (a > b);
}

void bench_cost_end(struct bench_cost *cost)
{
    struct bench_family now_family = {0};

    cost->wall_ns = bench_now_ns() - cost->wall_ns;
    struct used now = used_now(cost);
    cost->used.measured_ns = now.measured_ns - cost->used.measured_ns;
    cost->used.main_ns = now.main_ns - cost->used.main_ns;
    cost->used.broker_ns = now.broker_ns - cost->used.broker_ns;
    cost->used.responder_ns = now.responder_ns - cost->used.responder_ns;
    cost->used.sender_ns = now.sender_ns - cost->used.sender_ns;
    if (cost->watch.measured != 0) {
        bench_family_threads(&cost->family, &cost->threads);
        threads_subtract(&cost->threads, &cost->before);
        qsort(cost->threads.items, cost->threads.count, sizeof(cost->threads.items[0]),
              compare_threads);
        bench_family_find(&now_family, cost->watch.measured);
        cost->is_family_changed = !bench_family_is_same(&cost->family, &now_family);
    }
}

void bench_cost_free(struct bench_cost *cost)
{
    free(cost);
}

double bench_cost_seconds(const struct bench_cost *cost)
{
    return (double)cost->wall_ns / 1e9;
}

bool bench_cost_is_spoiled(const struct bench_cost *cost)
{
    return cost->is_family_changed;
}

/* 0 without commands. */
static double per_command(uint64_t total, size_t commands)
{
    return commands == 0 ? 0.0 : (double)total / (double)commands;
}

void bench_cost_print(const struct bench_cost *cost, size_t commands)
{
    uint64_t voluntary = 0;
    uint64_t involuntary = 0;

    printf(",\"sender_cpu_us\":%.2f", per_command(cost->used.sender_ns, commands) / 1000.0);
    if (cost->watch.broker != 0) {
        printf(",\"broker_cpu_us\":%.2f", per_command(cost->used.broker_ns, commands) / 1000.0);
    }
    if (cost->watch.responder != 0) {
        printf(",\"responder_cpu_us\":%.2f",
               per_command(cost->used.responder_ns, commands) / 1000.0);
    }
    if (cost->watch.measured == 0) {
        return;
    }
    for (size_t i = 0; i < cost->threads.count; i++) {
        voluntary += cost->threads.items[i].voluntary;
        involuntary += cost->threads.items[i].involuntary;
    }
    printf(",\"cpu_us\":%.2f,\"main_cpu_us\":%.2f,\"processes\":%zu,\"replaced\":%s,"
           "\"voluntary_switches\":%.3f,\"involuntary_switches\":%.3f",
           per_command(cost->used.measured_ns, commands) / 1000.0,
           per_command(cost->used.main_ns, commands) / 1000.0, cost->family.count,
           cost->is_family_changed ? "true" : "false", per_command(voluntary, commands),
           per_command(involuntary, commands));
}

void bench_cost_write_threads(const struct bench_cost *cost, size_t commands, const char *path)
{
    FILE *file = fopen(path, "we");

    if (file == NULL) {
        bench_die(EX_CANTCREAT, "%s: %s", path, strerror(errno));
    }
    for (size_t i = 0; i < cost->threads.count; i++) {
        const struct bench_thread *thread = &cost->threads.items[i];
        fprintf(file, "%s\t%d\t%s\t%d\t%.2f\t%.3f\t%.3f\n", thread->process, (int)thread->pid,
                thread->name, (int)thread->tid, per_command(thread->cpu_ns, commands) / 1000.0,
                per_command(thread->voluntary, commands),
                per_command(thread->involuntary, commands));
    }
    if (fclose(file) != 0) {
        bench_die(EX_IOERR, "%s: %s", path, strerror(errno));
    }
}
