/*
 * bench_bare - the reference for the bridge: the same calls, and nothing else.
 *
 * libcurl's multi interface, easy handles and connections reused. Every call has its own
 * ClientToken, date, nonce and V3 signature (SHA-256 and HMAC-SHA256 by OpenSSL), the query and
 * the headers of StartDiskReplicaGroup. No broker, no ledger, no retries, no checks beyond "200
 * with a RequestId".
 *
 * bench_bare --port PORT [--calls N] [--in-flight N] [--warmup N] [--loop poll|socket]
 *
 * poll    curl_multi_perform and curl_multi_poll, the cheaper one with many calls in flight
 * socket  curl_multi_socket_action on epoll, for programs with their own event loop; costs more,
 * because libcurl changes the epoll set at several points of a call
 *
 * Prints one line of JSON. Exits with 1 if a call failed.
 */
#include "bench.h"

#include <curl/curl.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sysexits.h>
#include <time.h>

#define ACCESS_KEY_ID     "benchAccessKeyId"
#define ACCESS_KEY_SECRET "benchAccessKeySecret"
#define EMPTY_SHA256      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define SIGNED_HEADERS \
    "host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version"

enum { EVENTS_MAX = 256, HEX_SHA256_BYTES = 65, ANSWER_MAX_BYTES = 1024 };

struct options {
    unsigned port;
    size_t count;
    size_t width;
    size_t warmup;
    bool is_on_epoll;
};

struct call {
    CURL *easy;
    struct curl_slist *headers;
    uint64_t started_ns;
    size_t answer_bytes;
    char answer[ANSWER_MAX_BYTES + 1];
};

/* The parts that differ between calls, as text. */
struct request {
    char query[256];
    char host[32];
    char date[32];
    char nonce[33];
    char signature[HEX_SHA256_BYTES];
};

struct bare {
    CURLM *multi;
    int epoll; /* -1: libcurl polls by itself */
    unsigned port;
    uint64_t seed;
    uint64_t timer_ns; /* time of libcurl's timeout; 0: none */
    size_t to_start;
    size_t in_flight;
    size_t failed;
    struct bench_samples latencies;
};

static void hex_encode(const unsigned char *bytes, size_t count, char *out)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < count; i++) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15U];
    }
    *out = '\0';
}

static void sign(struct request *request)
{
    char text[1024];
    char hash[HEX_SHA256_BYTES];
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int digest_bytes = 0;
    int bytes = snprintf(text, sizeof(text),
                         "POST\n/\n%s\nhost:%s\nx-acs-action:StartDiskReplicaGroup\n"
                         "x-acs-content-sha256:" EMPTY_SHA256 "\nx-acs-date:%s\n"
                         "x-acs-signature-nonce:%s\nx-acs-version:2021-07-30\n\n" SIGNED_HEADERS
                         "\n" EMPTY_SHA256,
                         request->query, request->host, request->date, request->nonce);

    EVP_Digest(text, (size_t)bytes, digest, &digest_bytes, EVP_sha256(), NULL);
    hex_encode(digest, digest_bytes, hash);
    bytes = snprintf(text, sizeof(text), "ACS3-HMAC-SHA256\n%s", hash);
    HMAC(EVP_sha256(), ACCESS_KEY_SECRET, (int)strlen(ACCESS_KEY_SECRET), (unsigned char *)text,
         (size_t)bytes, digest, &digest_bytes);
    hex_encode(digest, digest_bytes, request->signature);
}

static void request_make(struct bare *bare, struct request *request)
{
    uint64_t high = bench_mix(bare->seed++);
    uint64_t low = bench_mix(high);
    time_t now = time(NULL);
    struct tm utc = {0};

    snprintf(request->query, sizeof(request->query),
             "ClientToken=%08" PRIx64 "-%04" PRIx64 "-4%03" PRIx64 "-%04" PRIx64 "-%012" PRIx64
             "&OneShot=false&RegionId=cn-beijing&ReplicaGroupId=pg-bench-%04" PRIx64,
             high >> 32, (high >> 16) & 0xffffU, high & 0xfffU, low >> 48, low & 0xffffffffffffU,
             high & 0xffU);
    snprintf(request->host, sizeof(request->host), "127.0.0.1:%u", bare->port);
    strftime(request->date, sizeof(request->date), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    snprintf(request->nonce, sizeof(request->nonce), "%016" PRIx64 "%016" PRIx64, low,
             bench_mix(low));
    sign(request);
}

static void header_add(struct call *call, const char *name, const char *value)
{
    char line[1024];

    snprintf(line, sizeof(line), "%s%s", name, value);
    struct curl_slist *longer = curl_slist_append(call->headers, line);
    if (longer == NULL) {
        bench_die(EX_OSERR, "out of memory");
    }
    call->headers = longer;
}

static void headers_make(struct call *call, const struct request *request)
{
    char authorization[512];

    snprintf(authorization, sizeof(authorization),
             "ACS3-HMAC-SHA256 Credential=" ACCESS_KEY_ID ",SignedHeaders=" SIGNED_HEADERS
             ",Signature=%s",
             request->signature);
    curl_slist_free_all(call->headers);
    call->headers = NULL;
    header_add(call, "x-acs-version: ", "2021-07-30");
    header_add(call, "x-acs-action: ", "StartDiskReplicaGroup");
    header_add(call, "x-acs-date: ", request->date);
    header_add(call, "x-acs-signature-nonce: ", request->nonce);
    header_add(call, "accept: ", "application/json");
    header_add(call, "x-acs-content-sha256: ", EMPTY_SHA256);
    header_add(call, "Authorization: ", authorization);
    header_add(call, "Content-Type:", ""); /* prevents that libcurl adds its own */
}

static void call_start(struct bare *bare, struct call *call)
{
    struct request request;
    char url[512];

    call->started_ns = bench_now_ns();
    call->answer_bytes = 0;
    request_make(bare, &request);
    headers_make(call, &request);
    snprintf(url, sizeof(url), "http://%s/?%s", request.host, request.query);
    curl_easy_setopt(call->easy, CURLOPT_URL, url);
    curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->headers);
    curl_multi_add_handle(bare->multi, call->easy);
    bare->to_start--;
    bare->in_flight++;
}

static size_t take_answer(char *bytes, size_t size, size_t count, void *arg)
{
    struct call *call = arg;
    size_t got = size * count;

    if (got > ANSWER_MAX_BYTES - call->answer_bytes) {
        return 0;
    }
    memcpy(call->answer + call->answer_bytes, bytes, got);
    call->answer_bytes += got;
    return got;
}

static bool is_success(struct call *call, CURLcode result)
{
    long status = 0;

    call->answer[call->answer_bytes] = '\0';
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    return result == CURLE_OK && status == 200 && strstr(call->answer, "\"RequestId\"") != NULL;
}

static void call_end(struct bare *bare, const CURLMsg *message)
{
    CURL *easy = message->easy_handle;
    CURLcode result = message->data.result;
    char *private = NULL;

    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private);
    struct call *call = (void *)private;
    bench_samples_add(&bare->latencies, bench_now_ns() - call->started_ns);
    bare->failed += !is_success(call, result);
    bare->in_flight--;
    curl_multi_remove_handle(bare->multi, easy);
    if (bare->to_start > 0) {
        call_start(bare, call);
    }
}

static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
    struct bare *bare = arg;
    struct epoll_event event = {.data = {.fd = fd}};

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(bare->epoll, EPOLL_CTL_DEL, fd, NULL);
        return 0;
    }
    event.events |= (what & CURL_POLL_IN) ? (uint32_t)EPOLLIN : 0;
    event.events |= (what & CURL_POLL_OUT) ? (uint32_t)EPOLLOUT : 0;
    epoll_ctl(bare->epoll, known == NULL ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event);
    curl_multi_assign(bare->multi, fd, bare);
    return 0;
}

static int set_timer(CURLM *multi, long timeout_ms, void *arg)
{
    struct bare *bare = arg;

    (void)multi;
    bare->timer_ns = timeout_ms < 0 ? 0 : bench_now_ns() + (uint64_t)timeout_ms * 1000000U;
    return 0;
}

static int wait_ms(const struct bare *bare)
{
    uint64_t now_ns = bench_now_ns();

    if (bare->timer_ns == 0) {
        return -1;
    }
    return bare->timer_ns <= now_ns ? 0 : (int)((bare->timer_ns - now_ns + 999999U) / 1000000U);
}

static int curl_events(uint32_t events)
{
    int what = 0;

    what |= (events & EPOLLIN) ? CURL_CSELECT_IN : 0;
    what |= (events & EPOLLOUT) ? CURL_CSELECT_OUT : 0;
    what |= (events & (EPOLLERR | EPOLLHUP)) ? CURL_CSELECT_ERR : 0;
    return what;
}

static void turn_on_epoll(struct bare *bare)
{
    struct epoll_event events[EVENTS_MAX];
    int running = 0;
    int count = epoll_wait(bare->epoll, events, EVENTS_MAX, wait_ms(bare));

    for (int i = 0; i < count; i++) {
        curl_multi_socket_action(bare->multi, events[i].data.fd, curl_events(events[i].events),
                                 &running);
    }
    if (bare->timer_ns != 0 && bare->timer_ns <= bench_now_ns()) {
        bare->timer_ns = 0;
        curl_multi_socket_action(bare->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
}

static void turn_on_poll(struct bare *bare)
{
    int running = 0;

    curl_multi_poll(bare->multi, NULL, 0, 1000, NULL);
    curl_multi_perform(bare->multi, &running);
}

/* Ends completed calls and starts as many new ones, at once and not at the next event. */
static size_t replace_ended(struct bare *bare)
{
    size_t ended = 0;
    int left = 0;

    for (CURLMsg *message; (message = curl_multi_info_read(bare->multi, &left)) != NULL;) {
        call_end(bare, message);
        ended++;
    }
    return ended;
}

static void turn(struct bare *bare)
{
    int running = 0;

    if (bare->epoll >= 0) {
        turn_on_epoll(bare);
        replace_ended(bare);
        return;
    }
    turn_on_poll(bare);
    while (replace_ended(bare) > 0) {
        curl_multi_perform(bare->multi, &running);
    }
}

static void run_calls(struct bare *bare, struct call *calls, size_t width, size_t count)
{
    int running = 0;

    bare->to_start = count;
    bare->failed = 0;
    bare->latencies.count = 0;
    for (size_t i = 0; i < width && bare->to_start > 0; i++) {
        call_start(bare, &calls[i]);
    }
    if (bare->epoll < 0) {
        curl_multi_perform(bare->multi, &running);
    }
    while (bare->in_flight > 0) {
        turn(bare);
    }
}

static void call_init(struct call *call)
{
    call->easy = curl_easy_init();
    if (call->easy == NULL) {
        bench_die(EX_SOFTWARE, "curl_easy_init failed");
    }
    curl_easy_setopt(call->easy, CURLOPT_PRIVATE, call);
    curl_easy_setopt(call->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(call->easy, CURLOPT_PROXY, "");
    curl_easy_setopt(call->easy, CURLOPT_POST, 1L);
    curl_easy_setopt(call->easy, CURLOPT_POSTFIELDS, "");
    curl_easy_setopt(call->easy, CURLOPT_POSTFIELDSIZE, 0L);
    curl_easy_setopt(call->easy, CURLOPT_USERAGENT, "bench_bare");
    curl_easy_setopt(call->easy, CURLOPT_WRITEFUNCTION, take_answer);
    curl_easy_setopt(call->easy, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(call->easy, CURLOPT_TIMEOUT_MS, 60000L);
}

static struct call *calls_new(size_t width)
{
    struct call *calls = bench_alloc(width, sizeof(*calls));

    for (size_t i = 0; i < width; i++) {
        call_init(&calls[i]);
    }
    return calls;
}

static void calls_free(struct call *calls, size_t width)
{
    for (size_t i = 0; i < width; i++) {
        curl_easy_cleanup(calls[i].easy);
        curl_slist_free_all(calls[i].headers);
    }
    free(calls);
}

static void use_epoll(struct bare *bare)
{
    bare->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (bare->epoll < 0) {
        bench_die(EX_OSERR, "epoll_create1: %s", strerror(errno));
    }
    curl_multi_setopt(bare->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
    curl_multi_setopt(bare->multi, CURLMOPT_SOCKETDATA, bare);
    curl_multi_setopt(bare->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(bare->multi, CURLMOPT_TIMERDATA, bare);
}

static void bare_init(struct bare *bare, const struct options *options)
{
    curl_global_init(CURL_GLOBAL_ALL);
    bare->multi = curl_multi_init();
    bare->epoll = -1;
    bare->port = options->port;
    bare->seed = bench_random();
    if (bare->multi == NULL) {
        bench_die(EX_SOFTWARE, "curl_multi_init failed");
    }
    curl_multi_setopt(bare->multi, CURLMOPT_MAXCONNECTS, (long)options->width);
    if (options->is_on_epoll) {
        use_epoll(bare);
    }
}

static void bare_fini(struct bare *bare)
{
    bench_samples_fini(&bare->latencies);
    curl_multi_cleanup(bare->multi);
    curl_global_cleanup();
}

static void print_result(struct bare *bare, const struct options *options, uint64_t wall_ns,
                         uint64_t cpu_ns)
{
    double count = (double)bare->latencies.count;

    bench_samples_sort(&bare->latencies);
    printf("{\"loop\":\"%s\",\"calls\":%zu,\"in_flight\":%zu,\"failed\":%zu,\"calls_per_s\":%.0f,"
           "\"cpu_us_per_call\":%.2f,\"p50_us\":%.1f,\"p99_us\":%.1f,\"max_us\":%.1f}\n",
           options->is_on_epoll ? "socket" : "poll", bare->latencies.count, options->width,
           bare->failed, count * 1e9 / (double)wall_ns, (double)cpu_ns / 1000.0 / count,
           bench_samples_percentile_us(&bare->latencies, 50.0),
           bench_samples_percentile_us(&bare->latencies, 99.0),
           bench_samples_percentile_us(&bare->latencies, 100.0));
}

static size_t measure(struct bare *bare, const struct options *options)
{
    struct call *calls = calls_new(options->width);
    size_t samples = options->count > options->warmup ? options->count : options->warmup;

    bench_samples_init(&bare->latencies, samples);
    run_calls(bare, calls, options->width, options->warmup);
    size_t failed = bare->failed;
    uint64_t start_ns = bench_now_ns();
    uint64_t start_cpu_ns = bench_cpu_ns();
    run_calls(bare, calls, options->width, options->count);
    print_result(bare, options, bench_now_ns() - start_ns, bench_cpu_ns() - start_cpu_ns);
    calls_free(calls, options->width);
    return failed + bare->failed;
}

static bool loop_is_epoll(const char *name)
{
    if (strcmp(name, "poll") != 0 && strcmp(name, "socket") != 0) {
        bench_die(EX_USAGE, "--loop needs poll or socket, not \"%s\"", name);
    }
    return strcmp(name, "socket") == 0;
}

static void options_read(struct options *options, int argc, char **argv)
{
    static const struct option table[] = {
        {"port", required_argument, NULL, 'p'},      {"calls", required_argument, NULL, 'c'},
        {"in-flight", required_argument, NULL, 'f'}, {"warmup", required_argument, NULL, 'w'},
        {"loop", required_argument, NULL, 'l'},      {NULL, 0, NULL, 0},
    };

    for (int option; (option = getopt_long(argc, argv, "", table, NULL)) != -1;) {
        if (option == 'p') {
            options->port = (unsigned)bench_number("--port", optarg, 1, 65535);
        } else if (option == 'c') {
            options->count = bench_number("--calls", optarg, 1, 100000000);
        } else if (option == 'f') {
            options->width = bench_number("--in-flight", optarg, 1, 1024);
        } else if (option == 'w') {
            options->warmup = bench_number("--warmup", optarg, 0, 1000000);
        } else if (option == 'l') {
            options->is_on_epoll = loop_is_epoll(optarg);
        } else {
            bench_die(EX_USAGE, "options: --port --calls --in-flight --warmup --loop");
        }
    }
    if (options->port == 0) {
        bench_die(EX_USAGE, "--port is needed");
    }
}

int main(int argc, char **argv)
{
    struct options options = {.count = 10000, .width = 64, .warmup = 500};
    struct bare bare = {0};

    options_read(&options, argc, argv);
    bare_init(&bare, &options);
    size_t failed = measure(&bare, &options);
    bare_fini(&bare);
    return failed == 0 ? BENCH_EXIT_OK : BENCH_EXIT_FAILED;
}
