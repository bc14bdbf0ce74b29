#include "process.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static int64_t us_of(struct timeval time)
{
    return (int64_t)time.tv_sec * 1000000 + time.tv_usec;
}

static void read_memory(struct process_figures *out)
{
    int64_t page_bytes = sysconf(_SC_PAGESIZE);
    char line[128];
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL) {
        return;
    }
    if (fgets(line, sizeof line, file) != NULL) { /* the first numbers: pages in all, in RAM */
        char *end = line;
        out->virtual_bytes = strtoll(end, &end, 10) * page_bytes;
        out->resident_bytes = strtoll(end, &end, 10) * page_bytes;
    }
    fclose(file);
}

static int64_t count_fds(void)
{
    DIR *directory = opendir("/proc/self/fd");
    int64_t count = -3; /* ".", "..", and the directory itself */
    if (directory == NULL) {
        return -1;
    }
    while (readdir(directory) != NULL) {
        count++;
    }
    closedir(directory);
    return count;
}

void process_figures_read(struct process_figures *out)
{
    struct rusage usage;
    struct rlimit limit;
    *out = (struct process_figures){-1, -1, -1, -1, -1};
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        out->cpu_us = us_of(usage.ru_utime) + us_of(usage.ru_stime);
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        out->max_fds = limit.rlim_cur == RLIM_INFINITY ? INT64_MAX : (int64_t)limit.rlim_cur;
    }
    read_memory(out);
    out->open_fds = count_fds();
}
