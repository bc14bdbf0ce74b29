/*
 * The dashboard against a real Prometheus, which reads a bridge that works and one that does not:
 * each query of the dashboard has a result.
 */
#include "flow_certificates.h"
#include "flow_fixture.h"
#include "flow_http.h"

#include <curl/curl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define QUERIES_MAX 128
#define LIMIT_MS    (3 * FLOW_TIMEOUT_MS)

struct prometheus {
    pid_t pid;
    int port;
};

/* A query of the dashboard, as Grafana sends it. */
struct query {
    const char *title; /* of its panel */
    const char *text;
};

struct queries {
    struct query items[QUERIES_MAX];
    size_t count;
    cJSON *dashboard;
};

/* ---- the dashboard ---- */

static const char *replaced(struct fixture *fixture, const char *text, const char *what,
                            const char *by)
{
    const char *at;
    while ((at = strstr(text, what)) != NULL) {
        text = fixture_format(fixture, "%.*s%s%s", (int)(at - text), text, by, at + strlen(what));
    }
    return text;
}

static const char *without_variables(struct fixture *fixture, const char *text)
{
    text = replaced(fixture, text, "$__rate_interval", "15s");
    text = replaced(fixture, text, "$instance", ".*");
    return replaced(fixture, text, "$job", ".*");
}

static void read_dashboard(struct fixture *fixture, struct queries *out)
{
    char *text = file_read(DASHBOARD);
    out->dashboard = cJSON_Parse(text);
    assert_non_null(out->dashboard);
    free(text);
    const cJSON *panel;
    const cJSON *target;
    cJSON_ArrayForEach(panel, cJSON_GetObjectItem(out->dashboard, "panels"))
    {
        const char *title = cJSON_GetStringValue(cJSON_GetObjectItem(panel, "title"));
        cJSON_ArrayForEach(target, cJSON_GetObjectItem(panel, "targets"))
        {
            assert_true(out->count < QUERIES_MAX);
            const char *expr = cJSON_GetStringValue(cJSON_GetObjectItem(target, "expr"));
            out->items[out->count++] = (struct query){title, without_variables(fixture, expr)};
        }
    }
    assert_true(out->count > 40);
}

/* ---- Prometheus ---- */

static void prometheus_start(struct fixture *fixture, struct prometheus *out, int port_a,
                             int port_b)
{
    int guard = -1;
    out->port = port_reserve(&guard);
    const char *config = fixture_format(fixture, "%s/prometheus.yml", fixture->directory);
    file_write(config, fixture_format(fixture,
                                      "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
                                      "scrape_configs:\n"
                                      "  - job_name: ecs-mqtt-bridge\n"
                                      "    static_configs:\n"
                                      "      - targets: ['127.0.0.1:%d', '127.0.0.1:%d']\n"
                                      "rule_files: ['%s']\n",
                                      port_a, port_b, RULES));
    const char *argv[] = {
        PROMETHEUS_BINARY,
        fixture_format(fixture, "--config.file=%s", config),
        fixture_format(fixture, "--storage.tsdb.path=%s/prometheus", fixture->directory),
        fixture_format(fixture, "--web.listen-address=127.0.0.1:%d", out->port),
        NULL,
    };
    const struct process_spec spec = {
        .argv = argv,
        .directory = fixture->directory,
        .output = fixture_format(fixture, "%s/prometheus.log", fixture->directory),
    };
    close(guard);
    out->pid = process_start(&spec);
}

/* Whether the query has a result that is a number. */
static bool has_result(const struct prometheus *prometheus, const char *query)
{
    char *answer = NULL;
    char *escaped = curl_easy_escape(NULL, query, 0);
    size_t size = strlen(escaped) + sizeof "query=";
    char *body = malloc(size);
    snprintf(body, size, "query=%s", escaped);
    long http = http_exchange(prometheus->port, "POST", "/api/v1/query", body, &answer);
    if (http == 400 || http == 422) {
        flow_fail("Prometheus does not take %s: %s", query, answer);
    }
    cJSON *json = cJSON_Parse(answer);
    const cJSON *result = cJSON_GetObjectItem(cJSON_GetObjectItem(json, "data"), "result");
    const cJSON *sample;
    bool has_number = false;
    cJSON_ArrayForEach(sample, result)
    {
        const cJSON *value = cJSON_GetArrayItem(cJSON_GetObjectItem(sample, "value"), 1);
        has_number |= value != NULL && strcmp(cJSON_GetStringValue(value), "NaN") != 0;
    }
    cJSON_Delete(json);
    curl_free(escaped);
    free(body);
    free(answer);
    return has_number;
}

/* ---- the bridges ---- */

static struct bridge *start_bridge(struct fixture *fixture, const char *settings, int *out_port)
{
    int guard = -1;
    *out_port = port_reserve(&guard);
    struct bridge *bridge =
        fixture_bridge_new(fixture, fixture_format(fixture, "admin.listen = \"127.0.0.1:%d\"; %s",
                                                   *out_port, settings));
    close(guard);
    return bridge;
}

/* Its credentials expire. */
static struct bridge *start_good(struct fixture *fixture, int *out_port)
{
    const char *profile = fixture_format(fixture, "%s/profile.json", fixture->directory);
    const char *key = fixture_format(fixture, "%s/key.json", fixture->directory);
    file_write(key, "{\"mode\":\"AK\",\"access_key_id\":\"" FLOW_ACCESS_KEY
                    "\",\"access_key_secret\":\"" FLOW_ACCESS_SECRET
                    "\",\"expiration\":\"2099-01-01T00:00:00Z\"}");
    file_write(profile, fixture_format(fixture,
                                       "{\"current\":\"p\",\"profiles\":[{\"name\":\"p\",\"mode\":"
                                       "\"External\",\"process_command\":\"cat %s\"}]}",
                                       key));
    struct bridge *bridge = start_bridge(
        fixture,
        fixture_format(fixture,
                       "credentials.provider = \"cli_profile\"; credentials.cli_profile_file = "
                       "\"%s\"; api.ca_file = \"%s/good.pem\";",
                       profile, certificates),
        out_port);
    bridge_start(bridge);
    bridge_wait_online(bridge);
    return bridge;
}

/* The API does not accept its key. */
static struct bridge *start_failing(struct fixture *fixture, int *out_port)
{
    struct bridge *bridge = start_bridge(fixture, "", out_port);
    bridge->env[0] = "ALIBABA_CLOUD_ACCESS_KEY_ID=LTAI5tNobody";
    bridge_start(bridge);
    bridge_wait_online(bridge);
    return bridge;
}

/* ---- the test ---- */

/* Sends commands until each query had a result. */
static void await_results(struct fixture *fixture, const struct prometheus *prometheus,
                          const struct queries *queries)
{
    bool is_done[QUERIES_MAX] = {false};
    size_t done_count = 0;
    int64_t end_ms = flow_now_ms() + LIMIT_MS;
    while (done_count < queries->count) {
        fixture_send(fixture, fixture_command(fixture, fixture_name(fixture, "token"),
                                              fixture_name(fixture, "pg"), ""));
        for (size_t i = 0; i < queries->count; i++) {
            if (!is_done[i] && has_result(prometheus, queries->items[i].text)) {
                is_done[i] = true;
                done_count++;
            } else if (!is_done[i] && flow_now_ms() > end_ms) {
                flow_fail("panel %s: no result for %s", queries->items[i].title,
                          queries->items[i].text);
            }
        }
        flow_pause();
    }
}

static void await_alarm(const struct prometheus *prometheus, const char *name)
{
    char query[160];
    int64_t end_ms = flow_now_ms() + LIMIT_MS;
    snprintf(query, sizeof query, "ALERTS{alertname=\"%s\"}", name);
    while (!has_result(prometheus, query)) {
        if (flow_now_ms() > end_ms) {
            flow_fail("there is no alarm %s", name);
        }
        flow_pause();
    }
}

static void test_each_query_of_the_dashboard_has_a_result(struct fixture *fixture)
{
    struct prometheus prometheus = {0};
    struct queries queries = {.count = 0};
    int good_port = 0;
    int failing_port = 0;
    struct bridge *good = start_good(fixture, &good_port);
    struct bridge *failing = start_failing(fixture, &failing_port);
    read_dashboard(fixture, &queries);
    prometheus_start(fixture, &prometheus, good_port, failing_port);
    await_results(fixture, &prometheus, &queries);
    /* Pending is enough: it lasts a minute until it fires. */
    await_alarm(&prometheus, "EcsMqttBridgeCredentials");
    process_end(prometheus.pid, SIGTERM, FLOW_TIMEOUT_MS);
    cJSON_Delete(queries.dashboard);
    bridge_stop(good);
    bridge_stop(failing);
}

int main(int argc, char **argv)
{
    static const struct flow_test tests[] = {
        FLOW_TEST(test_each_query_of_the_dashboard_has_a_result),
    };
    certificates_begin();
    int code = flow_main("prometheus", tests, sizeof tests / sizeof tests[0], NULL, argc, argv);
    certificates_end();
    return code;
}
