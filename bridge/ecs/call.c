/*
 * The steps of a call: get the credentials; build and sign the request in buffers that all calls
 * share (http copies what it sends); exchange; map the answer. Between the steps a call only keeps
 * its command and its callback.
 */
#include "ecs/call.h"

#include "actions.h"
#include "aliyun/sign.h"
#include "base/clock.h"
#include "base/counters.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/mem.h"
#include "endpoint.h"
#include "http/client.h"
#include "reach.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define ACCEPT       "accept: application/json"
#define PATH         "/"

#define ANSWER_BYTES_MAX 65536
#define READ_ANSWER_BYTES_MAX \
    1048576 /* of a call that only reads: 100 groups with tags and descriptions */
#define PARAMETERS_MAX         (CALL_PARAMETERS_MAX + 9) /* V1 adds those of the signature */
#define SIGNED_HEADERS_MAX     8
#define HEADERS_MAX            (SIGNED_HEADERS_MAX + 3)
#define SECRETS_PER_GENERATION 3
#define LOOK_AGAIN_MS          30000 /* for credentials */

struct call {
    struct call *prev; /* in `live`, `spare` or `unsent` */
    struct call *next;
    struct ecs *ecs;
    const struct command *command;
    ecs_answered_fn *answered;
    void *arg;
    uint64_t serial;        /* of the credentials it was signed with */
    struct attempt attempt; /* of a call in `unsent`: reported from the timer */
};

/* What is new in every attempt, as text. */
struct stamp {
    char date[CLOCK_TEXT_BYTES];
    char nonce[DIGEST_NONCE_BYTES];
};

struct ecs {
    const struct settings *settings;
    const struct tls_files *tls;
    struct http *http;
    struct credential_context *credential_context;
    struct credential_source *source;
    struct endpoint endpoint;
    int64_t clock_offset_ms; /* what is added to our clock to sign calls: 0 until it was refused */
    int64_t clock_ahead_ms;  /* the API's clock minus ours, by the last answer; 0: not known */
    /* The current identity and the previous one, which calls on the wire may still be signed with:
     * both are removed from messages. */
    struct credentials generations[2];
    struct health *health;
    struct counters *counters;
    const struct lease *lease; /* NULL: none is needed */
    struct reach reach;
    struct command probe;
    struct call *live;
    struct call *spare;
    struct call *unsent;
    struct loop_timer *unsent_timer;
    struct loop_timer *look; /* for credentials; see ecs_start() */
    bool is_looking;
    /* Scratch of one request. */
    struct buf url;
    struct buf host;
    struct buf target;
    struct buf value;
    struct buf lines;
};

/* --- health --- */

static void report_refused(const struct ecs *ecs, const struct command *command,
                           const struct outcome *refusal)
{
    struct buf id = {0};
    credentials_mask_id(&ecs->generations[0], &id);
    LOG_ERROR("credentials_refused", LOG_TEXT("code", refusal->code),
              LOG_TEXT("message", refusal->message), LOG_TEXT("region", command->region),
              LOG_SLICE("access_key", buf_slice(&id)));
    buf_fini(&id);
}

/* Only an answer of the API shows something about the credentials; a proxy's page does not. */
static void update_health(struct ecs *ecs, const struct command *command,
                          const struct attempt *attempt)
{
    bool was_refused = health_is_on(ecs->health, HEALTH_CREDENTIALS_REFUSED);
    if (attempt->reaction == REACTION_CREDENTIALS_ONCE) {
        health_set(ecs->health, HEALTH_CREDENTIALS_REFUSED, true);
        if (!was_refused) {
            report_refused(ecs, command, &attempt->outcome);
        }
    } else if (!attempt->outcome.is_from_bridge) {
        health_set(ecs->health, HEALTH_CREDENTIALS_REFUSED, false);
    }
}

/* --- the answer --- */

/* `call` is in no list. */
static void call_end(struct call *call, struct attempt *attempt)
{
    call->answered(call->arg, attempt);
    attempt_fini(attempt);
    DL_PREPEND(call->ecs->spare, call);
}

/* Try again only where something will be different in the next attempt. */
static void prepare_next(const struct call *call, const struct http_answer *answer,
                         struct attempt *attempt)
{
    struct ecs *ecs = call->ecs;
    bool is_hopeless = false;
    if (attempt->reaction == REACTION_CREDENTIALS_ONCE) {
        is_hopeless = !credentials_refused(ecs->source, call->serial);
    } else if (attempt->reaction == REACTION_CLOCK_ONCE && answer->date_ms < 0) {
        is_hopeless = true;
    } else if (attempt->reaction == REACTION_CLOCK_ONCE) {
        ecs->clock_offset_ms = answer->date_ms - clock_wall_ms();
        LOG_WARN("api_clock_differs", LOG_INT("offset_ms", ecs->clock_offset_ms));
    }
    if (is_hopeless) {
        attempt->reaction = REACTION_REPLY_BRIDGE;
    }
}

static void on_http_done(void *arg, const struct http_answer *answer)
{
    struct call *call = arg;
    struct ecs *ecs = call->ecs;
    struct slice secrets[2 * SECRETS_PER_GENERATION];
    struct outcome_map_context context = {.rpo_s = ecs->settings->api.rpo_s, .secrets = secrets};
    for (size_t i = 0; i < 2; i++) {
        const struct credentials *generation = &ecs->generations[i];
        secrets[context.secret_count++] = secret_slice(&generation->access_key_id);
        secrets[context.secret_count++] = secret_slice(&generation->access_key_secret);
        secrets[context.secret_count++] = secret_slice(&generation->security_token);
    }
    struct http_answer named = *answer;
    struct buf error = {0};
    if (answer->result != HTTP_ANSWERED) {
        buf_clear(&ecs->url);
        endpoint_of_region(&ecs->endpoint, call->command->region, &ecs->url, &error);
        buf_append_text(&error, ": ");
        buf_append_text(&error, answer->error);
        if (answer->is_host_unknown && ecs->reach.has_region_hosts) {
            buf_printf(&error, "; check the RegionId %s", call->command->region);
        }
        named.error = error.data;
    }
    struct attempt attempt;
    outcome_map(&named, call->command, &context, &attempt);
    buf_fini(&error);
    update_health(ecs, call->command, &attempt);
    reach_note(&ecs->reach, call->command->region, answer, attempt.outcome.message,
               clock_mono_ms());
    prepare_next(call, answer, &attempt);
    if (answer->date_ms >= 0) {
        ecs->clock_ahead_ms = answer->date_ms - clock_wall_ms();
    }
    attempt.at_ms = answer->date_ms >= 0 ? answer->date_ms : clock_wall_ms() + ecs->clock_ahead_ms;
    DL_DELETE(ecs->live, call);
    call_end(call, &attempt);
}

/* --- the request --- */

/* Appends a header line and its NUL to `lines`. */
static void put_line(struct buf *lines, const char *name, struct slice value)
{
    buf_append_text(lines, name);
    buf_append(lines, slice_of(": ", 2));
    buf_append(lines, value);
    buf_append_char(lines, '\0');
}

static void post(struct call *call, size_t line_count)
{
    struct ecs *ecs = call->ecs;
    const char *headers[HEADERS_MAX];
    size_t count = 0;
    headers[count++] = ACCEPT;
    headers[count++] = HTTP_USER_AGENT;
    const char *line = ecs->lines.data;
    for (size_t i = 0; i < line_count; i++) {
        assert(count < HEADERS_MAX);
        headers[count++] = line;
        line += strlen(line) + 1;
    }
    struct http_request request = {.method = "POST",
                                   .url = ecs->url.data,
                                   .target = ecs->target.data,
                                   .headers = headers,
                                   .header_count = count,
                                   .body = slice_text(""),
                                   .answer_bytes_max = call->command->action->effect == EFFECT_READ
                                                           ? READ_ANSWER_BYTES_MAX
                                                           : 0};
    http_send(ecs->http, &request, on_http_done, call);
}

/* Of a target that is PATH, '?' and a query. */
static struct slice query_of(const struct buf *target)
{
    return slice_skip(buf_slice(target), strlen(PATH "?"));
}

/* The headers V3 signs. `stamp` must stay as long as they are used. */
static size_t list_headers(const struct ecs *ecs, const struct command *command,
                           const struct credentials *credentials, const struct stamp *stamp,
                           struct sign_pair *out)
{
    size_t count = 0;
    out[count++] = (struct sign_pair){"host", buf_slice(&ecs->host)};
    out[count++] = (struct sign_pair){"x-acs-action", slice_text(command->action->name)};
    out[count++] = (struct sign_pair){"x-acs-content-sha256", slice_text(EMPTY_SHA256)};
    out[count++] = (struct sign_pair){"x-acs-date", slice_text(stamp->date)};
    if (secret_is_set(&credentials->security_token)) {
        out[count++] =
            (struct sign_pair){"x-acs-security-token", secret_slice(&credentials->security_token)};
    }
    out[count++] = (struct sign_pair){"x-acs-signature-nonce", slice_text(stamp->nonce)};
    out[count++] = (struct sign_pair){"x-acs-version", slice_text(ecs->endpoint.version)};
    assert(count <= SIGNED_HEADERS_MAX);
    return count;
}

static void send_v3(struct call *call, const struct credentials *credentials,
                    const struct stamp *stamp, struct sign_pair *parameters, size_t parameter_count)
{
    struct ecs *ecs = call->ecs;
    struct sign_pair headers[SIGNED_HEADERS_MAX];
    sign_canonical_query(parameters, parameter_count, &ecs->target);
    struct sign_v3_request request = {
        .method = "POST",
        .path = PATH,
        .canonical_query = query_of(&ecs->target),
        .headers = headers,
        .header_count = list_headers(ecs, call->command, credentials, stamp, headers),
        .payload_hash = slice_text(EMPTY_SHA256),
    };
    sign_v3_authorization(&request, secret_slice(&credentials->access_key_id),
                          secret_slice(&credentials->access_key_secret), &ecs->value);
    for (size_t i = 0; i < request.header_count; i++) {
        put_line(&ecs->lines, headers[i].name, headers[i].value);
    }
    put_line(&ecs->lines, "Authorization", buf_slice(&ecs->value));
    post(call, request.header_count + 1);
}

/* Adds them to the `count` that are there; returns how many there are then. */
static size_t add_v1_parameters(const struct ecs *ecs, const struct command *command,
                                const struct credentials *credentials, const struct stamp *stamp,
                                struct sign_pair *out, size_t count)
{
    out[count++] = (struct sign_pair){"AccessKeyId", secret_slice(&credentials->access_key_id)};
    out[count++] = (struct sign_pair){"Action", slice_text(command->action->name)};
    out[count++] = (struct sign_pair){"Format", slice_text("JSON")};
    if (secret_is_set(&credentials->security_token)) {
        out[count++] =
            (struct sign_pair){"SecurityToken", secret_slice(&credentials->security_token)};
    }
    out[count++] = (struct sign_pair){"SignatureMethod", slice_text("HMAC-SHA1")};
    out[count++] = (struct sign_pair){"SignatureNonce", slice_text(stamp->nonce)};
    out[count++] = (struct sign_pair){"SignatureVersion", slice_text("1.0")};
    out[count++] = (struct sign_pair){"Timestamp", slice_text(stamp->date)};
    out[count++] = (struct sign_pair){"Version", slice_text(ecs->endpoint.version)};
    assert(count <= PARAMETERS_MAX);
    return count;
}

static void send_v1(struct call *call, const struct credentials *credentials,
                    const struct stamp *stamp, struct sign_pair *parameters, size_t parameter_count)
{
    struct ecs *ecs = call->ecs;
    size_t count =
        add_v1_parameters(ecs, call->command, credentials, stamp, parameters, parameter_count);
    sign_canonical_query(parameters, count, &ecs->target);
    sign_v1_string_to_sign("POST", query_of(&ecs->target), &ecs->lines);
    sign_v1_signature(secret_slice(&credentials->access_key_secret), buf_slice(&ecs->lines),
                      &ecs->value);
    buf_append_text(&ecs->target, "&Signature=");
    sign_percent_encode(buf_slice(&ecs->value), &ecs->target);
    post(call, 0);
}

static void remember_credentials(struct ecs *ecs, const struct credentials *given)
{
    struct credentials *now = &ecs->generations[0];
    if (slice_equals(secret_slice(&now->access_key_id), secret_slice(&given->access_key_id)) &&
        slice_equals(secret_slice(&now->access_key_secret),
                     secret_slice(&given->access_key_secret)) &&
        slice_equals(secret_slice(&now->security_token), secret_slice(&given->security_token))) {
        return;
    }
    credentials_fini(&ecs->generations[1]);
    ecs->generations[1] = *now;
    *now = (struct credentials){0};
    credentials_copy(now, given);
}

/* --- requests that are not sent --- */

static void unsent_due(void *arg)
{
    struct ecs *ecs = arg;
    struct call *due = ecs->unsent;
    ecs->unsent = NULL;
    while (due != NULL) {
        struct call *call = due;
        DL_DELETE(due, call);
        call_end(call, &call->attempt);
    }
}

static void answer_unsent(struct call *call, enum reaction reaction, enum bridge_error error,
                          const char *message)
{
    struct ecs *ecs = call->ecs;
    call->attempt = (struct attempt){
        .reaction = reaction, .retry_after_ms = -1, .at_ms = clock_wall_ms() + ecs->clock_ahead_ms};
    outcome_of_error(&call->attempt.outcome, error, message);
    DL_DELETE(ecs->live, call);
    DL_APPEND(ecs->unsent, call);
    loop_timer_start(ecs->unsent_timer, 0);
}

/* There are credentials, or there are none: when to look again. */
static void found_credentials(struct ecs *ecs, const struct credentials *credentials)
{
    bool is_lasting = credentials != NULL && credentials->expires_at_ms == INT64_MAX;
    health_set(ecs->health, HEALTH_NO_CREDENTIALS, credentials == NULL);
    counter_set(ecs->counters, COUNTER_CREDENTIALS_EXPIRY,
                credentials == NULL || is_lasting ? 0 : credentials->expires_at_ms);
    if (is_lasting) {
        loop_timer_stop(ecs->look);
    } else if (!loop_timer_is_running(ecs->look)) {
        loop_timer_start(ecs->look, LOOK_AGAIN_MS);
    }
}

static void on_looked(void *arg, enum status status, const struct credentials *credentials,
                      const char *text)
{
    struct ecs *ecs = arg;
    (void)text;
    ecs->is_looking = false;
    found_credentials(ecs, status == STATUS_OK ? credentials : NULL);
}

static void look_for_credentials(void *arg)
{
    struct ecs *ecs = arg;
    if (!ecs->is_looking) {
        ecs->is_looking = true;
        credentials_get(ecs->source, on_looked, ecs);
    }
}

void ecs_set_lease(struct ecs *ecs, const struct lease *lease)
{
    ecs->lease = lease;
}

void ecs_start(struct ecs *ecs)
{
    look_for_credentials(ecs);
    if (ecs->is_looking) {
        health_set(ecs->health, HEALTH_NO_CREDENTIALS, true);
    }
}

static void on_credentials(void *arg, enum status status, const struct credentials *credentials,
                           const char *text)
{
    struct call *call = arg;
    struct ecs *ecs = call->ecs;
    struct stamp stamp;
    (void)text;
    found_credentials(ecs, status == STATUS_OK ? credentials : NULL);
    if (status != STATUS_OK) {
        /* A source that is unavailable now may work again before the command's deadline. The
         * reasons are in the log (credentials_unavailable); they name files of this machine, so a
         * reply does not. */
        answer_unsent(call, status == STATUS_UNAVAILABLE ? REACTION_RETRY : REACTION_REPLY_BRIDGE,
                      ERROR_NO_CREDENTIALS,
                      "The bridge has no credentials for the API; its log has the reason.");
        return;
    }
    if (ecs->lease != NULL && !ecs->lease->is_valid) {
        answer_unsent(call, REACTION_RETRY, ERROR_EXPIRED,
                      "The bridge could not use its ledger, and did not call the API.");
        return;
    }
    call->serial = credentials->serial;
    remember_credentials(ecs, credentials);
    clock_format_s(clock_wall_ms() + ecs->clock_offset_ms, stamp.date);
    digest_nonce(stamp.nonce);
    buf_clear(&ecs->url);
    buf_clear(&ecs->host);
    buf_clear(&ecs->target);
    buf_clear(&ecs->value);
    buf_clear(&ecs->lines);
    endpoint_of_region(&ecs->endpoint, call->command->region, &ecs->url, &ecs->host);
    buf_append_text(&ecs->target, PATH "?");
    struct sign_pair parameters[PARAMETERS_MAX];
    struct json *document;
    size_t count = actions_list_parameters(call->command, &document, parameters);
    if (strcmp(ecs->settings->api.signature, "v1") == 0) {
        send_v1(call, credentials, &stamp, parameters, count);
    } else {
        send_v3(call, credentials, &stamp, parameters, count);
    }
    json_free(document);
}

void ecs_call(struct ecs *ecs, const struct command *command, ecs_answered_fn *answered, void *arg)
{
    struct call *call = ecs->spare;
    if (call == NULL) {
        call = mem_zalloc(1, sizeof *call);
        call->ecs = ecs;
    } else {
        DL_DELETE(ecs->spare, call);
    }
    DL_APPEND(ecs->live, call);
    call->command = command;
    call->answered = answered;
    call->arg = arg;
    credentials_get(ecs->source, on_credentials, call);
}

void ecs_probe(struct ecs *ecs, const char *region, ecs_answered_fn *answered, void *arg)
{
    ecs->probe = (struct command){.action = &action_rows[ACTION_DescribeDiskReplicaGroups],
                                  .region = region,
                                  .params = "{\"MaxResults\":\"1\"}"};
    ecs_call(ecs, &ecs->probe, answered, arg);
}

void ecs_credentials(struct ecs *ecs, credentials_got_fn *got, void *arg)
{
    credentials_get(ecs->source, got, arg);
}

/* --- the part --- */

static struct http_options http_options_of(const struct ecs *ecs)
{
    const struct settings *settings = ecs->settings;
    return (struct http_options){
        .connect_timeout_ms = settings->api.connect_timeout_ms,
        .read_timeout_ms = settings->api.read_timeout_ms,
        .answer_bytes_max = ANSWER_BYTES_MAX,
        .proxy = settings->api.proxy,
        .connections_max = (size_t)settings->api.max_in_flight,
        .connection_age_max_s = settings->api.max_connection_age_s,
        .is_single_use = settings->api.max_connection_age_s == 0,
        .tls = ecs->tls,
    };
}

void ecs_renew(struct ecs *ecs)
{
    struct http_options options = http_options_of(ecs);
    credentials_context_renew(ecs->credential_context);
    ecs->http = http_renew(ecs->http, &options);
}

enum status ecs_new(struct loop *loop, const struct settings *settings, const struct tls_files *tls,
                    struct health *health, struct counters *counters, struct ecs **out_ecs,
                    struct buf *out_why)
{
    struct ecs *ecs = mem_zalloc(1, sizeof *ecs);
    ecs->settings = settings;
    ecs->tls = tls;
    const char *why = NULL;
    if (endpoint_init(&ecs->endpoint, settings->api.preset, settings->api.network,
                      settings->api.endpoint, settings->api.version, settings->api.allow_http,
                      &why) == STATUS_OK) {
        ecs->credential_context = credentials_context_new(loop, settings, tls);
        ecs->source = credentials_open(ecs->credential_context, out_why);
    } else {
        buf_printf(out_why, "api.endpoint %s", why);
    }
    if (ecs->source == NULL) {
        ecs_free(ecs);
        return STATUS_INVALID;
    }
    struct http_options options = http_options_of(ecs);
    ecs->http = http_new(loop, &options);
    ecs->unsent_timer = loop_timer_new(loop, unsent_due, ecs);
    ecs->look = loop_timer_new(loop, look_for_credentials, ecs);
    ecs->health = health;
    ecs->counters = counters;
    ecs->reach = (struct reach){.settings = settings,
                                .health = health,
                                .has_region_hosts = endpoint_has_region_hosts(&ecs->endpoint)};
    *out_ecs = ecs;
    return STATUS_OK;
}

static void free_calls(struct call *list)
{
    struct call *call;
    struct call *next;
    DL_FOREACH_SAFE (list, call, next) {
        attempt_fini(&call->attempt);
        free(call);
    }
}

void ecs_trim(struct ecs *ecs)
{
    http_trim(ecs->http);
    free_calls(ecs->spare);
    ecs->spare = NULL;
}

static void wipe_scratch(struct buf *scratch)
{
    secret_wipe(scratch->data, scratch->capacity);
    buf_fini(scratch);
}

void ecs_free(struct ecs *ecs)
{
    if (ecs == NULL) {
        return;
    }
    http_free(ecs->http);
    credentials_source_free(ecs->source);
    credentials_context_free(ecs->credential_context);
    loop_timer_free(ecs->unsent_timer);
    loop_timer_free(ecs->look);
    free_calls(ecs->live);
    free_calls(ecs->unsent);
    free_calls(ecs->spare);
    endpoint_fini(&ecs->endpoint);
    credentials_fini(&ecs->generations[0]);
    credentials_fini(&ecs->generations[1]);
    wipe_scratch(&ecs->url);
    wipe_scratch(&ecs->host);
    wipe_scratch(&ecs->target);
    wipe_scratch(&ecs->value);
    wipe_scratch(&ecs->lines);
    free(ecs);
}
