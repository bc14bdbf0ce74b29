#include "flow_http.h"

#include "flow_process.h"

#include <assert.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct answer {
    char *data;
    size_t length;
};

static size_t keep_answer(char *data, size_t size, size_t count, void *arg)
{
    struct answer *answer = arg;
    size_t length = size * count;
    answer->data = realloc(answer->data, answer->length + length + 1);
    assert(answer->data != NULL);
    memcpy(answer->data + answer->length, data, length);
    answer->length += length;
    answer->data[answer->length] = '\0';
    return length;
}

long http_exchange(int port, const char *method, const char *path, const char *body,
                   char **out_body)
{
    char url[512];
    long http = 0;
    struct answer answer = {.data = calloc(1, 1)};
    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", port, path);
    CURL *curl = curl_easy_init();
    assert(curl != NULL && answer.data != NULL);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)FLOW_TIMEOUT_MS + 5000);
    if (body != NULL) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    }
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, keep_answer);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer);
    if (curl_easy_perform(curl) == CURLE_OK) {
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &http);
    }
    curl_easy_cleanup(curl);
    *out_body = answer.data;
    return http;
}
