/*
 * command_map - what one message becomes: no command, one, or several, or a refusal.
 *
 * With input "command" the message is one command, read strictly. With "json" and "cloudevents" the
 * route's `each`, `when` and `map` make commands of it, whose fields then pass the same checks.
 *
 * Thread: any; pure. A map never changes.
 */
#ifndef INTAKE_COMMAND_MAP_H
#define INTAKE_COMMAND_MAP_H

#include "model/command.h"
#include "model/delivery.h"
#include "model/text_table.h"

struct command_map;

/* The route and the tables are those of checked settings, and must outlive it. Free it with
 * command_map_free(). */
struct command_map *command_map_new(const struct route *route, const struct text_tables *tables);
/* Takes NULL. */
void command_map_free(struct command_map *map);

/* The command or refusal was not made of an element. */
#define NO_ELEMENT SIZE_MAX

/* One command, or one refusal: of an element or of the message as a whole. */
struct mapped_command {
    struct request request; /* everything readable, also in a refusal */
    struct refusal refusal; /* ERROR_NONE: a command */
    size_t element;         /* from 0, or NO_ELEMENT */
    struct buf texts;       /* what `request` points into, besides the delivery */
};

struct mapped_message {
    struct mapped_command *commands;
    size_t count;          /* at most limits.commands_per_message */
    size_t filtered_count; /* elements, or the message, for which `when` does not hold */
};

/*
 * Reads a message. The result points into the delivery and must be freed with
 * mapped_message_fini(). A message that is refused as a whole has one item, with NO_ELEMENT. A
 * refusal names the field, the template and what was found, never the value.
 * Errors: those of request_read(), and Bridge.TooManyCommands.
 */
void command_map_read(const struct command_map *map, const struct delivery *delivery,
                      const struct command_limits *limits, struct mapped_message *out);
void mapped_message_fini(struct mapped_message *message);

#endif
