/* Prints the figures of a run as a table. */
#include "torture.h"

#include "violation.h"

#include <stdio.h>
#include <string.h>

static void line(const char *name, long long value)
{
    printf("  %-44s %10lld\n", name, value);
}

static int count_harm(const struct torture *torture, enum bridge_harm harm)
{
    int count = 0;
    for (int i = 0; i < torture->options.bridges; i++) {
        count += torture->bridges[i].counts[harm];
    }
    return count;
}

static int bridge_kills(const struct torture *torture)
{
    return count_harm(torture, BRIDGE_KILL) + count_harm(torture, BRIDGE_KILL_TAKEN) +
           count_harm(torture, BRIDGE_KILL_ANSWERED);
}

static int broker_kills(const struct torture *torture)
{
    const int *counts = torture->broker.counts;
    return counts[BROKER_KILL_SAVED] + counts[BROKER_KILL_UNSAVED] + counts[BROKER_KILL_EMPTIED];
}

static int changes_of(const struct torture *torture, enum bridge_setting setting)
{
    int count = 0;
    for (int i = 0; i < torture->options.bridges; i++) {
        count += torture->bridges[i].change_counts[setting];
    }
    return count;
}

/* The lines with this event in the logs of all bridges. */
static int count_event(const struct torture *torture, const char *event)
{
    int count = 0;
    char wanted[64];
    char line[1024];
    snprintf(wanted, sizeof wanted, " event=%s ", event);
    for (int i = 0; i < torture->options.bridges; i++) {
        FILE *file = fopen(torture->bridges[i].bridge.log, "re");
        while (file != NULL && fgets(line, sizeof line, file) != NULL) {
            count += strstr(line, wanted) != NULL;
        }
        if (file != NULL) {
            fclose(file);
        }
    }
    return count;
}

static int setting_changes(const struct torture *torture)
{
    int count = 0;
    for (int i = 0; i < BRIDGE_SETTING_COUNT; i++) {
        count += changes_of(torture, (enum bridge_setting)i);
    }
    return count;
}

static void report_commands(const struct torture *torture)
{
    const struct check *check = &torture->check;
    long long kinds[PLAN_KIND_COUNT] = {0};
    long long alerts = 0;
    for (uint32_t i = 0; i < torture->plan.count; i++) {
        kinds[torture->plan.items[i].kind]++;
        alerts += torture->plan.items[i].element_count > 0;
    }
    line("commands", torture->plan.count);
    line("  new", kinds[PLAN_NEW]);
    line("  of these in messages of alerts", alerts);
    line("  duplicates", kinds[PLAN_DUPLICATE]);
    line("  mismatches", kinds[PLAN_MISMATCH]);
    line("  invalid", kinds[PLAN_INVALID]);
    line("  sent again at the end", kinds[PLAN_ASK]);
    line("acknowledged to their senders", check->accepted_count);
    line("arrivals at the bridge", (long long)torture->tap->delivered_count);
    line("replies and dead letters", (long long)torture->record.reply_count);
    line("  repeated, same bytes", (long long)torture->record.repeated_count);
    line("  succeeded", check->succeeded_count);
    line("  of these stops", check->stopped_count);
    line("  of these coalesced", check->coalesced_count);
    line("  failed", check->failed_count);
    line("  unknown", check->unknown_count);
    line("  refused", check->refused_count);
    line("  dead letters", check->dead_letter_count);
    line("  replayed (of all)", check->replayed_count);
    line("status messages with counts", torture->witness.counts_count);
    line("API calls", torture->api.calls);
    line("  effects", torture->api.effects);
}

static void report_faults(const struct torture *torture)
{
    const int *broker = torture->broker.counts;
    line("bridge killed", bridge_kills(torture));
    line("  just after it acknowledged a command", count_harm(torture, BRIDGE_KILL_TAKEN));
    line("  just after it sent an answer", count_harm(torture, BRIDGE_KILL_ANSWERED));
    line("  a receiver killed", count_harm(torture, BRIDGE_KILL_RECEIVER));
    line("  the publisher killed", count_harm(torture, BRIDGE_KILL_PUBLISHER));
    line("  stopped and started", count_harm(torture, BRIDGE_STOP));
    for (int i = 0; i < BRIDGE_SETTING_COUNT; i++) {
        char name[64];
        snprintf(name, sizeof name, "  started with other %s",
                 bridge_keeper_setting_name((enum bridge_setting)i));
        line(name, changes_of(torture, (enum bridge_setting)i));
    }
    line("log not read", torture->bridges[0].log_reader.stall_count);
    line("  until the pipe was full", torture->bridges[0].log_reader.full_count);
    line("broker killed", broker_kills(torture));
    line("  after a save", broker[BROKER_KILL_SAVED]);
    line("  unsaved", broker[BROKER_KILL_UNSAVED]);
    line("  unsaved, database removed", broker[BROKER_KILL_EMPTIED]);
    line("  stopped and started", broker[BROKER_STOP]);
    line("  refused some replies, times", torture->broker.refusal_count);
    line("  refused replies", torture->tap->refused_count);
    for (int i = 0; i < PROXY_FAULT_COUNT; i++) {
        char name[64];
        snprintf(name, sizeof name, "network: %s", chaos_network_name((enum proxy_verb)i));
        line(name, torture->chaos.network_counts[i]);
    }
    line("API faults", torture->chaos.api_count);
    line("  changed states of groups", torture->chaos.state_count);
    line("  second answers on idle connections", torture->tap->strays.passed);
}

static void report_store(const struct torture *torture)
{
    static const char *const names[STORE_HARM_COUNT] = {
        "restarted",       "stopped without order",
        "killed",          "killed, the standby took over",
        "  and came back", "killed, the standby lacked commits",
        "standby killed",  "file system full"};
    const struct store_findings *findings = &torture->findings;
    int pauses = 0;
    int long_pauses = 0;
    int expelled = 0;
    for (int i = 0; i < torture->options.bridges; i++) {
        pauses += torture->bridges[i].pause_count;
        long_pauses += torture->bridges[i].long_pause_count;
        expelled += torture->bridges[i].expelled_count;
    }
    line("bridges", torture->options.bridges);
    line("bridge paused", pauses);
    line("  longer than the lease", long_pauses);
    line("  ended because others had taken over", expelled);
    for (int i = 0; i < STORE_HARM_COUNT; i++) {
        char name[64];
        snprintf(name, sizeof name, "database: %s", names[i]);
        line(name, torture->store.counts[i]);
    }
    line("  connections to those that came back", torture->store.returned_asked);
    line("connections to it cut, times", torture->chaos.store_cut_count);
    line("sessions of absent bridges adopted", count_event(torture, "session_adopted"));
    line("  left to a bridge that came back", count_event(torture, "session_abandoned"));
    line("runs removed from the ledger", findings->removed_count);
    line("commands taken over", findings->adopted_count);
    line("absences that ended in a take-over", findings->take_over_count);
    line("  longest time to it, ms", findings->take_over_ms);
    line("  longest time to its last command, ms", findings->adopted_last_ms);
    line("lost by the database: writes", (long long)torture->store.losses.write_count);
    line("  commands without an answer", torture->check.store_lost_commands);
    line("  more answers than arrivals", torture->check.store_lost_answers);
    line("  effects that no outcome tells", torture->check.store_lost_effects);
    line("  calls beside another of the group", torture->check.store_lost_overlaps);
    line("  histories without a beginning", torture->check.store_lost_histories);
    line("  watches with other events", torture->check.store_lost_watches);
    line("  reports of it by bridges", torture->loss_reports);
    line("  by a bridge that ran none", torture->losses_not_reported);
    line("calls beside one of a paused bridge", torture->check.paused_overlaps);
}

static void report_results(const struct torture *torture)
{
    const struct check *check = &torture->check;
    line("commands lost by the killed broker", check->broker_lost_commands);
    line("  in the removed database", check->broker_lost_saved);
    line("  delivered to the bridge", check->broker_lost_delivered);
    line("  longest time acknowledged, ms", check->broker_lost_wait_ms);
    line("replies lost by the killed broker", check->broker_lost_replies);
    line("  longest time acknowledged, ms", check->broker_lost_reply_wait_ms);
    line("both sent again", torture->asked_lost_count);
    line("watched commands", check->watch_count);
    line("  superseded", check->watch_superseded_count);
    line("  ended, superseded ones included", check->watch_final_count);
    line("  still watched", check->watch_going_on_count);
    line("  two of one token in a second", check->watch_same_second_count);
    line("  events", check->event_count);
    line("  events sent again, same bytes", check->event_repeated_count);
    line("  events that overtook another bridge's", check->event_overtaken_count);
    line("  events before the end of the last watch", check->watch_early_count);
    line("unknown, sent again and resolved", torture->asked_open_count);
    line("failed, sent again, then done", check->late_effects);
    line("without a token, delivered twice, done twice", check->anonymous_twice);
    for (int i = 0; i < VIOLATION_COUNT; i++) {
        char name[64];
        snprintf(name, sizeof name, "VIOLATIONS: %s", violation_name((enum violation)i));
        line(name, violation_count((enum violation)i));
    }
}

/* Prints the run as one row, for a table of runs. */
static void report_row(const struct torture *torture)
{
    const struct check *check = &torture->check;
    printf("| seed | transport | minutes | commands | bridge kills | other settings | broker kills "
           "| lost | doubled "
           "| wrong | lie "
           "| overlap | process | counters | ledger | stale | watch | excused commands | excused "
           "replies |\n"
           "| %llu | %s | %.1f | %u | %d | %d | %d |",
           (unsigned long long)torture->options.seed, transport_name(torture->options.transport),
           (double)torture->storm_ms / 60000, torture->plan.count, bridge_kills(torture),
           setting_changes(torture), broker_kills(torture));
    for (int i = 0; i < VIOLATION_COUNT; i++) {
        printf(" %d |", violation_count((enum violation)i));
    }
    printf(" %lld | %lld |\n", (long long)check->broker_lost_commands,
           (long long)check->broker_lost_replies);
}

void torture_report(const struct torture *torture)
{
    printf("seed %llu, %s, %.1f minutes, %.1f commands/s, bridge: %s %s\n",
           (unsigned long long)torture->options.seed, transport_name(torture->options.transport),
           (double)torture->storm_ms / 60000,
           (double)torture->plan.count * 1000 / (double)torture->storm_ms, torture->settings,
           torture->route_settings);
    printf("API: looks at %s first, remembers tokens %s\n",
           torture->is_state_first ? "the state" : "the token",
           torture->token_ttl_s > 0 ? "for a minute" : "for ever");
    printf("broker: %s at a reply that it refuses\n",
           torture->closes_at_refusals ? "closes the connection" : "keeps the connection");
    if (torture->coalesce_s >= 0) {
        printf("messages of alerts: coalesce_s = %d\n", torture->coalesce_s);
    }
    report_commands(torture);
    report_faults(torture);
    if (torture->options.is_shared) {
        report_store(torture);
    }
    report_results(torture);
    if (torture->api.rows_missed > 0) {
        printf("  %lld API requests were not seen one by one\n",
               (long long)torture->api.rows_missed);
    }
    report_row(torture);
}
