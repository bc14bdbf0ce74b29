#include "flow_bridge.h"

#include "flow_check.h"
#include "flow_fixture.h"
#include "flow_process.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The bridge promises 10 s; the rest is tolerance for a busy machine. */
enum { STOP_MS = 10000 + 1500, LOG_TAIL_BYTES = 12000 };

void bridge_start(struct bridge *bridge)
{
    const char *binary = bridge->binary != NULL ? bridge->binary : BRIDGE_BINARY;
    const char *const argv[] = {
        binary, "run", "--config", bridge->config, bridge->is_leaving ? "--leave" : NULL, NULL};
    const struct process_spec spec = {.argv = argv,
                                      .env = bridge->env,
                                      .directory = bridge->directory,
                                      .output =
                                          bridge->output != NULL ? bridge->output : bridge->log,
                                      .has_descriptors = bridge->has_descriptors};
    if (bridge->fixture->sender != NULL) {
        client_sync(bridge->fixture->sender);
        client_forget(bridge->fixture->sender, &(struct match){.topic = bridge->status_topic});
    }
    bridge->pid = process_start(&spec);
}

void bridge_wait_online(struct bridge *bridge)
{
    client_expect(bridge->fixture->sender,
                  &(struct match){.topic = bridge->status_topic, .state = "online"});
}

void bridge_stop(struct bridge *bridge)
{
    int64_t begin_ms = flow_now_ms();
    pid_t pid = bridge->pid;
    int code = process_end(pid, SIGTERM, STOP_MS);
    if (code < 0) {
        flow_fail("the bridge did not end %d ms after SIGTERM", STOP_MS);
    }
    bridge->pid = 0;
    if (code != 0) {
        flow_fail("the bridge ended with code %d, %d ms after SIGTERM", code,
                  (int)(flow_now_ms() - begin_ms));
    }
}

void bridge_kill(struct bridge *bridge)
{
    process_end(bridge->pid, SIGKILL, FLOW_TIMEOUT_MS);
    bridge->pid = 0;
}

int bridge_wait_exit(struct bridge *bridge)
{
    int code = process_wait(bridge->pid, FLOW_TIMEOUT_MS);
    if (code < 0) {
        flow_fail("the bridge still runs");
    }
    bridge->pid = 0;
    return code;
}

static bool has_role(int pid, const char *role)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/comm", pid);
    FILE *file = fopen(path, "re");
    char text[32] = "";
    bool is_role = file != NULL && fgets(text, sizeof text, file) != NULL &&
                   strncmp(text, role, strlen(role)) == 0;
    if (file != NULL) {
        fclose(file);
    }
    return is_role;
}

int bridge_children(const struct bridge *bridge, const char *role,
                    pid_t out_pids[BRIDGE_CHILDREN_MAX])
{
    char path[64];
    int count = 0;
    int pid = 0;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)bridge->pid, (int)bridge->pid);
    FILE *file = fopen(path, "re");
    while (file != NULL && count < BRIDGE_CHILDREN_MAX && fscanf(file, "%d", &pid) == 1) {
        if (has_role(pid, role)) {
            out_pids[count++] = pid;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return count;
}

static bool is_any_of(pid_t pid, const pid_t *pids, int count)
{
    for (int i = 0; i < count; i++) {
        if (pids[i] == pid) {
            return true;
        }
    }
    return false;
}

void bridge_kill_children(const struct bridge *bridge, const char *role)
{
    pid_t old[BRIDGE_CHILDREN_MAX];
    pid_t now[BRIDGE_CHILDREN_MAX];
    int old_count = bridge_children(bridge, role, old);
    int new_count = 0;
    int64_t end_ms = flow_now_ms() + FLOW_TIMEOUT_MS;
    if (old_count == 0) {
        flow_fail("the bridge has no %s", role);
    }
    for (int i = 0; i < old_count; i++) {
        kill(old[i], SIGKILL);
    }
    while (new_count < old_count) {
        int count = bridge_children(bridge, role, now);
        new_count = 0;
        for (int i = 0; i < count; i++) {
            new_count += !is_any_of(now[i], old, old_count);
        }
        if (flow_now_ms() > end_ms) {
            flow_fail("the bridge did not start another %s", role);
        }
        flow_pause();
    }
}

bool bridge_log_contains(const struct bridge *bridge, const char *text)
{
    return file_contains(bridge->log, bridge->log_offset, text);
}

void bridge_wait_log(const struct bridge *bridge, const char *text)
{
    int64_t end_ms = flow_now_ms() + FLOW_TIMEOUT_MS;
    while (!bridge_log_contains(bridge, text)) {
        if (flow_now_ms() > end_ms) {
            flow_fail("the bridge's log does not contain: %s", text);
        }
        flow_pause();
    }
}

int bridge_admin_port(const struct bridge *bridge)
{
    char *log = file_read(bridge->log);
    const char *event = strstr(log, "admin_listening");
    const char *port = event == NULL ? NULL : strstr(event, " port=");
    int number = port == NULL ? 0 : atoi(port + strlen(" port="));
    free(log);
    assert_int_not_equal(number, 0);
    return number;
}

void bridge_print_log(const struct bridge *bridge)
{
    char *log = file_read(bridge->log);
    size_t length = strlen(log);
    size_t begin = (size_t)bridge->log_offset < length ? (size_t)bridge->log_offset : length;
    if (length - begin > LOG_TAIL_BYTES) {
        begin = length - LOG_TAIL_BYTES;
    }
    /* Not with cmocka's print functions, which cut long texts. */
    printf("---- settings: %s\n---- log of the bridge:\n%s---- end\n", bridge->overrides,
           log + begin);
    fflush(stdout);
    free(log);
}
