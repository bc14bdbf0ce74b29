/* Reading the command line. */
#include "options.h"

#include "base.h"
#include "groups.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

static const char usage[] =
    "usage: ecs-simulator --access-key ID:SECRET [options]\n"
    "\n"
    "A stand-in for the API that serves StartDiskReplicaGroup, over plain HTTP.\n"
    "\n"
    "  --listen HOST:PORT         where to listen (127.0.0.1:0; port 0 takes a free one)\n"
    "  --port-file FILE           write the port here once listening\n"
    "  --access-key ID:SECRET     a key that may sign requests; repeatable\n"
    "  --security-token TOKEN     makes the last --access-key one of a session\n"
    "  --group REGION/ID[=STATE]  a replication group (created); repeatable\n"
    "  --auto-create              create unknown groups at their first use\n"
    "  --rpo SECONDS              recovery point objective of the groups (900)\n"
    "  --sync-ms MS               how long a synchronization takes (600000; 0 with --fast)\n"
    "  --stop-ms MS               how long a stop takes (0)\n"
    "  --recover-late-ms MS       how long a new recovery point is not shown yet (0)\n"
    "  --pairs NUMBER             pairs in each group, 1 to 17 (2)\n"
    "  --secondary REGION         where the backup sites of all groups are (cn-shanghai)\n"
    "  --quirk NAME               a peculiarity of lists, see README.md; repeatable\n"
    "  --token-ttl SECONDS        how long a ClientToken is remembered (for ever)\n"
    "  --state-first              look at a group's state before the ClientToken\n"
    "  --clock TIME               let the server's clock start at yyyy-MM-ddTHH:mm:ssZ\n"
    "  --clock-offset SECONDS     let the server's clock be ahead of the machine's\n"
    "  --fast                     for load tests: synchronizations end at once, no log\n"
    "  --quiet                    no line for each request on stderr\n"
    "  --help                     show this\n";

enum option_code {
    OPTION_LISTEN = 1,
    OPTION_PORT_FILE,
    OPTION_ACCESS_KEY,
    OPTION_SECURITY_TOKEN,
    OPTION_GROUP,
    OPTION_AUTO_CREATE,
    OPTION_RPO,
    OPTION_SYNC_MS,
    OPTION_STOP_MS,
    OPTION_RECOVER_LATE_MS,
    OPTION_PAIRS,
    OPTION_SECONDARY,
    OPTION_QUIRK,
    OPTION_TOKEN_TTL,
    OPTION_STATE_FIRST,
    OPTION_CLOCK,
    OPTION_CLOCK_OFFSET,
    OPTION_FAST,
    OPTION_QUIET,
    OPTION_HELP,
};

static const struct option long_options[] = {
    {"listen", required_argument, NULL, OPTION_LISTEN},
    {"port-file", required_argument, NULL, OPTION_PORT_FILE},
    {"access-key", required_argument, NULL, OPTION_ACCESS_KEY},
    {"security-token", required_argument, NULL, OPTION_SECURITY_TOKEN},
    {"group", required_argument, NULL, OPTION_GROUP},
    {"auto-create", no_argument, NULL, OPTION_AUTO_CREATE},
    {"rpo", required_argument, NULL, OPTION_RPO},
    {"sync-ms", required_argument, NULL, OPTION_SYNC_MS},
    {"stop-ms", required_argument, NULL, OPTION_STOP_MS},
    {"recover-late-ms", required_argument, NULL, OPTION_RECOVER_LATE_MS},
    {"pairs", required_argument, NULL, OPTION_PAIRS},
    {"secondary", required_argument, NULL, OPTION_SECONDARY},
    {"quirk", required_argument, NULL, OPTION_QUIRK},
    {"token-ttl", required_argument, NULL, OPTION_TOKEN_TTL},
    {"state-first", no_argument, NULL, OPTION_STATE_FIRST},
    {"clock", required_argument, NULL, OPTION_CLOCK},
    {"clock-offset", required_argument, NULL, OPTION_CLOCK_OFFSET},
    {"fast", no_argument, NULL, OPTION_FAST},
    {"quiet", no_argument, NULL, OPTION_QUIET},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

bool options_split_group(const char *text, char *region, char *id, char *state)
{
    const char *slash = strchr(text, '/');
    const char *equals = slash ? strrchr(slash, '=') : NULL;
    if (!slash || slash == text || (size_t)(slash - text) >= REGION_BYTES) {
        return false;
    }
    size_t id_length = equals ? (size_t)(equals - slash - 1) : strlen(slash + 1);
    if (id_length == 0 || id_length >= GROUP_ID_BYTES) {
        return false;
    }
    base_fill(region, (size_t)(slash - text) + 1, text);
    base_fill(id, id_length + 1, slash + 1);
    base_fill(state, 32, equals ? equals + 1 : "");
    return !state[0] || group_state_find(state);
}

bool options_key_state(const char *name, enum key_state *out_state)
{
    static const char *const names[] = {"active", "inactive", "disabled", "expired"};
    for (int i = 0; i < 4; i++) {
        if (strcmp(names[i], name) == 0) {
            *out_state = (enum key_state)i;
            return true;
        }
    }
    return false;
}

static bool read_listen(struct options *options, const char *text)
{
    const char *colon = strrchr(text, ':');
    int64_t port = 0;
    if (!colon || !base_parse_integer(colon + 1, 0, 65535, &port)) {
        return false;
    }
    size_t length = (size_t)(colon - text);
    if (length > 2 && text[0] == '[' && colon[-1] == ']') {
        text++;
        length -= 2;
    }
    if (length == 0 || length >= sizeof options->host) {
        return false;
    }
    base_fill(options->host, length + 1, text);
    base_fill(options->port, sizeof options->port, colon + 1);
    return true;
}

static bool read_access_key(struct options *options, const char *text)
{
    const char *colon = strchr(text, ':');
    if (!colon || colon == text || !colon[1] || options->key_count == ACCESS_KEY_LIMIT) {
        return false;
    }
    struct access_key *key = &options->keys[options->key_count];
    size_t length = (size_t)(colon - text);
    if (length >= sizeof key->id || strlen(colon + 1) >= sizeof key->secret) {
        return false;
    }
    base_fill(key->id, length + 1, text);
    base_fill(key->secret, sizeof key->secret, colon + 1);
    options->key_count++;
    return true;
}

static bool read_security_token(struct options *options, const char *text)
{
    if (options->key_count == 0) {
        return false;
    }
    struct access_key *key = &options->keys[options->key_count - 1];
    base_fill(key->security_token, sizeof key->security_token, text);
    return strlen(text) < sizeof key->security_token;
}

static bool read_group(struct options *options, const char *text)
{
    char region[REGION_BYTES];
    char id[GROUP_ID_BYTES];
    char state[32];
    if (options->group_count == GROUP_OPTION_LIMIT ||
        !options_split_group(text, region, id, state)) {
        return false;
    }
    options->groups[options->group_count++] = text;
    return true;
}

static bool read_seconds(const char *text, int64_t *out_ms)
{
    char *end = NULL;
    double seconds = strtod(text, &end);
    if (end == text || *end || !(seconds >= -1e9 && seconds <= 1e9)) {
        return false;
    }
    *out_ms = (int64_t)(seconds * 1000);
    return true;
}

static bool read_clock(struct options *options, const char *text)
{
    int64_t start_s = 0;
    if (!base_parse_time(text, &start_s)) {
        return false;
    }
    options->clock_offset_ms = start_s * 1000 - base_wall_ms();
    return true;
}

static bool read_option(struct options *options, int code, const char *value)
{
    switch (code) {
    case OPTION_LISTEN:
        return read_listen(options, value);
    case OPTION_PORT_FILE:
        options->port_file = value;
        return true;
    case OPTION_ACCESS_KEY:
        return read_access_key(options, value);
    case OPTION_SECURITY_TOKEN:
        return read_security_token(options, value);
    case OPTION_GROUP:
        return read_group(options, value);
    case OPTION_AUTO_CREATE:
        options->is_auto_create = true;
        return true;
    case OPTION_RPO:
        return read_seconds(value, &options->rpo_ms) && options->rpo_ms >= 0;
    case OPTION_SYNC_MS:
        return base_parse_integer(value, 0, INT64_C(1) << 40, &options->sync_ms);
    case OPTION_STOP_MS:
        return base_parse_integer(value, 0, INT64_C(1) << 40, &options->stop_ms);
    case OPTION_RECOVER_LATE_MS:
        return base_parse_integer(value, 0, INT64_C(1) << 40, &options->recover_late_ms);
    case OPTION_PAIRS:
        return base_parse_integer(value, 1, PAIR_LIMIT, &options->pair_count);
    case OPTION_SECONDARY:
        base_fill(options->secondary_region, sizeof options->secondary_region, value);
        return *value && strlen(value) < sizeof options->secondary_region;
    case OPTION_QUIRK:
        return listing_add_quirk(&options->listing, value);
    case OPTION_TOKEN_TTL:
        return base_parse_integer(value, -1, INT32_MAX, &options->token_ttl_s);
    case OPTION_STATE_FIRST:
        options->is_state_first = true;
        return true;
    case OPTION_CLOCK:
        return read_clock(options, value);
    case OPTION_CLOCK_OFFSET:
        return read_seconds(value, &options->clock_offset_ms);
    case OPTION_FAST:
        options->is_fast = true;
        options->is_quiet = true;
        return true;
    case OPTION_QUIET:
        options->is_quiet = true;
        return true;
    default:
        return false;
    }
}

static bool refuse(int *out_exit, const char *reason, const char *value)
{
    fprintf(stderr, "ecs-simulator: %s%s (see --help)\n", reason, value ? value : "");
    *out_exit = EX_USAGE;
    return false;
}

bool options_read(struct options *options, int argc, char **argv, int *out_exit)
{
    *options = (struct options){.host = "127.0.0.1",
                                .port = "0",
                                .rpo_ms = 900000,
                                .sync_ms = -1,
                                .pair_count = 2,
                                .secondary_region = "cn-shanghai",
                                .token_ttl_s = -1};
    int code = 0;
    while ((code = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (code == OPTION_HELP) {
            fputs(usage, stdout);
            *out_exit = EX_OK;
            return false;
        }
        if (code == '?') {
            *out_exit = EX_USAGE;
            return false;
        }
        if (!read_option(options, code, optarg)) {
            return refuse(out_exit, "not a usable value: ", optarg);
        }
    }
    if (optind < argc) {
        return refuse(out_exit, "unexpected argument: ", argv[optind]);
    }
    if (options->key_count == 0) {
        return refuse(out_exit, "--access-key is needed", NULL);
    }
    if (options->sync_ms < 0) {
        options->sync_ms = options->is_fast ? 0 : 600000;
    }
    return true;
}
