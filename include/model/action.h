/*
 * action - what is known of an API operation, and the parameters of a command in their canonical
 * form.
 *
 * Rows are tables/actions.def. Parameters travel as `params`: one JSON object with the parameters
 * that the command or its route gives, in the order of the table, without white space, as
 * {"OneShot":false}. The same parameters always make the same bytes.
 *
 * Thread: any; pure.
 */
#ifndef MODEL_ACTION_H
#define MODEL_ACTION_H

#include "base/buf.h"
#include "base/json.h"
#include "base/slice.h"
#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>

/* ACTION_StartDiskReplicaGroup and so on. */
enum action_id {
#define ACTION(name, object, upstream, effect, token, role, goal, print) ACTION_##name,
#include "tables/actions.def"
    ACTION_COUNT
};

/* PARAMETER_StartDiskReplicaGroup_OneShot and so on. */
enum parameter_id {
#define ACTION_PARAMETER(action, name, type, need, meaning) PARAMETER_##action##_##name,
#include "tables/actions.def"
    PARAMETER_COUNT
};

enum action_object { OBJECT_NONE, OBJECT_GROUP };
enum action_effect { EFFECT_READ, EFFECT_START, EFFECT_STOP };
enum action_token { TOKEN_NONE, TOKEN_SENT };
enum action_role { ROLE_ANY, ROLE_PRODUCTION };
enum action_goal { GOAL_NONE, GOAL_SYNCHRONISED, GOAL_STOPPED, GOAL_FAILOVERED };
enum action_print { PRINT_VALUES, PRINT_NAMED };
enum parameter_type { PARAMETER_BOOL, PARAMETER_TEXT, PARAMETER_LONG };
enum parameter_need { PARAMETER_OPTIONAL, PARAMETER_REQUIRED };

/* The most parameters that one action has. */
#define ACTION_PARAMETERS_MAX    4
#define PARAMETER_TEXT_BYTES_MAX 128
#define PARAMETER_LONG_BYTES_MAX 4000

struct parameter {
    enum parameter_id id;
    enum action_id action;
    const char *name;
    enum parameter_type type;
    enum parameter_need need;
    const char *rule; /* completes "NAME must be ..." */
    const char *meaning;
};

struct action {
    enum action_id id;
    const char *name;
    const char *ram_action; /* the permission it takes: "ebs:" and the name */
    enum action_object object;
    const char *upstream; /* the API's name of the object's parameter; NULL for OBJECT_NONE */
    enum action_effect effect;
    enum action_token token;
    enum action_role role;
    enum action_goal goal;
    enum action_print print;
};

/* By enum action_id. */
extern const struct action action_rows[];
/* By its name, case-sensitive; NULL where the table has none such. */
const struct action *action_find(struct slice name);
/* The parameter at this place of the action, from 0 to ACTION_PARAMETERS_MAX - 1; NULL behind the
 * last. */
const struct parameter *action_parameter(const struct action *action, size_t index);
/* Whether the text is a value of the parameter; a BOOL is "true" or "false". */
bool parameter_takes(const struct parameter *parameter, struct slice text);

/*
 * The values of one command, as texts in the order of action_parameter(); absent where they are not
 * given.
 */
struct action_values {
    struct slice texts[ACTION_PARAMETERS_MAX];
};

/* Appends the canonical form of values, each of which its parameter takes. */
void action_params_write(const struct action *action, const struct action_values *values,
                         struct buf *out);
/*
 * Reads it back. The values point into *out_document, which the caller frees with json_free().
 * STATUS_INVALID, and nothing to free, where `params` is not the canonical form of parameters that
 * the action has.
 */
enum status action_params_read(const struct action *action, struct slice params,
                               struct json **out_document, struct action_values *out_values);
/* Whether the BOOL of this name is there, with true. */
bool action_params_have(struct slice params, const char *name);
/* Adds the members of `params` to a JSON object that is being written; nothing where it is absent.
 */
void action_params_put(struct buf *out, struct slice params);
/* Appends values, each of which its parameter takes, as they enter fingerprints. */
void action_params_pack(const struct action *action, const struct action_values *values,
                        struct buf *out);

#endif
