#include "counters.h"

#include "violation.h"

#include <assert.h>
#include <curl/curl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE_BYTES = 65536, PATIENCE_MS = 1500 };

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

static bool fetch(int port, struct page *page)
{
    char url[64];
    long http = 0;
    snprintf(url, sizeof url, "http://127.0.0.1:%d/metrics", port);
    CURL *curl = curl_easy_init();
    assert(curl != NULL);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)PATIENCE_MS);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, keep);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, page);
    CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &http);
    curl_easy_cleanup(curl);
    return code == CURLE_OK && http == 200;
}

/* -1 where it is not on the page. */
static int64_t number_of(const struct page *page, const char *name)
{
    char line[96];
    snprintf(line, sizeof line, "\necs_bridge_%s ", name);
    const char *at = strstr(page->text, line);
    return at == NULL ? -1 : strtoll(at + strlen(line), NULL, 10);
}

bool counters_read(int admin_port, struct counters_read *out)
{
    static struct page page;
    page.length = 0;
    page.text[0] = '\0';
    if (!fetch(admin_port, &page)) {
        return false;
    }
    *out = (struct counters_read){
        .received = number_of(&page, "commands_received_total"),
        .succeeded = number_of(&page, "commands_succeeded_total"),
        .failed = number_of(&page, "commands_failed_total"),
        .unknown = number_of(&page, "commands_unknown_total"),
        .refused = number_of(&page, "commands_refused_total"),
        .replayed = number_of(&page, "commands_replayed_total"),
        .not_taken = number_of(&page, "commands_not_taken_total"),
        .resumed = number_of(&page, "commands_resumed_total"),
        .in_work = number_of(&page, "commands_in_work"),
        .waiting = number_of(&page, "commands_waiting"),
        .in_flight = number_of(&page, "api_calls_in_flight"),
        .outbox = number_of(&page, "outbox_messages"),
        .sessions_lost = number_of(&page, "sessions_lost_total"),
    };
    return true;
}

bool counters_are_at_rest(const struct counters_read *counters)
{
    return counters->in_work == 0 && counters->waiting == 0 && counters->in_flight == 0 &&
           counters->outbox == 0;
}

void counters_check(const struct counters_read *counters, int64_t sent)
{
    int64_t in = counters->received + counters->resumed;
    int64_t out = counters->succeeded + counters->failed + counters->unknown + counters->refused +
                  counters->replayed + counters->waiting + counters->in_work + counters->not_taken;
    if (in != out || counters->received != sent) {
        violate(VIOLATION_COUNTERS,
                "sent %" PRId64 ", received %" PRId64 ", resumed %" PRId64 " = succeeded %" PRId64
                " + failed %" PRId64 " + unknown %" PRId64 " + refused %" PRId64
                " + replayed %" PRId64 " + waiting %" PRId64 " + in work %" PRId64
                " + not taken %" PRId64 "?",
                sent, counters->received, counters->resumed, counters->succeeded, counters->failed,
                counters->unknown, counters->refused, counters->replayed, counters->waiting,
                counters->in_work, counters->not_taken);
    }
}
