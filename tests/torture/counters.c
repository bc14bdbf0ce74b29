#include "counters.h"

#include "flow_message.h"
#include "violation.h"

#include <assert.h>
#include <curl/curl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE_BYTES = 65536, TIMEOUT_MS = 1500, SUM_BYTES = 512 };

struct page {
    char text[PAGE_BYTES];
    size_t length;
};

static size_t keep(char *data, size_t size, size_t count, void *arg)
{
    struct page *page = arg;
    size_t length = size * count;
    if (page->length + length >= sizeof page->text) {
        return 0;
    }
    memcpy(page->text + page->length, data, length);
    page->length += length;
    page->text[page->length] = '\0';
    return length;
}

static bool fetch(int port, const char *path, struct page *page)
{
    char url[64];
    long http = 0;
    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", port, path);
    CURL *curl = curl_easy_init();
    assert(curl != NULL);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, keep);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, page);
    CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &http);
    curl_easy_cleanup(curl);
    return code == CURLE_OK && http == 200;
}

/* -1: not on the page. */
static int64_t number_of(const struct page *page, const char *name)
{
    char line[96];
    snprintf(line, sizeof line, "\necs_mqtt_bridge_%s ", name);
    const char *at = strstr(page->text, line);
    return at == NULL ? -1 : strtoll(at + strlen(line), NULL, 10);
}

/* 0 where the page does not have it, because the ledger is not shared. */
static int64_t number_or_none(const struct page *page, const char *name)
{
    int64_t number = number_of(page, name);
    return number < 0 ? 0 : number;
}

bool counters_read(int admin_port, struct counters_read *out)
{
    static struct page page;
    page.length = 0;
    page.text[0] = '\0';
    if (!fetch(admin_port, "/metrics", &page)) {
        return false;
    }
    *out = (struct counters_read){
        .received = number_of(&page, "commands_received_total"),
        .succeeded = number_of(&page, "commands_total{outcome=\"succeeded\"}"),
        .failed = number_of(&page, "commands_total{outcome=\"failed\"}"),
        .unknown = number_of(&page, "commands_total{outcome=\"unknown\"}"),
        .refused = number_of(&page, "commands_total{outcome=\"refused\"}"),
        .replayed = number_of(&page, "commands_total{outcome=\"replayed\"}"),
        .not_taken = number_of(&page, "commands_total{outcome=\"not_taken\"}"),
        .filtered = number_of(&page, "commands_total{outcome=\"filtered\"}"),
        .being_taken = number_of(&page, "commands_unfinished{state=\"being_taken\"}"),
        .resumed = number_of(&page, "commands_resumed_total"),
        .in_work = number_of(&page, "commands_unfinished{state=\"in_work\"}"),
        .waiting = number_of(&page, "commands_unfinished{state=\"waiting\"}"),
        .in_flight = number_of(&page, "api_calls_in_flight"),
        .outbox = number_of(&page, "outbox_messages"),
        .sessions_lost = number_of(&page, "sessions_lost_total"),
        .is_ready = number_of(&page, "ready") == 1,
        .handed_over = number_or_none(&page, "commands_total{outcome=\"handed_over\"}"),
    };
    return true;
}

char *counters_read_watches(int admin_port)
{
    static struct page page;
    page.length = 0;
    page.text[0] = '\0';
    return fetch(admin_port, "/api/watches", &page) ? strdup(page.text) : NULL;
}

bool counters_read_status(const char *body, struct counters_read *out)
{
    cJSON *json = cJSON_Parse(body);
    const cJSON *counts = json_at(json, "Counts");
    bool has_counts = counts != NULL;
    if (has_counts) {
        *out = (struct counters_read){
            .received = (int64_t)json_number(counts, "Received"),
            .succeeded = (int64_t)json_number(counts, "Succeeded"),
            .failed = (int64_t)json_number(counts, "Failed"),
            .unknown = (int64_t)json_number(counts, "Unknown"),
            .refused = (int64_t)json_number(counts, "Refused"),
            .replayed = (int64_t)json_number(counts, "Replayed"),
            .not_taken = (int64_t)json_number(counts, "NotTaken"),
            .filtered = (int64_t)json_number(counts, "Filtered"),
            .being_taken = (int64_t)json_number(counts, "BeingTaken"),
            .resumed = (int64_t)json_number(counts, "Resumed"),
            .in_work = (int64_t)json_number(counts, "InWork"),
            .waiting = (int64_t)json_number(counts, "Waiting"),
            .outbox = (int64_t)json_number(counts, "Outbox"),
            .handed_over = json_at(counts, "HandedOver") == NULL
                               ? 0
                               : (int64_t)json_number(counts, "HandedOver"),
        };
    }
    cJSON_Delete(json);
    return has_counts;
}

bool counters_are_at_rest(const struct counters_read *counters)
{
    return counters->in_work == 0 && counters->waiting == 0 && counters->in_flight == 0 &&
           counters->outbox == 0;
}

void counters_add(struct counters_read *sum, const struct counters_read *counters)
{
    sum->received += counters->received;
    sum->succeeded += counters->succeeded;
    sum->failed += counters->failed;
    sum->unknown += counters->unknown;
    sum->refused += counters->refused;
    sum->replayed += counters->replayed;
    sum->not_taken += counters->not_taken;
    sum->filtered += counters->filtered;
    sum->being_taken += counters->being_taken;
    sum->resumed += counters->resumed;
    sum->in_work += counters->in_work;
    sum->waiting += counters->waiting;
    sum->in_flight += counters->in_flight;
    sum->outbox += counters->outbox;
    sum->sessions_lost += counters->sessions_lost;
    sum->handed_over += counters->handed_over;
}

static bool adds_up(const struct counters_read *counters)
{
    int64_t in = counters->received + counters->resumed;
    int64_t out = counters->succeeded + counters->failed + counters->unknown + counters->refused +
                  counters->replayed + counters->waiting + counters->in_work + counters->not_taken +
                  counters->being_taken + counters->filtered + counters->handed_over;
    return in == out;
}

static void print(const struct counters_read *counters, char *out, size_t size)
{
    snprintf(out, size,
             "received %" PRId64 " + resumed %" PRId64 " = succeeded %" PRId64 " + failed %" PRId64
             " + unknown %" PRId64 " + refused %" PRId64 " + replayed %" PRId64
             " + waiting %" PRId64 " + in work %" PRId64 " + not taken %" PRId64
             " + being taken %" PRId64 " + filtered %" PRId64 " + handed over %" PRId64 "?",
             counters->received, counters->resumed, counters->succeeded, counters->failed,
             counters->unknown, counters->refused, counters->replayed, counters->waiting,
             counters->in_work, counters->not_taken, counters->being_taken, counters->filtered,
             counters->handed_over);
}

void counters_check_sum(const struct counters_read *counters)
{
    char text[SUM_BYTES];
    if (!adds_up(counters)) {
        print(counters, text, sizeof text);
        violate(VIOLATION_COUNTERS, "a status message: %s", text);
    }
}

void counters_check(const struct counters_read *counters, int64_t sent)
{
    char text[SUM_BYTES];
    if (!adds_up(counters) || counters->received != sent) {
        print(counters, text, sizeof text);
        violate(VIOLATION_COUNTERS, "sent %" PRId64 ": %s", sent, text);
    }
}

void counters_check_last(const struct counters_read *counters, const struct counters_read *last,
                         bool may_have_events)
{
    char text[SUM_BYTES];
    char last_text[SUM_BYTES];
    print(counters, text, sizeof text);
    print(last, last_text, sizeof last_text);
    bool has_same_outbox = may_have_events || last->outbox == counters->outbox;
    if (strcmp(text, last_text) != 0 || !has_same_outbox) {
        violate(VIOLATION_COUNTERS, "/metrics: %s The last status message: %s", text, last_text);
    }
}
