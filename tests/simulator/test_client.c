/* A child process, libcurl, and a signature made here. */
#include "test_client.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* cmocka wants the five headers above it. */
#include <cmocka.h>

enum { ARGUMENT_LIMIT = 48 };

static const char empty_hash[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

static pid_t spawn(const char *const *usual, const char *const *arguments, int output)
{
    const char *argv[ARGUMENT_LIMIT] = {SIMULATOR_BINARY};
    int count = 1;
    for (int i = 0; usual[i]; i++) {
        argv[count++] = usual[i];
    }
    for (int i = 0; arguments && arguments[i]; i++) {
        assert_true(count < ARGUMENT_LIMIT - 1);
        argv[count++] = arguments[i];
    }
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(output, STDOUT_FILENO);
        execv(SIMULATOR_BINARY, (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    return pid;
}

void simulator_start(struct simulator *simulator, const char *const *arguments)
{
    strcpy(simulator->directory, "/tmp/test-simulator-XXXXXX");
    assert_non_null(mkdtemp(simulator->directory));
    snprintf(simulator->port_file, sizeof simulator->port_file, "%s/port", simulator->directory);
    const char *usual[] = {"--listen",     "127.0.0.1:0",
                           "--port-file",  simulator->port_file,
                           "--access-key", TEST_KEY_ID ":" TEST_SECRET,
                           "--quiet",      NULL};
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    simulator->pid = spawn(usual, arguments, ends[1]);
    close(ends[1]);
    FILE *output = fdopen(ends[0], "r");
    char line[128] = "";
    assert_non_null(fgets(line, sizeof line, output));
    assert_int_equal(
        sscanf(line, "ecs-simulator: listening on http://127.0.0.1:%d", &simulator->port), 1);
    fclose(output);
}

static int wait_exit(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0) {
        assert_int_equal(errno, EINTR);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int simulator_stop(struct simulator *simulator, int signal_number)
{
    kill(simulator->pid, signal_number);
    int code = wait_exit(simulator->pid);
    unlink(simulator->port_file);
    rmdir(simulator->directory);
    return code;
}

int simulator_run(const char *const *arguments)
{
    static const char *const usual[] = {NULL};
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    int code = wait_exit(spawn(usual, arguments, null));
    close(null);
    return code;
}

void reply_fini(struct reply *reply)
{
    cJSON_Delete(reply->json);
    free(reply->body);
    *reply = (struct reply){0};
}

const char *reply_text(const struct reply *reply, const char *name)
{
    const char *value = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(reply->json, name));
    return value ? value : "";
}

static size_t take_body(char *data, size_t size, size_t count, void *argument)
{
    struct reply *reply = argument;
    size_t length = size * count;
    reply->body = realloc(reply->body, reply->length + length + 1);
    assert_non_null(reply->body);
    memcpy(reply->body + reply->length, data, length);
    reply->length += length;
    reply->body[reply->length] = '\0';
    return length;
}

static size_t take_header(char *data, size_t size, size_t count, void *argument)
{
    struct reply *reply = argument;
    char line[256];
    size_t length = size * count < sizeof line - 1 ? size * count : sizeof line - 1;
    memcpy(line, data, length);
    line[length] = '\0';
    line[strcspn(line, "\r\n")] = '\0';
    if (strncasecmp(line, "Content-Type: ", 14) == 0) {
        snprintf(reply->content_type, sizeof reply->content_type, "%.60s", line + 14);
    } else if (strncasecmp(line, "Date: ", 6) == 0) {
        snprintf(reply->date, sizeof reply->date, "%.60s", line + 6);
    } else if (strncasecmp(line, "x-acs-retry-after: ", 19) == 0) {
        reply->retry_after_ms = atol(line + 19);
    }
    return size * count;
}

static struct curl_slist *make_headers(const struct request *request)
{
    struct curl_slist *headers = curl_slist_append(NULL, "Expect:");
    for (size_t i = 0; i < sizeof request->headers / sizeof request->headers[0]; i++) {
        if (request->headers[i]) {
            headers = curl_slist_append(headers, request->headers[i]);
        }
    }
    /* libcurl's own Content-Type would not be signed; a form needs it. */
    bool is_form = request->body && request->body[0] != '{' && strchr(request->body, '=');
    return is_form ? headers : curl_slist_append(headers, "Content-Type:");
}

static void send_to(const struct simulator *simulator, const char *path,
                    const struct request *request, struct reply *out_reply)
{
    CURL *curl = curl_easy_init();
    struct curl_slist *headers = make_headers(request);
    const char *method = request->method ? request->method : "POST";
    char url[2048];
    *out_reply = (struct reply){0};
    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", simulator->port, path);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    if (strcmp(method, "GET") != 0) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body ? request->body : "");
    }
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, request->timeout_ms ? request->timeout_ms : 10000L);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, out_reply);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, out_reply);
    out_reply->curl = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &out_reply->http);
    if (out_reply->body) {
        out_reply->json = cJSON_ParseWithLength(out_reply->body, out_reply->length);
    }
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
}

void simulator_send(const struct simulator *simulator, const struct request *request,
                    struct reply *out_reply)
{
    char path[1536];
    snprintf(path, sizeof path, "/%s%s", request->query ? "?" : "",
             request->query ? request->query : "");
    send_to(simulator, path, request, out_reply);
}

static void to_hex(const unsigned char *data, size_t length, char *out)
{
    for (size_t i = 0; i < length; i++) {
        sprintf(out + 2 * i, "%02x", data[i]);
    }
}

static void random_nonce(char out[33])
{
    unsigned char bytes[16];
    assert_int_equal(getrandom(bytes, sizeof bytes, 0), sizeof bytes);
    to_hex(bytes, sizeof bytes, out);
}

static const char *or_else(const char *value, const char *otherwise)
{
    return value ? value : otherwise;
}

static void sign(const char *secret, const char *canonical, char out[65])
{
    unsigned char hash[SHA256_DIGEST_LENGTH];
    char to_sign[128] = "ACS3-HMAC-SHA256\n";
    unsigned length = sizeof hash;
    SHA256((const unsigned char *)canonical, strlen(canonical), hash);
    to_hex(hash, sizeof hash, to_sign + 17);
    HMAC(EVP_sha256(), secret, (int)strlen(secret), (const unsigned char *)to_sign, strlen(to_sign),
         hash, &length);
    to_hex(hash, sizeof hash, out);
}

static void format_date(int64_t offset_s, char out[32])
{
    time_t now = time(NULL) + offset_s;
    struct tm parts;
    gmtime_r(&now, &parts);
    strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &parts);
}

enum { LINE_COUNT = 7, LINE_BYTES = 512 };

/* The header lines that are signed, in the order of their names; an empty one is left out. */
static void make_lines(const struct simulator *simulator, const struct call_options *options,
                       char lines[LINE_COUNT][LINE_BYTES])
{
    char date[32];
    char nonce[33];
    format_date(options->date_offset_s, date);
    random_nonce(nonce);
    snprintf(lines[0], LINE_BYTES, "host:127.0.0.1:%d", simulator->port);
    snprintf(lines[1], LINE_BYTES, "x-acs-action:%s",
             or_else(options->action, "StartDiskReplicaGroup"));
    snprintf(lines[2], LINE_BYTES, "x-acs-content-sha256:%s",
             or_else(options->payload_hash, empty_hash));
    snprintf(lines[3], LINE_BYTES, "x-acs-date:%s", or_else(options->date, date));
    if (options->security_token) {
        snprintf(lines[4], LINE_BYTES, "x-acs-security-token:%s", options->security_token);
    }
    snprintf(lines[5], LINE_BYTES, "x-acs-signature-nonce:%s", or_else(options->nonce, nonce));
    snprintf(lines[6], LINE_BYTES, "x-acs-version:%s", or_else(options->version, "2021-07-30"));
}

static void authorize(const char *query, const struct call_options *options,
                      char lines[LINE_COUNT][LINE_BYTES], char *out, size_t out_bytes)
{
    char canonical[4096];
    char names[256] = "";
    char signature[65];
    int length = snprintf(canonical, sizeof canonical, "POST\n/\n%s\n", query);
    for (int i = 0; i < LINE_COUNT; i++) {
        if (lines[i][0]) {
            length +=
                snprintf(canonical + length, sizeof canonical - (size_t)length, "%s\n", lines[i]);
            snprintf(names + strlen(names), sizeof names - strlen(names), "%s%.*s", i ? ";" : "",
                     (int)strcspn(lines[i], ":"), lines[i]);
        }
    }
    snprintf(canonical + length, sizeof canonical - (size_t)length, "\n%s\n%s", names, empty_hash);
    sign(or_else(options->secret, TEST_SECRET), canonical, signature);
    snprintf(out, out_bytes,
             "Authorization: ACS3-HMAC-SHA256 Credential=%s,SignedHeaders=%s,Signature=%s",
             or_else(options->key_id, TEST_KEY_ID), names, signature);
}

void simulator_call(const struct simulator *simulator, const char *query,
                    const struct call_options *options, struct reply *out_reply)
{
    static const struct call_options usual;
    char lines[LINE_COUNT][LINE_BYTES] = {{0}};
    char authorization[512];
    char accept[64];
    options = options ? options : &usual;
    make_lines(simulator, options, lines);
    authorize(query, options, lines, authorization, sizeof authorization);
    snprintf(accept, sizeof accept, "Accept: %s", or_else(options->accept, "application/json"));
    struct request request = {.query = query, .timeout_ms = options->timeout_ms};
    int count = 0;
    for (int i = 0; i < LINE_COUNT; i++) {
        if (lines[i][0]) {
            request.headers[count++] = lines[i];
        }
    }
    request.headers[count++] = authorization;
    request.headers[count++] = accept;
    request.headers[count++] = options->unsigned_header;
    simulator_send(simulator, &request, out_reply);
}

long simulator_start_group(const struct simulator *simulator, const char *group, const char *token,
                           const char *one_shot, struct reply *out_reply)
{
    char query[512] = "";
    snprintf(query, sizeof query, "%s%s%s%s%s%sRegionId=cn-beijing&ReplicaGroupId=%s",
             token ? "ClientToken=" : "", or_else(token, ""), token ? "&" : "",
             one_shot ? "OneShot=" : "", or_else(one_shot, ""), one_shot ? "&" : "", group);
    simulator_call(simulator, query, NULL, out_reply);
    return out_reply->http;
}

cJSON *simulator_control(const struct simulator *simulator, const char *method, const char *path,
                         const char *body)
{
    struct request request = {.method = method, .body = body};
    struct reply reply;
    char full_path[256];
    snprintf(full_path, sizeof full_path, "/_sim/%s", path);
    send_to(simulator, full_path, &request, &reply);
    if (reply.http != 200) {
        print_error("%s %s answered %ld: %s\n", method, path, reply.http, or_else(reply.body, ""));
    }
    assert_int_equal(reply.http, 200);
    cJSON *json = reply.json;
    assert_non_null(json);
    reply.json = NULL;
    reply_fini(&reply);
    return json;
}

void simulator_order(const struct simulator *simulator, const char *method, const char *path,
                     const char *body)
{
    cJSON_Delete(simulator_control(simulator, method, path, body));
}

static int take_number(cJSON *json, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);
    assert_true(cJSON_IsNumber(item));
    int number = item->valueint;
    cJSON_Delete(json);
    return number;
}

int simulator_total(const struct simulator *simulator, const char *name)
{
    return take_number(simulator_control(simulator, "GET", "totals", NULL), name);
}

int simulator_token_number(const struct simulator *simulator, const char *token, const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "tokens/%s", token);
    return take_number(simulator_control(simulator, "GET", path, NULL), name);
}
