#include "base/crash_point.h"

#ifdef BRIDGE_CRASH_POINTS

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#define COUNT_MAX 1000000

static const char *const names[CRASH_POINT_COUNT] = {
#define CRASH_POINT(id, name, meaning) [CRASH_##id] = (name),
#include "tables/crash_points.def"
#undef CRASH_POINT
};

/* The variable, as read by crash_point_setup(). */
static struct {
    bool is_set;
    enum crash_point point;
    bool kills_bridge;
    bool is_kept;      /* also for restarted processes */
    struct slice text; /* absent: whatever the data */
    _Atomic long left; /* how often the point is still to be reached */
} request;

/* Whether the text begins with the word; if so, moves behind it. */
static bool take_word(const char **text, const char *word)
{
    size_t length = strlen(word);
    bool is_there = strncmp(*text, word, length) == 0;
    *text += is_there ? length : 0;
    return is_there;
}

static bool parse(const char *text)
{
    size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyz_");
    size_t point = 0;
    long count = 1;
    while (point < CRASH_POINT_COUNT &&
           (strlen(names[point]) != length || strncmp(names[point], text, length) != 0)) {
        point++;
    }
    if (point == CRASH_POINT_COUNT) {
        return false;
    }
    text += length;
    if (take_word(&text, ":")) {
        char *end = NULL;
        count = strtol(text, &end, 10);
        text = end;
    }
    request.point = (enum crash_point)point;
    request.left = count;
    request.kills_bridge = take_word(&text, "+bridge");
    request.is_kept = take_word(&text, "+always");
    request.text = take_word(&text, "/") ? slice_text(text) : (struct slice){0};
    bool is_ended = slice_is_present(request.text) ? request.text.length > 0 : *text == '\0';
    return is_ended && count >= 1 && count <= COUNT_MAX;
}

enum status crash_point_setup(bool is_child, struct buf *out_why)
{
    const char *value = getenv(CRASH_POINT_VARIABLE);
    request.is_set = value != NULL && parse(value);
    request.kills_bridge = request.kills_bridge && is_child;
    if (value == NULL || request.is_set) {
        return STATUS_OK;
    }
    buf_printf(out_why,
               CRASH_POINT_VARIABLE "=%s is not POINT[:COUNT][+bridge][+always][/TEXT] with one of",
               value);
    for (size_t i = 0; i < CRASH_POINT_COUNT; i++) {
        buf_printf(out_why, " %s", names[i]);
    }
    return STATUS_INVALID;
}

bool crash_point_is_set(enum crash_point point)
{
    return request.is_set && request.point == point;
}

void crash_point_pass(enum crash_point point, struct slice data)
{
    if (!crash_point_is_set(point)) {
        return;
    }
    bool has_text = !slice_is_present(request.text) ||
                    (slice_is_present(data) && memmem(data.data, data.length, request.text.data,
                                                      request.text.length) != NULL);
    if (!has_text || atomic_fetch_sub(&request.left, 1) != 1) {
        return;
    }
    if (request.kills_bridge) {
        kill(getppid(), SIGKILL);
    }
    kill(getpid(), SIGKILL);
}

void crash_point_forget(char **environment)
{
    for (; *environment != NULL && !request.is_kept; environment++) {
        const char *entry = *environment;
        if (take_word(&entry, CRASH_POINT_VARIABLE "=")) {
            free(*environment);
            *environment = NULL; /* the variable is the last entry */
            return;
        }
    }
}

#endif
