#include "store_keeper.h"

#include "flow_broker.h"
#include "flow_check.h"
#include "flow_process.h"
#include "violation.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    SMALL_MB = 160,
    NOT_POSSIBLE = 77, /* tests/support/postgres: no file system can be mounted */
    STEPS_MAX = 7,
    LOSE_MS = 500,
    SEEN_MS = 3000, /* each bridge has seen that no standby is synchronous any more */
    ARGUMENTS_MAX = 8,
    JOB_MS = 120000, /* of one step, on a busy machine */
    AFTER_MS = 6000, /* the bridges have found the store again */
    TAKE_OVER_MS = 2000,
    TOLERANCE_MS = 5000, /* for a busy machine */
};

/* A step of a harm: a verb of tests/support/postgres. */
struct step {
    const char *verb; /* NULL: the end */
    bool is_second;   /* of the standby, not of the first server */
    const char *argument;
    int after_ms;       /* the step before */
    bool is_late;       /* after a time, see store_keeper_harm() */
    const char *output; /* a file in the run's directory */
    bool swaps;         /* then the standby is the first server */
    bool awaits_all;    /* when each bridge has been connected to the first server: one that has not
                           cannot know that the other one is old */
};

#define REBUILT                                                   \
    {                                                             \
        .verb = "standby", .is_second = true, .argument = "of it" \
    }

static const struct step steps[STORE_HARM_COUNT][STEPS_MAX + 1] = {
    [STORE_RESTART] = {{.verb = "restart"}},
    [STORE_IMMEDIATE] = {{.verb = "immediate"}},
    [STORE_KILL] = {{.verb = "kill"}, {.verb = "up", .is_late = true}},
    [STORE_FAIL_OVER] = {{.verb = "kill"},
                         {.verb = "promote", .is_second = true, .swaps = true},
                         REBUILT},
    [STORE_RETURN] = {{.verb = "kill"},
                      {.verb = "promote", .is_second = true, .swaps = true},
                      {.verb = "up", .is_second = true, .argument = "alone", .awaits_all = true},
                      {.verb = "standby", .is_second = true, .argument = "of it", .is_late = true}},
    [STORE_LOSE] =
        {{.verb = "unsync"},
         {.verb = "detach", .is_second = true, .after_ms = SEEN_MS},
         {.verb = "kill", .is_late = true},
         {.verb = "promote", .is_second = true, .swaps = true},
         {.verb = "look", .is_second = true, .argument = STORE_WRITTEN_SQL, .output = "left"},
         {.verb = "sql", .argument = STORE_WRITTEN_SQL, .output = "taken-over"},
         REBUILT},
    [STORE_STANDBY_AWAY] = {{.verb = "kill", .is_second = true},
                            {.verb = "up", .is_second = true, .is_late = true}},
    [STORE_FULL] = {{.verb = "full", .argument = "3"}},
};

/* --- running the script --- */

static void add(const char **argv, const char *argument)
{
    int count = 0;
    while (argv[count] != NULL) {
        count++;
    }
    argv[count] = argument;
}

static pid_t begin(const struct store_keeper *keeper, const char *const *argv)
{
    const struct process_spec spec = {.argv = argv, .output = keeper->log};
    return process_start(&spec);
}

/* A file beside the log. */
static void output_path(const struct store_keeper *keeper, const char *name, char out[160])
{
    snprintf(out, 160, "%s.%s", keeper->log, name);
}

static int run(const struct store_keeper *keeper, const char *verb, const char *directory,
               const char *more[])
{
    const char *argv[ARGUMENTS_MAX + 4] = {POSTGRES_SCRIPT, verb, directory};
    for (int i = 0; more != NULL && more[i] != NULL; i++) {
        add(argv, more[i]);
    }
    return process_wait(begin(keeper, argv), JOB_MS);
}

static void must_run(const struct store_keeper *keeper, const char *verb, const char *directory,
                     const char *more[])
{
    int code = run(keeper, verb, directory, more);
    if (code != 0) {
        flow_fail("PostgreSQL: %s exits with %d, see %s", verb, code, keeper->log);
    }
}

/* --- start and end --- */

static void stop_servers(const struct store_keeper *keeper)
{
    for (int i = 0; i < STORE_SERVERS; i++) {
        run(keeper, "stop", keeper->directories[i], NULL);
        if (keeper->has_bouncers) {
            run(keeper, "stop", keeper->bouncers[i], NULL);
        }
    }
}

/* The pipe ends with the driver and what it has forked, however they end. */
static void start_guard(struct store_keeper *keeper)
{
    int ends[2];
    char byte = 0;
    if (pipe(ends) != 0) {
        flow_fail("no pipe for the store");
    }
    keeper->guard = fork();
    if (keeper->guard == 0) {
        setsid();
        prctl(PR_SET_NAME, "torture-store");
        close(ends[1]);
        while (read(ends[0], &byte, 1) < 0) {
        }
        stop_servers(keeper);
        _exit(0);
    }
    close(ends[0]);
    /* The other end stays open, and closed in every program that is started. */
    if (fcntl(ends[1], F_SETFD, FD_CLOEXEC) != 0) {
        flow_fail("no pipe for the store");
    }
}

static void start_first(struct store_keeper *keeper, const char *port)
{
    char small[16];
    snprintf(small, sizeof small, "%d", SMALL_MB);
    const char *more[] = {"--port", port, "--small", small, NULL};
    int code = run(keeper, "start", keeper->directories[0], more);
    keeper->is_small = code == 0;
    if (code == NOT_POSSIBLE) {
        more[2] = NULL;
        must_run(keeper, "start", keeper->directories[0], more);
    } else if (code != 0) {
        flow_fail("PostgreSQL does not start: %d, see %s", code, keeper->log);
    }
}

static void start_bouncers(struct store_keeper *keeper)
{
    char port[16];
    for (int i = 0; i < STORE_SERVERS; i++) {
        keeper->bouncer_ports[i] = port_reserve(&keeper->bouncer_guards[i]);
        snprintf(port, sizeof port, "%d", keeper->bouncer_ports[i]);
        const char *more[] = {keeper->directories[i], port, NULL};
        must_run(keeper, "pgbouncer", keeper->bouncers[i], more);
    }
}

void store_keeper_init(struct store_keeper *keeper, const char *directory, bool has_bouncers)
{
    char ports[STORE_SERVERS][16];
    *keeper = (struct store_keeper){.has_bouncers = has_bouncers, .timeline = 1};
    snprintf(keeper->log, sizeof keeper->log, "%s/store.log", directory);
    /* The server may run as another user. */
    chmod(directory, 0711);
    for (int i = 0; i < STORE_SERVERS; i++) {
        snprintf(keeper->directories[i], sizeof keeper->directories[i], "%s/store-%c", directory,
                 'a' + i);
        keeper->ports[i] = port_reserve(&keeper->guards[i]);
        keeper->bouncer_ports[i] = keeper->ports[i];
        snprintf(keeper->bouncers[i], sizeof keeper->bouncers[i], "%s-bouncer",
                 keeper->directories[i]);
        snprintf(ports[i], sizeof ports[i], "%d", keeper->ports[i]);
    }
    start_guard(keeper);
    start_first(keeper, ports[0]);
    const char *more[] = {keeper->directories[0], "synchronous", ports[1], NULL};
    must_run(keeper, "standby", keeper->directories[1], more);
    if (has_bouncers) {
        start_bouncers(keeper);
    }
}

void store_keeper_connect(struct store_keeper *keeper, struct proxy *proxy)
{
    snprintf(keeper->uri, sizeof keeper->uri,
             "postgresql://bridge@127.0.0.1:%d,127.0.0.1:%d/postgres", proxy->ports[ROUTE_STORE_A],
             proxy->ports[ROUTE_STORE_B]);
    keeper->proxy = proxy;
}

void store_keeper_fini(struct store_keeper *keeper)
{
    if (keeper->guard > 0) {
        process_end(keeper->job, SIGKILL, FLOW_TIMEOUT_MS);
        if (violation_total() > 0) {
            char path[160];
            snprintf(path, sizeof path, "%s.dump", keeper->log);
            const char *more[] = {path, NULL};
            run(keeper, "dump", keeper->directories[keeper->first], more);
        }
        stop_servers(keeper);
        process_end(keeper->guard, SIGKILL, FLOW_TIMEOUT_MS);
        for (int i = 0; i < STORE_SERVERS; i++) {
            close(keeper->guards[i]);
        }
    }
    store_losses_fini(&keeper->losses);
    *keeper = (struct store_keeper){0};
}

void store_keeper_watch(struct store_keeper *keeper, const struct bridge_keeper *bridges,
                        int bridge_count)
{
    keeper->bridges = bridges;
    keeper->bridge_count = bridge_count;
    const char *more[] = {STORE_WATCH_SQL, NULL};
    must_run(keeper, "sql", keeper->directories[keeper->first], more);
}

/* --- faults --- */

bool store_keeper_is_idle(const struct store_keeper *keeper)
{
    return keeper->began_ms == 0;
}

bool store_keeper_must_commit(const struct store_keeper *keeper)
{
    return keeper->began_ms != 0 && keeper->harm == STORE_LOSE;
}

static void add_trouble(struct store_keeper *keeper, int64_t from_ms, int64_t to_ms)
{
    size_t max = sizeof keeper->troubles / sizeof keeper->troubles[0];
    if ((size_t)keeper->trouble_count < max) {
        keeper->troubles[keeper->trouble_count++] = (struct store_trouble){from_ms, to_ms};
    }
}

void store_keeper_note_cut(struct store_keeper *keeper, int ms)
{
    int64_t now_ms = flow_now_ms();
    add_trouble(keeper, now_ms, now_ms + ms + AFTER_MS);
}

bool store_keeper_harm(struct store_keeper *keeper, enum store_harm harm, int down_ms)
{
    if (harm == STORE_FULL && (!keeper->is_small || keeper->first != 0)) {
        return false;
    }
    keeper->harm = harm;
    keeper->down_ms = harm == STORE_LOSE ? LOSE_MS + down_ms / 4 : down_ms;
    keeper->step = 0;
    keeper->began_ms = keeper->due_ms = flow_now_ms();
    return true;
}

/* All bridges must connect, and for a time they reach only the server that came back. */
static void lure(const struct store_keeper *keeper)
{
    struct proxy_order order = {.route = keeper->first == 0 ? ROUTE_STORE_A : ROUTE_STORE_B,
                                .verb = PROXY_REFUSE,
                                .ms = keeper->down_ms / 2};
    proxy_execute(keeper->proxy, &order);
    order.verb = PROXY_CUT_ALL;
    proxy_execute(keeper->proxy, &order);
}

/* What a server that came back has logged: who connected, and each statement that writes. */
static void check_returned(struct store_keeper *keeper)
{
    char path[160];
    char line[1024];
    snprintf(path, sizeof path, "%s/log", keeper->directories[STORE_SERVERS - 1 - keeper->first]);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        flow_fail("cannot read %s", path);
    }
    while (fgets(line, sizeof line, file) != NULL) {
        keeper->returned_asked += strstr(line, "connection received: host=127.0.0.1") != NULL;
        if (strstr(line, "LOG:  statement:") != NULL || strstr(line, "LOG:  execute ") != NULL) {
            violate(VIOLATION_STALE, "a server that was replaced and came back took a write: %s",
                    line);
        }
    }
    fclose(file);
}

static void begin_step(struct store_keeper *keeper, const struct step *step)
{
    int second = STORE_SERVERS - 1 - keeper->first;
    char port[16];
    if (keeper->harm == STORE_RETURN && step->is_late) {
        check_returned(keeper);
    }
    keeper->is_old_back = keeper->harm == STORE_RETURN && strcmp(step->verb, "up") == 0;
    snprintf(port, sizeof port, "%d", keeper->ports[second]);
    const char *argv[ARGUMENTS_MAX] = {
        POSTGRES_SCRIPT, step->verb, keeper->directories[step->is_second ? second : keeper->first]};
    if (strcmp(step->verb, "standby") == 0) {
        add(argv, keeper->directories[keeper->first]);
        add(argv, "synchronous");
        add(argv, port);
    } else if (step->argument != NULL) {
        add(argv, step->argument);
    }
    char output[160] = "";
    if (step->output != NULL) {
        output_path(keeper, step->output, output);
        unlink(output);
    }
    const struct process_spec spec = {
        .argv = argv, .output = step->output != NULL ? output : keeper->log, .errors = keeper->log};
    keeper->job = process_start(&spec);
    keeper->due_ms = flow_now_ms() + JOB_MS;
}

static void see_loss(struct store_keeper *keeper, const struct step *step, int64_t now_ms)
{
    char left[160];
    char taken_over[160];
    const struct proxy_order calm = {.route = keeper->first == 0 ? ROUTE_STORE_A : ROUTE_STORE_B,
                                     .verb = PROXY_CALM};
    if (strcmp(step->verb, "unsync") == 0) {
        proxy_execute(keeper->proxy, &calm);
    } else if (strcmp(step->verb, "detach") == 0) {
        keeper->detached_ms = now_ms;
    } else if (strcmp(step->verb, "kill") == 0) {
        keeper->killed_ms = now_ms;
    } else if (strcmp(step->verb, "sql") == 0) {
        output_path(keeper, "left", left);
        output_path(keeper, "taken-over", taken_over);
        store_losses_read(&keeper->losses, left, taken_over, keeper->killed_ms, now_ms);
    }
}

static void end_step(struct store_keeper *keeper, int code, int64_t now_ms)
{
    const struct step *step = &steps[keeper->harm][keeper->step];
    if (code != 0) {
        flow_fail("PostgreSQL: %s exits with %d, see %s", step->verb, code, keeper->log);
    }
    if (step->swaps) {
        keeper->first = STORE_SERVERS - 1 - keeper->first;
        keeper->timeline++;
    }
    if (keeper->harm == STORE_RETURN && strcmp(step->verb, "up") == 0) {
        lure(keeper);
    }
    if (keeper->harm == STORE_LOSE) {
        see_loss(keeper, step, now_ms);
    }
    keeper->job = 0;
    keeper->step++;
    keeper->due_ms = now_ms + step[1].after_ms + (step[1].is_late ? keeper->down_ms : 0);
    if (step[1].verb == NULL) {
        add_trouble(keeper, keeper->began_ms, now_ms + AFTER_MS);
        keeper->counts[keeper->harm]++;
        keeper->began_ms = 0;
    }
}

static bool do_all_know(const struct store_keeper *keeper)
{
    for (int i = 0; i < keeper->bridge_count; i++) {
        if (bridge_keeper_timeline(&keeper->bridges[i]) != keeper->timeline) {
            return false;
        }
    }
    return true;
}

void store_keeper_step(struct store_keeper *keeper, int64_t now_ms)
{
    if (keeper->began_ms == 0) {
        return;
    }
    bool awaits = keeper->job == 0 && steps[keeper->harm][keeper->step].awaits_all;
    if (awaits && !do_all_know(keeper)) {
        if (now_ms > keeper->due_ms + JOB_MS) {
            flow_fail("a bridge has not found the server that took over");
        }
        return;
    }
    if (keeper->job == 0 && now_ms >= keeper->due_ms) {
        begin_step(keeper, &steps[keeper->harm][keeper->step]);
    } else if (keeper->job != 0) {
        int code = process_wait(keeper->job, 0);
        if (code >= 0) {
            end_step(keeper, code, now_ms);
        } else if (now_ms > keeper->due_ms) {
            flow_fail("PostgreSQL: %s does not end, see %s", steps[keeper->harm][keeper->step].verb,
                      keeper->log);
        }
    }
}

/* --- what the triggers found --- */

struct removal {
    char instance[32];
    int64_t at_ms;      /* on the wall clock */
    int64_t adopted_ms; /* the last command that got another owner, 0: none */
};

static char *query(const struct store_keeper *keeper, const char *directory, const char *text)
{
    char path[160];
    snprintf(path, sizeof path, "%s.query", keeper->log);
    file_write(path, text);
    const char *const argv[] = {POSTGRES_SCRIPT, "sql", keeper->directories[keeper->first], path,
                                NULL};
    struct tool_result result = tool_run(directory, NULL, argv);
    if (result.code != 0) {
        flow_fail("PostgreSQL: %s", result.errors);
    }
    char *output = result.output;
    result.output = NULL;
    tool_result_fini(&result);
    return output;
}

int store_keeper_absent(const struct store_keeper *keeper, const char *directory)
{
    char *text = query(keeper, directory,
                       "SELECT count(DISTINCT instance) FROM meta m WHERE key LIKE 'broker.%:%'"
                       " AND key NOT LIKE 'broker.status:%' AND NOT EXISTS"
                       " (SELECT 1 FROM bridge b WHERE b.instance = m.instance);");
    int count = atoi(text);
    free(text);
    return count;
}

char *store_keeper_tokens(const struct store_keeper *keeper, const char *directory, int64_t id)
{
    char text[96];
    snprintf(text, sizeof text, "SELECT token FROM command WHERE seq = %" PRId64 ";", id);
    return query(keeper, directory, text);
}

static bool is_troubled(const struct store_keeper *keeper, int64_t from_ms, int64_t to_ms)
{
    for (int i = 0; i < keeper->trouble_count; i++) {
        if (keeper->troubles[i].from_ms <= to_ms && keeper->troubles[i].to_ms >= from_ms) {
            return true;
        }
    }
    return false;
}

static void check_absence(const struct bridge_keeper *bridge, const struct bridge_absence *absence,
                          const char *removals, struct store_findings *out)
{
    struct removal removal;
    int64_t limit_ms = bridge->options.lease_s * 1000 + TAKE_OVER_MS + TOLERANCE_MS;
    for (const char *line = removals; line != NULL && *line != '\0';) {
        if (sscanf(line, "%31[^|]|%" SCNd64 "|%" SCNd64, removal.instance, &removal.at_ms,
                   &removal.adopted_ms) == 3 &&
            strcmp(removal.instance, absence->instance) == 0 &&
            removal.at_ms >= absence->from_wall_ms && removal.at_ms <= absence->to_wall_ms) {
            int64_t took_ms = removal.at_ms - absence->from_wall_ms;
            int64_t adopted_ms = removal.adopted_ms - absence->from_wall_ms;
            out->take_over_count++;
            out->take_over_ms = took_ms > out->take_over_ms ? took_ms : out->take_over_ms;
            out->adopted_last_ms =
                adopted_ms > out->adopted_last_ms ? adopted_ms : out->adopted_last_ms;
            if (took_ms > limit_ms) {
                violate(VIOLATION_PROCESS, "%s was replaced after %" PRId64 " ms", removal.instance,
                        took_ms);
            }
            return;
        }
        line = strchr(line, '\n');
        line = line == NULL ? NULL : line + 1;
    }
    if (absence->to_ms != INT64_MAX && absence->to_ms - absence->from_ms > limit_ms) {
        violate(VIOLATION_PROCESS, "%s was away for %" PRId64 " ms and not replaced",
                absence->instance, absence->to_ms - absence->from_ms);
    }
}

static void check_take_over(const struct store_keeper *keeper, const struct bridge_keeper *bridges,
                            int bridge_count, struct store_findings *out)
{
    char *removals =
        query(keeper, bridges[0].options.directory,
              "SELECT r.instance, r.at_ms, coalesce((SELECT max(a.at_ms) FROM torture_adopted a"
              " WHERE a.old = r.run), 0) FROM torture_removed r ORDER BY r.at_ms;");
    for (int i = 0; i < bridge_count && bridge_count > 1; i++) {
        for (int j = 0; j < bridges[i].absence_count; j++) {
            const struct bridge_absence *absence = &bridges[i].absences[j];
            if (!is_troubled(keeper, absence->from_ms, absence->to_ms)) {
                check_absence(&bridges[i], absence, removals, out);
            }
        }
    }
    free(removals);
}

void store_keeper_check(struct store_keeper *keeper, const struct bridge_keeper *bridges,
                        int bridge_count, struct store_findings *out)
{
    const char *directory = bridges[0].options.directory;
    *out = (struct store_findings){0};
    char *text = query(keeper, directory,
                       "SELECT (SELECT count(*) FROM torture_removed),"
                       " (SELECT count(*) FROM torture_adopted),"
                       " (SELECT count(*) FROM torture_stale);");
    if (sscanf(text, "%" SCNd64 "|%" SCNd64 "|%" SCNd64, &out->removed_count, &out->adopted_count,
               &out->stale_count) != 3) {
        flow_fail("PostgreSQL answers '%s'", text);
    }
    free(text);
    if (out->stale_count > 0) {
        text = query(keeper, directory, "SELECT * FROM torture_stale ORDER BY at_ms LIMIT 10;");
        violate(VIOLATION_STALE, "%" PRId64 " writes of runs that were removed: %s",
                out->stale_count, text);
        free(text);
    }
    check_take_over(keeper, bridges, bridge_count, out);
}
