#include "flow_memory.h"

#include "flow_check.h"
#include "support/sanitizer.h"

#include <stdio.h>

#if IS_SANITIZED
#define HIGHEST_KIB (2048L * 1024)
#else
#define HIGHEST_KIB (256L * 1024)
#endif

static long high_water_kib(pid_t pid)
{
    char path[64];
    char line[128];
    long kib = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        sscanf(line, "VmHWM: %ld kB", &kib);
    }
    if (file != NULL) {
        fclose(file);
    }
    return kib;
}

void check_memory(const struct bridge *bridge)
{
    static const char *const roles[] = {"receiver", "publisher"};
    pid_t pids[BRIDGE_CHILDREN_MAX];
    for (size_t i = 0; i < 2; i++) {
        int count = bridge_children(bridge, roles[i], pids);
        for (int k = 0; k < count; k++) {
            assert_in_range(high_water_kib(pids[k]), 0,
                            HIGHEST_KIB); /* 0: the process has just ended */
        }
    }
    assert_in_range(high_water_kib(bridge->pid), 1, HIGHEST_KIB);
}
