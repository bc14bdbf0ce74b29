#include "api.h"

#include "flow_check.h"
#include "flow_process.h"
#include "plan.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { POLL_MS = 400, FULL_MS = 2500, FEW_ROWS = 120, ALL_ROWS = 1000, OPTIONS = 20 };

static void wait_for_port(struct api *api, const char *port_file)
{
    int64_t end_ms = flow_now_ms() + FLOW_TIMEOUT_MS;
    while (file_size(port_file) == 0) {
        if (flow_now_ms() > end_ms || process_wait(api->simulator.pid, 0) >= 0) {
            flow_fail("the simulator did not start");
        }
        flow_pause();
    }
    char *text = file_read(port_file);
    api->simulator.port = atoi(text);
    free(text);
}

/* One-time starts are allowed every half second: most succeed, some are refused. */
void api_start(struct api *api, const char *directory, bool is_state_first, int token_ttl_s)
{
    static char groups[PLAN_GROUPS][48];
    char port_file[160];
    char log_file[160];
    const char *argv[OPTIONS + 2 * PLAN_GROUPS + 1] = {SIMULATOR_BINARY,
                                                       "--port-file",
                                                       port_file,
                                                       "--access-key",
                                                       FLOW_ACCESS_KEY ":" FLOW_ACCESS_SECRET,
                                                       "--rpo",
                                                       "1",
                                                       "--sync-ms",
                                                       "0"};
    int count = 9;
    char ttl[16];
    *api =
        (struct api){.is_state_first = is_state_first, .token_ttl_ms = (int64_t)token_ttl_s * 1000};
    if (is_state_first) {
        argv[count++] = "--state-first";
    }
    if (token_ttl_s > 0) {
        snprintf(ttl, sizeof ttl, "%d", token_ttl_s);
        argv[count++] = "--token-ttl";
        argv[count++] = ttl;
    }
    snprintf(api->simulator.directory, sizeof api->simulator.directory, "%s", directory);
    snprintf(port_file, sizeof port_file, "%s/simulator.port", directory);
    snprintf(log_file, sizeof log_file, "%s/simulator.log", directory);
    for (int i = 0; i < PLAN_GROUPS; i++) {
        char group[16];
        plan_group(i, group);
        snprintf(groups[i], sizeof groups[i], "%s/%s", plan_region(i), group);
        argv[count++] = "--group";
        argv[count++] = groups[i];
    }
    const struct process_spec spec = {.argv = argv, .output = log_file};
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    api->started_ms = flow_now_ms();
    api->started_wall_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    api->simulator.pid = process_start(&spec);
    wait_for_port(api, port_file);
}

void api_stop(struct api *api)
{
    struct api_token *token = NULL;
    struct api_token *next = NULL;
    if (api->simulator.pid > 0) {
        simulator_stop(&api->simulator);
    }
    HASH_ITER (hh, api->tokens, token, next) {
        HASH_DEL(api->tokens, token);
        free(token);
    }
    free(api->overlaps_ms);
}

struct api_token *api_find(const struct api *api, const char *name)
{
    struct api_token *token = NULL;
    HASH_FIND_STR(api->tokens, name, token);
    return token;
}

static struct api_token *get_token(struct api *api, const char *name)
{
    struct api_token *token = NULL;
    HASH_FIND_STR(api->tokens, name, token);
    if (token == NULL) {
        size_t size = strlen(name) + 1;
        token = calloc(1, sizeof *token + size);
        assert(token != NULL);
        memcpy(token->name, name, size);
        token->effect_ms = -1;
        HASH_ADD_STR(api->tokens, name, token);
    }
    return token;
}

static void note_overlap(struct api *api, int64_t arrival_ms)
{
    size_t size = (size_t)(api->overlap_rows + 1) * sizeof *api->overlaps_ms;
    api->overlaps_ms = realloc(api->overlaps_ms, size);
    assert(api->overlaps_ms != NULL);
    api->overlaps_ms[api->overlap_rows++] = api->started_ms + arrival_ms;
}

static void read_row(struct api *api, const cJSON *row)
{
    int64_t number = (int64_t)json_number(row, "Number");
    if (number > api->last_row) {
        api->rows_missed += number - api->last_row - 1;
        api->last_row = number;
        if (json_is_true(row, "Overlap")) {
            note_overlap(api, (int64_t)json_number(row, "ArrivalMs"));
        }
    }
    if (json_is_true(row, "Effect")) {
        struct api_token *token = get_token(api, json_text(row, "Params.ClientToken"));
        int64_t at_ms = (int64_t)json_number(row, "ArrivalMs");
        if (token->effect_ms < 0) {
            token->effect_ms = at_ms;
            token->last_effect_ms = at_ms;
        }
        /* Rows are read several times. */
        if (api->token_ttl_ms > 0 && at_ms - token->last_effect_ms >= api->token_ttl_ms - 1000) {
            token->forgotten++;
        }
        if (at_ms > token->last_effect_ms) {
            token->last_effect_ms = at_ms;
        }
    }
}

/* Whether the rows reach back to the last one that was read. */
static bool read_rows(struct api *api, int count)
{
    char path[48];
    snprintf(path, sizeof path, "requests?Last=%d", count);
    cJSON *rows = simulator_get(&api->simulator, path);
    const cJSON *row = cJSON_GetArrayItem(rows, 0);
    bool is_whole = row == NULL || (int64_t)json_number(row, "Number") <= api->last_row + 1;
    if (is_whole || count >= ALL_ROWS) {
        cJSON_ArrayForEach(row, rows)
        {
            read_row(api, row);
        }
    }
    cJSON_Delete(rows);
    return is_whole;
}

/* A delayed request has its effect after its row was first read, so all rows are read again from
 * time to time. */
void api_step(struct api *api, int64_t now_ms)
{
    if (now_ms < api->next_poll_ms) {
        return;
    }
    api->next_poll_ms = now_ms + POLL_MS;
    if (now_ms >= api->next_full_ms || !read_rows(api, FEW_ROWS)) {
        api->next_full_ms = now_ms + FULL_MS;
        read_rows(api, ALL_ROWS);
    }
}

void api_finish(struct api *api)
{
    read_rows(api, ALL_ROWS);
    cJSON *state = simulator_get(&api->simulator, "state");
    const cJSON *row = NULL;
    cJSON_ArrayForEach(row, json_at(state, "Tokens"))
    {
        struct api_token *token = get_token(api, row->string);
        token->effects = (int)json_number(row, "Effects");
        token->is_one_shot = json_is_true(row, "OneShot");
        token->is_stop = strcmp(json_text(row, "Action"), "StopDiskReplicaGroup") == 0;
        snprintf(token->request_id, sizeof token->request_id, "%s", json_text(row, "RequestId"));
        snprintf(token->region, sizeof token->region, "%s", json_text(row, "RegionId"));
        snprintf(token->group, sizeof token->group, "%s", json_text(row, "ReplicaGroupId"));
    }
    api->calls =
        (int64_t)(json_number(state, "Totals.Starts") + json_number(state, "Totals.Stops"));
    api->effects = (int64_t)json_number(state, "Totals.Effects");
    api->overlaps = (int64_t)json_number(state, "Totals.Overlaps");
    cJSON_Delete(state);
}
