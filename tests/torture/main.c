/* torture --seed S --seconds N [--rate N] [--transport T] [--keep]: one run; exit code 1 if a
 * promise was broken.
 */
#include "torture.h"

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
            "[--transport mqtt|mqtts|ws|wss] [--keep]\n");
    exit(code);
}

static struct torture_options read_options(int argc, char **argv)
{
    static const struct option options[] = {{"seed", required_argument, NULL, 's'},
                                            {"seconds", required_argument, NULL, 'n'},
                                            {"rate", required_argument, NULL, 'r'},
                                            {"keep", no_argument, NULL, 'k'},
                                            {"transport", required_argument, NULL, 't'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct torture_options result = {
        .seed = (uint64_t)time(NULL), .rate_per_s = RATE_PER_S, .transport = TRANSPORT_COUNT};
    int code = 0;
    while ((code = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (code) {
        case 's':
            result.seed = strtoull(optarg, NULL, 10);
            break;
        case 'n':
            result.duration_s = atoi(optarg);
            break;
        case 'r':
            result.rate_per_s = atoi(optarg);
            break;
        case 't':
            result.transport = transport_of(optarg);
            if (result.transport == TRANSPORT_COUNT) {
                end_with_usage(EX_USAGE);
            }
            break;
        case 'k':
            result.keeps_directory = true;
            break;
        default:
            end_with_usage(code == 'h' ? EX_OK : EX_USAGE);
        }
    }
    if (result.duration_s < 1 || result.duration_s > 86400 || result.rate_per_s < 1 ||
        result.rate_per_s > 1000 || optind != argc) {
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
