#include "check_online.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "cli/cli.h"
#include "ecs/call.h"
#include "model/region.h"
#include "tls/files.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#define REGIONS_MAX 64
#define WAYS_TO_REGION \
    "give a route defaults.RegionId or a region without wildcards, or use --region"

struct online {
    const struct settings *settings;
    struct loop *loop;
    struct ecs *ecs;
    struct loop_timer *then; /* starts the probes; the credentials may come before the loop runs */
    const char *regions[REGIONS_MAX];
    size_t region_count;
    size_t next;
    bool has_tried; /* this region was asked once before */
    int code;
};

/* --- which regions --- */

static void add_region(struct online *online, const char *region)
{
    for (size_t i = 0; i < online->region_count; i++) {
        if (strcmp(online->regions[i], region) == 0) {
            return;
        }
    }
    if (online->region_count < REGIONS_MAX) {
        online->regions[online->region_count++] = region;
    }
}

static void list_regions(struct online *online, const struct settings *settings)
{
    for (size_t i = 0; i < settings->route_count; i++) {
        const struct route *route = &settings->routes[i];
        if (route->default_region != NULL) {
            add_region(online, route->default_region);
        }
        for (size_t k = 0; k < route->regions.count; k++) {
            if (strpbrk(route->regions.items[k], "*?[\\") == NULL) {
                add_region(online, route->regions.items[k]);
            }
        }
    }
}

/* --- the answers of the API --- */

/* The settings of routes for which the bridge needs the RAM action that is tried here. */
enum { HAS_WATCH = 1, HAS_EXPLAIN = 2 };

static unsigned readers_of(const struct settings *settings)
{
    unsigned readers = 0;
    for (size_t i = 0; i < settings->route_count; i++) {
        readers |= strcmp(settings->routes[i].watch, "off") != 0 ? HAS_WATCH : 0U;
        readers |= settings->routes[i].explain ? HAS_EXPLAIN : 0U;
    }
    return readers;
}

static const char *const reader_texts[] = {
    [0] = NULL,
    [HAS_WATCH] = "\"watch\" needs",
    [HAS_EXPLAIN] = "\"explain\" needs",
    [HAS_WATCH | HAS_EXPLAIN] = "\"watch\" and \"explain\" need",
};

/* The permissions of the routes' actions, each once: "ebs:StartDiskReplicaGroup". */
static void put_permissions(const struct settings *settings, struct buf *out)
{
    for (size_t i = 0; i < settings->route_count; i++) {
        const char *permission = route_action(&settings->routes[i])->ram_action;
        bool is_listed = false;
        for (size_t k = 0; k < i; k++) {
            is_listed = is_listed || route_action(&settings->routes[k])->ram_action == permission;
        }
        if (!is_listed) {
            buf_append_text(out, out->length == 0 ? "" : ", ");
            buf_append_text(out, permission);
        }
    }
    if ((readers_of(settings) & HAS_WATCH) != 0 && settings->watch.progress_s > 0) {
        buf_append_text(out, out->length == 0 ? "" : ", ");
        buf_append_text(out, action_rows[ACTION_DescribeDiskReplicaPairProgress].ram_action);
    }
}

/* What does not work without the RAM action that was tried. */
static void put_consequences(const struct online *online, const char *region)
{
    const char *action = action_rows[ACTION_DescribeDiskReplicaGroups].ram_action;
    unsigned readers = readers_of(online->settings);
    if ((readers & HAS_WATCH) != 0) {
        fprintf(stderr, "%s: routes with \"watch\" need %s; without it no group is watched\n",
                region, action);
    }
    if ((readers & HAS_EXPLAIN) != 0) {
        fprintf(stderr,
                "%s: routes with \"explain\" need %s; without it no reply has the state of its "
                "group\n",
                region, action);
    }
}

static void print_refusal(const struct online *online, const char *region,
                          const struct attempt *attempt)
{
    const struct outcome *outcome = &attempt->outcome;
    struct buf text = {0};
    bool is_permission = strcmp(outcome->code, "Forbidden") == 0 ||
                         strncmp(outcome->code, "Forbidden.Action", 16) == 0 ||
                         strncmp(outcome->code, "NoPermission", 12) == 0;
    fprintf(stderr, "%s: %s: %s\n", region, outcome->code, outcome->message);
    if (is_permission) {
        put_permissions(online->settings, &text);
        fprintf(
            stderr,
            "%s: the API accepts the credentials, but the identity lacks the RAM action %s; for "
            "its routes it also needs %s, which this check cannot try\n",
            region, action_rows[ACTION_DescribeDiskReplicaGroups].ram_action, text.data);
        put_consequences(online, region);
    } else if (outcome->hint != NULL) {
        outcome_put_hint(outcome, &text);
        fprintf(stderr, "%s: %s\n", region, text.data);
    }
    buf_fini(&text);
}

static bool is_for_another_try(enum reaction reaction)
{
    return reaction == REACTION_RESIGN_ONCE || reaction == REACTION_CLOCK_ONCE ||
           reaction == REACTION_CREDENTIALS_ONCE;
}

static int code_of(const struct attempt *attempt)
{
    switch (attempt->reaction) {
    case REACTION_DONE:
        return EX_OK;
    case REACTION_RETRY:
    case REACTION_THROTTLE:
    case REACTION_RETRY_UNSURE:
        return EX_UNAVAILABLE;
    default:
        return EX_CONFIG;
    }
}

static void probe(struct online *online);

static void answered(void *arg, struct attempt *attempt)
{
    struct online *online = arg;
    const char *region = online->regions[online->next];
    if (is_for_another_try(attempt->reaction) && !online->has_tried) {
        online->has_tried = true;
        probe(online);
        return;
    }
    int code = code_of(attempt);
    /* A configuration error is not replaced by another code. */
    online->code = online->code == EX_CONFIG ? EX_CONFIG : code;
    if (code == EX_OK) {
        struct buf permissions = {0};
        put_permissions(online->settings, &permissions);
        const char *readers = reader_texts[readers_of(online->settings)];
        printf("%s: the API accepts the credentials (%s is allowed%s%s; for its routes the "
               "identity also needs %s)\n",
               region, action_rows[ACTION_DescribeDiskReplicaGroups].ram_action,
               readers == NULL ? "" : ", which ", readers == NULL ? "" : readers, permissions.data);
        buf_fini(&permissions);
    } else {
        print_refusal(online, region, attempt);
    }
    online->has_tried = false;
    online->next++;
    probe(online);
}

static void probe(struct online *online)
{
    if (online->next == online->region_count) {
        loop_stop(online->loop);
    } else {
        ecs_probe(online->ecs, online->regions[online->next], answered, online);
    }
}

/* --- the credentials --- */

static void got_credentials(void *arg, enum status status, const struct credentials *credentials,
                            const char *text)
{
    struct online *online = arg;
    loop_timer_start(online->then, 0);
    if (status != STATUS_OK) {
        struct slice lines = slice_text(text);
        online->code = status == STATUS_UNAVAILABLE ? EX_UNAVAILABLE : EX_CONFIG;
        fprintf(stderr, "credentials: none\n");
        for (struct slice line; slice_take_line(&lines, &line);) {
            fprintf(stderr, "  %.*s\n", (int)line.length, line.data);
        }
        return;
    }
    char expires[CLOCK_TEXT_BYTES] = "";
    struct buf id = {0};
    bool has_end = credentials->expires_at_ms != INT64_MAX;
    if (has_end) {
        clock_format_s(credentials->expires_at_ms, expires);
    }
    credentials_mask_id(credentials, &id);
    printf("credentials: %s, access key %s, %s%s\n", credentials->provider, id.data,
           has_end ? "expire at " : "do not expire", expires);
    buf_fini(&id);
}

static void begin_probes(void *arg)
{
    struct online *online = arg;
    if (online->code == EX_OK) {
        probe(online);
    } else {
        loop_stop(online->loop);
    }
}

int check_online(const struct settings *settings, const char *region)
{
    struct online online = {.settings = settings, .code = EX_OK};
    struct buf why = {0};
    struct tls_files tls = {0};
    struct tls_report report = {0};
    log_setup(LOG_LEVEL_ERROR, LOG_LOGFMT, "check");
    if (region != NULL && !region_is_valid(slice_text(region))) {
        return cli_wrong_call("check",
                              "--region takes lower-case letters, digits and '-', as cn-beijing");
    }
    if (region != NULL) {
        add_region(&online, region);
    } else {
        list_regions(&online, settings);
    }
    if (online.region_count == 0) {
        return cli_wrong_call("check", "no region is known: " WAYS_TO_REGION);
    }
    /* The check before has reported what is wrong with these files. */
    (void)tls_files_load_api(&tls, settings, clock_wall_ms(), &report);
    online.loop = loop_new();
    struct health *health = health_new(online.loop);
    struct counters counters = {0};
    if (ecs_new(online.loop, settings, &tls, health, &counters, &online.ecs, &why) == STATUS_OK) {
        online.then = loop_timer_new(online.loop, begin_probes, &online);
        ecs_credentials(online.ecs, got_credentials, &online);
        loop_run(online.loop);
        loop_timer_free(online.then);
    } else {
        fprintf(stderr, "%s\n", why.data);
        online.code = EX_CONFIG;
    }
    ecs_free(online.ecs);
    health_free(health);
    loop_free(online.loop);
    tls_report_fini(&report);
    tls_files_fini(&tls);
    buf_fini(&why);
    return online.code;
}
