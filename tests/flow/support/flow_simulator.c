#include "flow_simulator.h"

#include "flow_check.h"
#include "flow_http.h"
#include "flow_process.h"

#include <assert.h>
#include <curl/curl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char key_option[] = FLOW_ACCESS_KEY ":" FLOW_ACCESS_SECRET;

void simulator_start(struct simulator *simulator, const char *directory, int port)
{
    char listen[32];
    char port_file[160];
    char log_file[160];
    snprintf(simulator->directory, sizeof simulator->directory, "%s", directory);
    snprintf(port_file, sizeof port_file, "%s/simulator.port", directory);
    snprintf(log_file, sizeof log_file, "%s/simulator.log", directory);
    snprintf(listen, sizeof listen, "127.0.0.1:%d", port);
    remove(port_file);
    const char *const argv[] = {
        SIMULATOR_BINARY, "--listen",      listen,      "--port-file", port_file, "--access-key",
        key_option,       "--auto-create", "--sync-ms", "0",           NULL};
    const struct process_spec spec = {.argv = argv, .output = log_file};
    simulator->pid = process_start(&spec);
    int64_t end_ms = flow_now_ms() + FLOW_TIMEOUT_MS;
    while (file_size(port_file) == 0) {
        if (flow_now_ms() > end_ms || process_wait(simulator->pid, 0) >= 0) {
            flow_fail("the simulator did not start, see %s", log_file);
        }
        flow_pause();
    }
    char *text = file_read(port_file);
    simulator->port = atoi(text);
    free(text);
}

void simulator_stop(struct simulator *simulator)
{
    process_end(simulator->pid, SIGKILL, FLOW_TIMEOUT_MS);
    simulator->pid = 0;
}

/* Returns the HTTP status; the caller frees *out_json. */
static long request(const struct simulator *simulator, const char *method, const char *path,
                    const char *body, cJSON **out_json)
{
    char target[600];
    char *answer = NULL;
    snprintf(target, sizeof target, "/_sim/%s", path);
    long http = http_exchange(simulator->port, method, target, body, &answer);
    *out_json = cJSON_Parse(answer);
    free(answer);
    if (http == 0) {
        cJSON_Delete(*out_json);
        flow_fail("the simulator does not answer %s %s", method, path);
    }
    return http;
}

cJSON *simulator_get(const struct simulator *simulator, const char *path)
{
    cJSON *json = NULL;
    long http = request(simulator, "GET", path, NULL, &json);
    if (http != 200 || json == NULL) {
        cJSON_Delete(json);
        flow_fail("the simulator answered GET %s with %ld", path, http);
    }
    return json;
}

static void order(const struct simulator *simulator, const char *method, const char *path,
                  const char *body)
{
    cJSON *json = NULL;
    char reason[256];
    long http = request(simulator, method, path, body, &json);
    snprintf(reason, sizeof reason, "%s", json_text(json, "Error"));
    cJSON_Delete(json);
    if (http != 200) {
        flow_fail("the simulator refused %s %s %s: %s", method, path, body == NULL ? "" : body,
                  reason);
    }
}

void simulator_order(const struct simulator *simulator, const char *method, const char *path,
                     const char *format, ...)
{
    char body[1024];
    va_list arguments;
    if (format == NULL) {
        order(simulator, method, path, NULL);
        return;
    }
    va_start(arguments, format);
    vsnprintf(body, sizeof body, format, arguments);
    va_end(arguments);
    order(simulator, method, path, body);
}

void simulator_fault(const struct simulator *simulator, const char *format, ...)
{
    char body[1024];
    int length = snprintf(body, sizeof body, "{\"Fault\":");
    va_list arguments;
    va_start(arguments, format);
    length += vsnprintf(body + length, sizeof body - (size_t)length, format, arguments);
    va_end(arguments);
    assert((size_t)length + 2 < sizeof body);
    snprintf(body + length, 2, "}");
    order(simulator, "POST", "faults", body);
}

void simulator_clear(const struct simulator *simulator)
{
    order(simulator, "DELETE", "faults", NULL);
}

void simulator_reset(const struct simulator *simulator)
{
    order(simulator, "POST", "reset", "{}");
}

int simulator_total(const struct simulator *simulator, const char *name)
{
    cJSON *totals = simulator_get(simulator, "totals");
    int number = (int)json_number(totals, name);
    cJSON_Delete(totals);
    return number;
}

int simulator_token(const struct simulator *simulator, const char *token, const char *name)
{
    char path[512];
    cJSON *json = NULL;
    char *encoded = curl_easy_escape(NULL, token, 0);
    snprintf(path, sizeof path, "tokens/%s", encoded);
    curl_free(encoded);
    long http = request(simulator, "GET", path, NULL, &json);
    int number = http == 200 ? (int)json_number(json, name) : 0;
    cJSON_Delete(json);
    return number;
}

cJSON *simulator_requests(const struct simulator *simulator, const char *token)
{
    cJSON *found = cJSON_CreateArray();
    cJSON *all = simulator_get(simulator, "requests?Last=1000");
    while (cJSON_GetArraySize(all) > 0) {
        cJSON *row = cJSON_DetachItemFromArray(all, 0);
        if (strcmp(json_text(row, "Params.ClientToken"), token) == 0) {
            cJSON_AddItemToArray(found, row);
        } else {
            cJSON_Delete(row);
        }
    }
    cJSON_Delete(all);
    return found;
}

void simulator_wait(const struct simulator *simulator, const char *name, int count)
{
    char body[128];
    bool is_reached = false;
    int before = -1;
    int total = simulator_total(simulator, name);
    snprintf(body, sizeof body, "{\"%s\":%d,\"TimeoutMs\":%d}", name, count, FLOW_TIMEOUT_MS);
    while (!is_reached && total > before) {
        cJSON *json = NULL;
        before = total;
        is_reached =
            request(simulator, "POST", "wait", body, &json) == 200 && json_is_true(json, "Reached");
        cJSON_Delete(json);
        total = simulator_total(simulator, name);
    }
    if (!is_reached) {
        flow_fail("the simulator has seen %d of %d %s, and none came for a while", total, count,
                  name);
    }
}

void simulator_wait_token(const struct simulator *simulator, const char *token, int calls)
{
    int64_t end_ms = flow_now_ms() + FLOW_TIMEOUT_MS;
    while (simulator_token(simulator, token, "Calls") < calls) {
        if (flow_now_ms() > end_ms) {
            flow_fail("the simulator did not see %d calls with token %s", calls, token);
        }
        flow_pause();
    }
}
