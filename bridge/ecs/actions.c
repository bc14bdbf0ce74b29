#include "actions.h"

#include <assert.h>

size_t actions_list_parameters(const struct command *command, struct json **out_document,
                               struct sign_pair out[CALL_PARAMETERS_MAX])
{
    const struct action *action = command->action;
    const struct parameter *parameter;
    struct action_values values;
    size_t count = 0;
    if (action->token == TOKEN_SENT) {
        out[count++] = (struct sign_pair){"ClientToken", slice_text(command->token)};
    }
    out[count++] = (struct sign_pair){"RegionId", slice_text(command->region)};
    if (action->object != OBJECT_NONE) {
        out[count++] = (struct sign_pair){action->upstream, slice_text(command->group)};
    }
    enum status status =
        action_params_read(action, slice_text(command->params), out_document, &values);
    assert(status == STATUS_OK);
    for (size_t i = 0; (parameter = action_parameter(action, i)) != NULL; i++) {
        if (slice_is_present(values.texts[i])) {
            out[count++] = (struct sign_pair){parameter->name, values.texts[i]};
        }
    }
    return count;
}
