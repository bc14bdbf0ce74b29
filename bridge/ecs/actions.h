/*
 * actions - the parameters of a call, by the action's row in tables/actions.def.
 *
 * Thread: any; pure.
 */
#ifndef ECS_ACTIONS_H
#define ECS_ACTIONS_H

#include "aliyun/sign.h"
#include "base/json.h"
#include "model/command.h"

/* The most that actions_list_parameters() gives. */
#define CALL_PARAMETERS_MAX (3 + ACTION_PARAMETERS_MAX)

/*
 * The query parameters of the command's call but for those of the signature; what the command does
 * not have is left out. Returns how many. The values point into the command and into *out_document,
 * which the caller frees with json_free() when it no longer needs them.
 */
size_t actions_list_parameters(const struct command *command, struct json **out_document,
                               struct sign_pair out[CALL_PARAMETERS_MAX]);

#endif
