/* The tap's lines: "S CONNECTION ID TOPIC PAYLOAD" for an event that the bridge sends, "A
 * CONNECTION ID" for the broker's acknowledgement. */
#include "check_watch.h"

#include "answer.h"
#include "flow_message.h"
#include "violation.h"

#include <assert.h>
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define EVENTS "ecs-bridge/v1/events/"

enum { NAME_BYTES = 160 };

struct sent_event {
    char *payload; /* NULL: a later one has overtaken it, and it has not been sent so far */
    bool is_acked;
    unsigned connection; /* on which it was sent last */
};

/* A watch: of a command's token, and since when. A command that ended unknown and is sent again may
 * have a second watch after the end of the first. */
struct watch_track {
    UT_hash_handle hh;
    struct check *check;
    bool is_excused;           /* counted */
    struct sent_event *events; /* by Seq - 1 */
    size_t count;
    bool is_final;
    bool is_listed; /* it goes on at the end */
    size_t listed_seq;
    /* Another watch of the same token in the same second of the API's clock, which has no smaller
     * unit: the command ended unknown twice. */
    struct watch_track *next;
    char name[]; /* "StartedAt token" */
};

/* A token, or a topic. */
struct named {
    UT_hash_handle hh;
    struct watch_track *last; /* with a new event */
    int watches;              /* of a token */
    int runs;                 /* of a token: outcomes that begin a watch */
    char name[];
};

/* An event on its way to the broker. */
struct flight {
    UT_hash_handle hh;
    uint64_t key; /* connection and packet identifier */
    struct watch_track *track;
    size_t seq;
};

struct reading {
    struct check *check;
    struct watch_track *tracks;
    struct named *tokens; /* those that were watched */
    struct named *topics;
    struct flight *flights;
};

static struct named *get_named(struct named **table, const char *name)
{
    struct named *named = NULL;
    HASH_FIND_STR(*table, name, named);
    if (named == NULL) {
        named = calloc(1, sizeof *named + strlen(name) + 1);
        assert(named != NULL);
        strcpy(named->name, name);
        HASH_ADD_STR(*table, name, named);
    }
    return named;
}

/* Of an event or a row of the list. */
static struct watch_track *get_track(struct reading *reading, const cJSON *json)
{
    struct watch_track *track = NULL;
    char name[NAME_BYTES];
    const char *token = json_text(json, "ClientToken");
    struct named *named = get_named(&reading->tokens, token);
    snprintf(name, sizeof name, "%s %s", json_text(json, "StartedAt"), token);
    HASH_FIND_STR(reading->tracks, name, track);
    if (track == NULL) {
        track = calloc(1, sizeof *track + strlen(name) + 1);
        assert(track != NULL);
        strcpy(track->name, name);
        track->check = reading->check;
        HASH_ADD_STR(reading->tracks, name, track);
        named->watches++;
    }
    return track;
}

/* The event itself, or the place where it is missing. */
static bool has_event(const struct watch_track *track, size_t seq, const char *payload)
{
    const char *sent = seq > 0 && seq <= track->count ? track->events[seq - 1].payload : "";
    return sent == NULL || strcmp(sent, payload) == 0;
}

static struct watch_track *track_of_event(struct reading *reading, const cJSON *json, size_t seq,
                                          const char *payload)
{
    struct watch_track *track = get_track(reading, json);
    while (track->is_final && !has_event(track, seq, payload) &&
           (track->next != NULL || seq == 1)) {
        if (track->next == NULL) {
            track->next = calloc(1, sizeof *track + strlen(track->name) + 1);
            assert(track->next != NULL);
            strcpy(track->next->name, track->name);
            track->next->check = reading->check;
            get_named(&reading->tokens, json_text(json, "ClientToken"))->watches++;
            reading->check->watch_same_second_count++;
        }
        track = track->next;
    }
    return track;
}

/* Whether a fail-over has lost a step of its watch, or the outcome with which it began. */
static bool excuse(struct watch_track *track, const char *why)
{
    int64_t *count = &track->check->store_lost_watches;
    int64_t again = 0;
    bool is_excused = check_excuse_token(track->check, strchr(track->name, ' ') + 1,
                                         WRITE_WATCH | WRITE_OUTCOME | WRITE_CLAIM,
                                         track->is_excused ? &again : count, why);
    track->is_excused |= is_excused;
    return is_excused;
}

static void report(struct watch_track *track, const char *why, const char *payload)
{
    if (excuse(track, why)) {
        return;
    }
    const char *last = track->count == 0 ? NULL : track->events[track->count - 1].payload;
    violate(VIOLATION_WATCH, "watch '%s': %s: %s; the last new event: %s", track->name, why,
            payload, last == NULL ? "none" : last);
}

/* --- events --- */

/* With several bridges the end of a watch, and what the bridge that takes over a region reads, may
 * come before events that another bridge publishes later. */
static void check_order(struct reading *reading, struct watch_track *track, size_t seq,
                        unsigned connection, const char *payload)
{
    struct check *check = reading->check;
    const struct sent_event *before = seq < 2 ? NULL : &track->events[seq - 2];
    bool is_early = before != NULL && !before->is_acked;
    bool is_excused = is_early && check->bridge_count > 1 &&
                      (before->payload == NULL || before->connection != connection);
    check->event_overtaken_count += is_early && is_excused;
    if (is_early && !is_excused) {
        report(track, "sent before the event before it was acknowledged", payload);
    }
}

/* Several bridges: the one that makes the next call publishes the end, another one what follows. */
static void check_begin(struct reading *reading, struct watch_track *track, struct named *topic,
                        const char *payload)
{
    struct check *check = reading->check;
    bool is_early = topic->last != NULL && topic->last != track && !topic->last->is_final;
    check->watch_early_count += is_early && check->bridge_count > 1;
    if (is_early && check->bridge_count == 1) {
        report(topic->last, "no end before the first event of another watch", payload);
    }
    topic->last = track;
}

static void add_event(struct reading *reading, struct watch_track *track, struct named *topic,
                      const cJSON *json, size_t seq, unsigned connection, const char *payload)
{
    struct check *check = reading->check;
    bool is_superseded = strcmp(json_text(json, "Event"), "superseded") == 0;
    if (seq > track->count) {
        track->events = realloc(track->events, seq * sizeof track->events[0]);
        assert(track->events != NULL);
        memset(track->events + track->count, 0, (seq - track->count) * sizeof track->events[0]);
        check_begin(reading, track, topic, payload);
        if (track->is_final) {
            report(track, "an event after the final one", payload);
        }
        track->count = seq;
    }
    check_order(reading, track, seq, connection, payload);
    track->events[seq - 1].payload = strdup(payload);
    track->is_final = track->is_final || json_is_true(json, "Final");
    check->event_count++;
    check->watch_superseded_count += is_superseded;
    check->watch_final_count += json_is_true(json, "Final");
}

static void take_event(struct reading *reading, struct watch_track *track, struct named *topic,
                       const cJSON *json, size_t seq, unsigned connection, const char *payload)
{
    bool may_overtake = reading->check->bridge_count > 1;
    if (seq == 0 || (seq > track->count + 1 && !may_overtake)) {
        report(track, "a gap before this event", payload);
    } else if (seq > track->count || track->events[seq - 1].payload == NULL) {
        add_event(reading, track, topic, json, seq, connection, payload);
    } else if (!has_event(track, seq, payload)) {
        report(track, "another event with the same Seq", payload);
    } else {
        reading->check->event_repeated_count++;
    }
}

static void take_sent(struct reading *reading, uint64_t key, const char *topic, const char *payload)
{
    cJSON *json = cJSON_Parse(payload);
    size_t seq = (size_t)json_number(json, "Seq");
    struct watch_track *track = track_of_event(reading, json, seq, payload);
    char wanted[64];
    snprintf(wanted, sizeof wanted, EVENTS "%s", json_text(json, "ReplicaGroupId"));
    if (strcmp(topic, wanted) != 0) {
        report(track, "an event on another topic", payload);
    }
    unsigned connection = (unsigned)(key >> 16);
    take_event(reading, track, get_named(&reading->topics, topic), json, seq, connection, payload);
    if (seq > 0 && seq <= track->count) {
        track->events[seq - 1].connection = connection;
        struct flight *flight = NULL;
        HASH_FIND(hh, reading->flights, &key, sizeof key, flight);
        if (flight == NULL) {
            flight = calloc(1, sizeof *flight);
            assert(flight != NULL);
            flight->key = key;
            HASH_ADD(hh, reading->flights, key, sizeof key, flight);
        }
        flight->track = track;
        flight->seq = seq;
    }
    cJSON_Delete(json);
}

static void take_acked(struct reading *reading, uint64_t key)
{
    struct flight *flight = NULL;
    HASH_FIND(hh, reading->flights, &key, sizeof key, flight);
    if (flight != NULL) {
        flight->track->events[flight->seq - 1].is_acked = true;
        HASH_DEL(reading->flights, flight);
        free(flight);
    }
}

static void take_line(struct reading *reading, char *line)
{
    char kind = '\0';
    unsigned connection = 0;
    unsigned id = 0;
    int at = 0;
    line[strcspn(line, "\n")] = '\0';
    if (sscanf(line, "%c %u %u%n", &kind, &connection, &id, &at) < 3) {
        violate(VIOLATION_WATCH, "a line of the tap: %s", line);
        return;
    }
    uint64_t key = (uint64_t)connection << 16 | id;
    char *payload = line[at] == ' ' ? strchr(line + at + 1, ' ') : NULL;
    if (kind == 'S' && payload != NULL) {
        *payload++ = '\0';
        take_sent(reading, key, line + at + 1, payload);
    } else {
        take_acked(reading, key);
    }
}

static void read_events(struct reading *reading)
{
    FILE *file = fopen(reading->check->tap->events_path, "re");
    char *line = NULL;
    size_t size = 0;
    while (file != NULL && getline(&line, &size, file) > 0) {
        take_line(reading, line);
    }
    free(line);
    if (file != NULL) {
        fclose(file);
    }
}

/* --- the end of each watch --- */

static void read_list(struct reading *reading, const char *watches)
{
    cJSON *json = cJSON_Parse(watches);
    const cJSON *row = NULL;
    if (json == NULL) {
        violate(VIOLATION_PROCESS, "no list of watches: %s", watches);
    }
    cJSON_ArrayForEach(row, json_at(json, "Watches"))
    {
        struct watch_track *track = get_track(reading, row);
        while (track->next != NULL) {
            track = track->next;
        }
        track->is_listed = true;
        track->listed_seq = (size_t)json_number(row, "Seq");
        reading->check->watch_going_on_count++;
        if (track->listed_seq > track->count && !excuse(track, "fewer events than Seq")) {
            violate(VIOLATION_WATCH, "watch '%s' is at Seq %zu, but %zu events were sent",
                    track->name, track->listed_seq, track->count);
        }
    }
    cJSON_Delete(json);
}

/* What was sent after the list was read may still be in the outbox of the stopped bridge. */
static void check_end(struct watch_track *track)
{
    size_t count = track->is_listed ? track->listed_seq : track->count;
    for (size_t i = 0; i < count && i < track->count; i++) {
        if (track->events[i].payload == NULL) {
            report(track, "an event that was overtaken was never sent", "");
        } else if (!track->events[i].is_acked) {
            report(track, "never acknowledged by the broker", track->events[i].payload);
        }
    }
    if (!track->is_final && !track->is_listed) {
        report(track, "neither ended nor still going", "");
    }
}

/* Each command that ended `succeeded`, or `unknown` at some time, began a watch, or its watch went
 * on. */
static void check_begun(const struct reading *reading, const struct record_reply *reply)
{
    struct answer answer;
    answer_read(reply, &answer);
    struct named *token = NULL;
    HASH_FIND_STR(reading->tokens, answer.token, token);
    bool begins = answer_is(&answer, "succeeded") || answer_is(&answer, "unknown");
    if (begins && token != NULL && !answer.is_replayed) {
        token->runs++;
    } else if (begins && !json_is_true(answer.json, "Coalesced") && token == NULL &&
               !check_excuse_token(reading->check, answer.token,
                                   WRITE_WATCH | WRITE_OUTCOME | WRITE_CLAIM,
                                   &reading->check->store_lost_watches, "no watch")) {
        violate(VIOLATION_WATCH, "no watch of a command that ended %s: %s", answer.status,
                reply->body);
    }
    answer_fini(&answer);
}

static void check_count(struct check *check, const struct named *token)
{
    if (token->watches > token->runs && check->broker_lost_replies == 0 &&
        !check_excuse_token(check, token->name, WRITE_WATCH | WRITE_OUTCOME | WRITE_CLAIM,
                            &check->store_lost_watches, "more watches than outcomes")) {
        violate(VIOLATION_WATCH, "token '%s' has %d watches, but %d outcomes", token->name,
                token->watches, token->runs);
    }
}

static void free_table(struct named **table)
{
    struct named *named = NULL;
    struct named *next = NULL;
    HASH_ITER (hh, *table, named, next) {
        HASH_DEL(*table, named);
        free(named);
    }
}

static void free_track(struct watch_track *track)
{
    while (track != NULL) {
        struct watch_track *next = track->next;
        for (size_t i = 0; i < track->count; i++) {
            free(track->events[i].payload);
        }
        free(track->events);
        free(track);
        track = next;
    }
}

static void free_all(struct reading *reading)
{
    struct watch_track *track = NULL;
    struct watch_track *next = NULL;
    struct flight *flight = NULL;
    struct flight *next_flight = NULL;
    HASH_ITER (hh, reading->tracks, track, next) {
        HASH_DEL(reading->tracks, track);
        free_track(track);
    }
    HASH_ITER (hh, reading->flights, flight, next_flight) {
        HASH_DEL(reading->flights, flight);
        free(flight);
    }
    free_table(&reading->tokens);
    free_table(&reading->topics);
}

void check_watches(struct check *check, char *const *watches)
{
    struct reading reading = {.check = check};
    struct watch_track *track = NULL;
    struct watch_track *next = NULL;
    const struct named *token = NULL;
    const struct named *next_token = NULL;
    read_events(&reading);
    for (int i = 0; i < check->bridge_count; i++) {
        read_list(&reading, watches[i]);
    }
    HASH_ITER (hh, reading.tracks, track, next) {
        for (struct watch_track *one = track; one != NULL; one = one->next) {
            check_end(one);
            check->watch_count++;
        }
    }
    for (uint32_t number = 0; number < check->plan->count; number++) {
        const struct record_reply *reply = check->record->rows[number].replies;
        for (; reply != NULL; reply = reply->next) {
            check_begun(&reading, reply);
        }
    }
    HASH_ITER (hh, reading.tokens, token, next_token) {
        check_count(check, token);
    }
    free_all(&reading);
}
