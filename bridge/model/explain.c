#include "model/explain.h"

#include "base/json.h"
#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *state;
    enum group_change change;
    const char *hint;
} hints[] = {
#define GROUP_HINT(state, change, hint) {#state, CHANGE_##change, hint},
#include "tables/group_hints.def"
};

/* ---- conclusions ---- */

/* Where a recovery point is, compared with the first call. */
enum point { POINT_ANY, POINT_SINCE, POINT_BEFORE };

/* clang-format off */
static const struct {
    enum group_change change;
    const char *status;
    enum point point;
    enum conclusion conclusion;
} conclusions[] = {
    {CHANGE_START,    "initial_syncing", POINT_ANY,    CONCLUSION_REPLICATING},
    {CHANGE_START,    "syncing",         POINT_ANY,    CONCLUSION_REPLICATING},
    {CHANGE_START,    "normal",          POINT_ANY,    CONCLUSION_REPLICATING},
    {CHANGE_ONE_SHOT, "manual_syncing",  POINT_ANY,    CONCLUSION_SYNCHRONISED_SINCE},
    {CHANGE_ONE_SHOT, "stopped",         POINT_SINCE,  CONCLUSION_SYNCHRONISED_SINCE},
    {CHANGE_START,    "stopped",         POINT_BEFORE, CONCLUSION_NOT_SEEN},
    {CHANGE_ONE_SHOT, "stopped",         POINT_BEFORE, CONCLUSION_NOT_SEEN},
    {CHANGE_START,    "created",         POINT_BEFORE, CONCLUSION_NOT_SEEN},
    {CHANGE_ONE_SHOT, "created",         POINT_BEFORE, CONCLUSION_NOT_SEEN},
};
/* clang-format on */

const char *conclusion_text(enum conclusion conclusion)
{
    static const char *const texts[] = {
        [CONCLUSION_UNDECIDED] = "undecided",
        [CONCLUSION_REPLICATING] = "replicating",
        [CONCLUSION_SYNCHRONISED_SINCE] = "synchronised_since",
        [CONCLUSION_NOT_SEEN] = "not_seen",
    };
    return texts[conclusion];
}

enum conclusion explain_conclude(enum group_change change, int64_t sent_at_ms,
                                 const struct group_view *view)
{
    if (view == NULL) {
        return CONCLUSION_UNDECIDED;
    }
    /* A group without a recovery point has none since the call. */
    enum point point = view->recover_point_s * 1000 >= sent_at_ms ? POINT_SINCE : POINT_BEFORE;
    for (size_t i = 0; i < sizeof conclusions / sizeof conclusions[0]; i++) {
        if (conclusions[i].change == change && strcmp(conclusions[i].status, view->status) == 0 &&
            (conclusions[i].point == POINT_ANY || conclusions[i].point == point)) {
            return conclusions[i].conclusion;
        }
    }
    return CONCLUSION_UNDECIDED;
}

/* ---- outcomes ---- */

enum group_change explain_change(const struct command *command)
{
    if (command->action->effect == EFFECT_STOP) {
        return CHANGE_STOP;
    }
    assert(command->action->effect == EFFECT_START);
    return action_params_have(slice_text(command->params), "OneShot") ? CHANGE_ONE_SHOT
                                                                      : CHANGE_START;
}

bool explain_is_state_refusal(const struct outcome *outcome)
{
    return outcome->status == OUTCOME_FAILED && !outcome->is_from_bridge &&
           strcmp(outcome->code, "OperationDenied.InvalidStatus") == 0;
}

static const char *find_hint(const char *status, enum group_change change)
{
    for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++) {
        if (hints[i].change == change && strcmp(hints[i].state, status) == 0) {
            return hints[i].hint;
        }
    }
    return NULL;
}

void explain_refusal(const struct command *command, const struct group_observation *seen,
                     struct outcome *outcome)
{
    static const char *const names[GROUP_CHANGE_COUNT] = {
        [CHANGE_START] = "a start with OneShot false",
        [CHANGE_ONE_SHOT] = "a start with OneShot true",
        [CHANGE_STOP] = "a stop",
    };
    enum group_change change = explain_change(command);
    const char *status = seen->view.status;
    const char *hint = find_hint(status, change);
    struct buf text = {0};
    buf_printf(&text, "The group was found in the state %s", status);
    if (hint != NULL) {
        buf_printf(&text, ". %s", hint);
    } else {
        buf_printf(&text, "; %s is possible in the states ", names[change]);
        group_put_states(change, &text);
        buf_append_char(&text, '.');
    }
    free(outcome->own_hint);
    free(outcome->group_status);
    outcome->own_hint = buf_take(&text);
    outcome->group_status = mem_strdup(status);
    outcome->observed_at_ms = seen->at_ms;
}

void explain_unknown(const struct command *command, int64_t sent_at_ms,
                     const struct group_observation *seen, struct outcome *outcome)
{
    const struct group_view *view = seen == NULL ? NULL : &seen->view;
    struct buf object = {0};
    json_put_open(&object, '{');
    if (seen != NULL) {
        json_put_text(&object, "GroupStatus", slice_text(view->status));
        json_put_time_if(&object, "LastRecoverPoint", view->recover_point_s * 1000);
        json_put_time(&object, "ObservedAt", seen->at_ms);
    }
    json_put_text(
        &object, "Conclusion",
        slice_text(conclusion_text(explain_conclude(explain_change(command), sent_at_ms, view))));
    json_put_close(&object, '}');
    free(outcome->observed);
    outcome->observed = buf_take(&object);
}

int64_t explain_cooldown_ms(int64_t rpo_s, int64_t last_ms, int64_t now_ms)
{
    int64_t whole_ms = rpo_s * 1000 / 2;
    int64_t rest_ms = last_ms + whole_ms - now_ms;
    return last_ms > 0 && rest_ms > 0 && rest_ms < whole_ms ? rest_ms : whole_ms;
}
