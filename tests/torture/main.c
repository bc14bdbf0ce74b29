/* torture --seconds N: one run, with more options; exit code 1 if a promise was broken. */
#include "torture.h"

#include "check_watch.h"
#include "flow_check.h"
#include "violation.h"

#include <ftw.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

enum { RATE_PER_S = 75 };

static struct torture torture;

/* Replaces the function of the flow tests: nothing runs under cmocka here. */
_Noreturn void flow_fail(const char *format, ...)
{
    va_list arguments;
    fprintf(stderr, "torture: seed %llu: ", (unsigned long long)torture.options.seed);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\nkept: %s\n", torture.directory);
    exit(EX_SOFTWARE);
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
    (void)info;
    (void)kind;
    (void)walk;
    return remove(path);
}

static _Noreturn void end_with_usage(int code)
{
    fprintf(code == EX_OK ? stdout : stderr,
            "usage: torture --seconds N [--seed S] [--rate COMMANDS_PER_S] "
            "[--transport mqtt|mqtts|ws|wss] [--store sqlite|postgresql] [--bridges N] "
            "[--pgbouncer] [--api LIST] [--without LIST] [--alerts] [--keep]\n"
            "  --bridges N     up to %d, with --store postgresql\n"
            "  --pgbouncer     between the bridges and the database, in session mode\n"
            "  --api LIST      none, or of: state-first, forgets; otherwise the seed chooses\n"
            "  --alerts        messages that bring several commands, some of them coalesced\n"
            "  --without LIST  of: settings, refusals, log, strays, kills, brokers, watch; with "
            "PostgreSQL "
            "of:\n"
            "                  pauses, servers, cuts, fail-overs, returns, losses, full\n",
            TAP_BRIDGES_MAX);
    exit(code);
}

/* A word of a list with commas, and its bit. */
struct word {
    const char *text;
    unsigned bit;
};

/* The bits of the words in the list; ends the program at another word. */
static unsigned read_list(char *list, const struct word *words, size_t count)
{
    unsigned bits = 0;
    char *rest = NULL;
    for (char *text = strtok_r(list, ",", &rest); text != NULL; text = strtok_r(NULL, ",", &rest)) {
        size_t i = 0;
        while (i < count && strcmp(words[i].text, text) != 0) {
            i++;
        }
        if (i == count) {
            end_with_usage(EX_USAGE);
        }
        bits |= words[i].bit;
    }
    return bits;
}

static void read_manners(struct torture_options *options, char *list)
{
    static const struct word words[] = {{"none", 0}, {"state-first", 1}, {"forgets", 2}};
    unsigned bits = read_list(list, words, sizeof words / sizeof words[0]);
    options->has_manners = true;
    options->is_state_first = (bits & 1) != 0;
    options->forgets = (bits & 2) != 0;
}

static unsigned read_parts(char *list)
{
    static const struct word words[] = {
        {"settings", CHAOS_SETTINGS}, {"refusals", CHAOS_REFUSALS},     {"log", CHAOS_LOG_STALLS},
        {"strays", CHAOS_STRAYS},     {"pauses", CHAOS_PAUSES},         {"servers", CHAOS_SERVERS},
        {"cuts", CHAOS_CUTS},         {"fail-overs", CHAOS_FAIL_OVERS}, {"returns", CHAOS_RETURNS},
        {"full", CHAOS_FULL},         {"kills", CHAOS_KILLS},           {"brokers", CHAOS_BROKERS},
        {"watch", CHAOS_WATCH},       {"losses", CHAOS_LOSSES}};
    return CHAOS_ALL & ~read_list(list, words, sizeof words / sizeof words[0]);
}

static void read_option(struct torture_options *options, int code)
{
    switch (code) {
    case 's':
        options->seed = strtoull(optarg, NULL, 10);
        break;
    case 'n':
        options->duration_s = atoi(optarg);
        break;
    case 'r':
        options->rate_per_s = atoi(optarg);
        break;
    case 't':
        options->transport = transport_of(optarg);
        if (options->transport == TRANSPORT_COUNT) {
            end_with_usage(EX_USAGE);
        }
        break;
    case 'a':
        read_manners(options, optarg);
        break;
    case 'w':
        options->parts = read_parts(optarg);
        break;
    case 'b':
        options->bridges = atoi(optarg);
        break;
    case 'd':
        options->is_shared = strcmp(optarg, "postgresql") == 0;
        if (!options->is_shared && strcmp(optarg, "sqlite") != 0) {
            end_with_usage(EX_USAGE);
        }
        break;
    case 'p':
        options->has_bouncers = true;
        break;
    case 'l':
        options->has_alerts = true;
        break;
    case 'k':
        options->keeps_directory = true;
        break;
    default:
        end_with_usage(code == 'h' ? EX_OK : EX_USAGE);
    }
}

static struct torture_options read_options(int argc, char **argv)
{
    static const struct option options[] = {{"seed", required_argument, NULL, 's'},
                                            {"seconds", required_argument, NULL, 'n'},
                                            {"rate", required_argument, NULL, 'r'},
                                            {"keep", no_argument, NULL, 'k'},
                                            {"transport", required_argument, NULL, 't'},
                                            {"api", required_argument, NULL, 'a'},
                                            {"without", required_argument, NULL, 'w'},
                                            {"bridges", required_argument, NULL, 'b'},
                                            {"store", required_argument, NULL, 'd'},
                                            {"pgbouncer", no_argument, NULL, 'p'},
                                            {"alerts", no_argument, NULL, 'l'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct torture_options result = {.seed = (uint64_t)time(NULL),
                                     .rate_per_s = RATE_PER_S,
                                     .transport = TRANSPORT_COUNT,
                                     .bridges = 1,
                                     .parts = CHAOS_ALL};
    int code = 0;
    while ((code = getopt_long(argc, argv, "", options, NULL)) != -1) {
        read_option(&result, code);
    }
    if (result.duration_s < 1 || result.duration_s > 86400 || result.rate_per_s < 1 ||
        result.rate_per_s > 1000 || result.bridges < 1 || result.bridges > TAP_BRIDGES_MAX ||
        ((result.bridges > 1 || result.has_bouncers) && !result.is_shared) || optind != argc) {
        end_with_usage(EX_USAGE);
    }
    return result;
}

int main(int argc, char **argv)
{
    struct torture_options options = read_options(argc, argv);
    printf("torture: seed %llu, %d s\n", (unsigned long long)options.seed, options.duration_s);
    fflush(stdout);
    torture_begin(&torture, &options);
    torture_storm(&torture);
    torture_calm(&torture);
    torture_ask(&torture);
    check_all(&torture.check);
    if (torture.watches[0] != NULL) {
        check_watches(&torture.check, torture.watches);
    }
    torture_report(&torture);
    bool is_broken = violation_total() > 0;
    torture_end(&torture);
    if (is_broken || options.keeps_directory) {
        printf("kept: %s\n", torture.directory);
    } else {
        nftw(torture.directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    }
    return is_broken ? 1 : 0;
}
