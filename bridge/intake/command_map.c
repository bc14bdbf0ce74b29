/*
 * A message is parsed once. For each element the conditions are evaluated, then the templates of
 * the fields are filled into one buffer per command, and the texts are checked as those of a JSON
 * command are (command_read.c).
 */
#include "intake/command_map.h"

#include "cloudevent.h"

#include "base/json_pointer.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "intake/command_read.h"
#include "model/template.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define SHOWN_BYTES_MAX    48   /* of a template or pointer in a message */
#define COMPARED_BYTES_MAX 1024 /* of a value in a condition: matching takes time */
#define TOKEN_FIELD        "ClientToken"
#define EVENT_TOKEN_PREFIX "ce-"

enum input { INPUT_COMMAND, INPUT_JSON, INPUT_CLOUDEVENTS };

enum { MAP_REGION, MAP_GROUP, MAP_TOKEN, MAP_NOT_AFTER, MAP_CORRELATION_ID, MAP_FIELDS };
#define MAPPED_MAX (MAP_FIELDS + ACTION_PARAMETERS_MAX)

struct mapped_field {
    const char *name;
    const char *text; /* the template as it is in the settings */
    struct template *template;
    bool is_needed; /* its absence is a fault */
};

struct condition {
    struct template *template;
    const struct route_condition *row;
};

struct command_map {
    const struct route *route;
    const struct text_tables *tables;
    enum input input;
    struct condition *conditions; /* as many as route->when has */
    struct mapped_field fields[MAPPED_MAX];
    size_t field_count;
};

/* The state while one message is read. */
struct reading {
    const struct command_map *map;
    const struct delivery *delivery;
    const struct command_limits *limits;
    struct cloudevent event; /* with input json only `document` and `data` */
    struct mapped_message *out;
    size_t element;
    char where[128]; /* " in element 3 of /alerts", or "" */
};

static void add_field(struct command_map *map, const char *name, const char *text, bool is_needed)
{
    const char *why = NULL;
    if (text == NULL || text[0] == '\0') {
        return;
    }
    struct mapped_field *field = &map->fields[map->field_count++];
    *field = (struct mapped_field){name, text, template_parse(text, &why), is_needed};
    assert(field->template != NULL);
}

static enum input input_of(const struct route *route)
{
    if (route->input == NULL || strcmp(route->input, "command") == 0) {
        return INPUT_COMMAND;
    }
    return strcmp(route->input, "json") == 0 ? INPUT_JSON : INPUT_CLOUDEVENTS;
}

struct command_map *command_map_new(const struct route *route, const struct text_tables *tables)
{
    struct command_map *map = mem_zalloc(1, sizeof *map);
    map->route = route;
    map->tables = tables;
    map->input = input_of(route);
    if (map->input == INPUT_COMMAND) {
        return map;
    }
    add_field(map, "RegionId", route->map.region, route->default_region == NULL);
    add_field(map, "ReplicaGroupId", route->map.group, route->default_group == NULL);
    add_field(map, TOKEN_FIELD, route->map.token, true);
    add_field(map, "NotAfter", route->map.not_after, false);
    add_field(map, "CorrelationId", route->map.correlation_id, false);
    const struct parameter *parameter;
    for (size_t i = 0; (parameter = action_parameter(route_action(route), i)) != NULL; i++) {
        add_field(map, parameter->name, route->map.parameters[parameter->id],
                  parameter->need == PARAMETER_REQUIRED);
    }
    map->conditions = mem_zalloc(route->when.count, sizeof map->conditions[0]);
    for (size_t i = 0; i < route->when.count; i++) {
        const char *why = NULL;
        map->conditions[i].row = &route->when.items[i];
        map->conditions[i].template = template_parse(route->when.items[i].value, &why);
        assert(map->conditions[i].template != NULL);
    }
    return map;
}

void command_map_free(struct command_map *map)
{
    if (map == NULL) {
        return;
    }
    for (size_t i = 0; i < map->field_count; i++) {
        template_free(map->fields[i].template);
    }
    for (size_t i = 0; map->conditions != NULL && i < map->route->when.count; i++) {
        template_free(map->conditions[i].template);
    }
    free(map->conditions);
    free(map);
}

static struct mapped_command *add_command(struct reading *reading)
{
    struct mapped_message *out = reading->out;
    out->commands = mem_realloc(out->commands, (out->count + 1) * sizeof out->commands[0]);
    struct mapped_command *command = &out->commands[out->count++];
    *command = (struct mapped_command){.element = reading->element};
    (void)request_begin(reading->map->route, reading->delivery, reading->limits, &command->request,
                        &command->refusal);
    command->request.element_place =
        reading->element == NO_ELEMENT ? 0 : (int64_t)reading->element + 1;
    return command;
}

/* Refuses the message as a whole. */
static void refuse_message(struct reading *reading, const struct refusal *refusal)
{
    reading->element = NO_ELEMENT;
    add_command(reading)->refusal = *refusal;
}

/* Keeps the first fault of a command. */
static void note(struct refusal *refusal, enum bridge_error error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void note(struct refusal *refusal, enum bridge_error error, const char *format, ...)
{
    va_list arguments;
    if (refusal->error != ERROR_NONE) {
        return;
    }
    refusal->error = error;
    va_start(arguments, format);
    vsnprintf(refusal->message, sizeof refusal->message, format, arguments);
    va_end(arguments);
}

/* The text as messages show it, which are short. */
struct shown {
    char text[SHOWN_BYTES_MAX + sizeof "..."];
};

static struct shown show(const char *text)
{
    struct shown shown;
    struct slice prefix = utf8_prefix(slice_text(text), SHOWN_BYTES_MAX);
    snprintf(shown.text, sizeof shown.text, "%.*s%s", (int)prefix.length, prefix.data,
             text[prefix.length] == '\0' ? "" : "...");
    return shown;
}

static struct template_scope scope_of(const struct reading *reading, const struct json *element)
{
    return (struct template_scope){
        .element = element,
        .document = reading->event.data,
        .event = reading->event.event,
        .delivery = reading->delivery,
        .is_cloudevent = reading->map->input == INPUT_CLOUDEVENTS,
        .tables = reading->map->tables,
    };
}

/* Whether the condition holds; false with *refusal where its value is a fault. */
static bool holds(const struct reading *reading, size_t index, const struct json *element,
                  struct refusal *refusal)
{
    const struct condition *condition = &reading->map->conditions[index];
    struct template_scope scope = scope_of(reading, element);
    struct template_problem problem = {0};
    struct buf value = {0};
    bool is_true = false;
    enum template_result result = template_fill(condition->template, &scope, &value, &problem);
    if (result == TEMPLATE_FAULT) {
        note(refusal, ERROR_INVALID_PARAMETER, "when[%zu]: the value at %s%s is %s.", index,
             show(problem.source).text, reading->where, problem.found);
    } else if (value.length > COMPARED_BYTES_MAX) {
        note(refusal, ERROR_INVALID_PARAMETER,
             "when[%zu]: the value of %s%s has %zu bytes; at most %d are compared.", index,
             show(condition->row->value).text, reading->where, value.length, COMPARED_BYTES_MAX);
    } else {
        const struct route_condition *row = condition->row;
        const char *text = result == TEMPLATE_ABSENT ? NULL : buf_slice(&value).data;
        is_true = (row->is.count == 0 || (text != NULL && text_list_matches(&row->is, text))) &&
                  (text == NULL || !text_list_matches(&row->isnt, text));
    }
    buf_fini(&value);
    return is_true;
}

/* A token that is no ClientToken becomes its SHA-256. `start`: where it begins in `texts`. */
static void make_token_valid(struct buf *texts, size_t start)
{
    struct slice token = slice_skip(buf_slice(texts), start);
    if (token.length <= COMMAND_TOKEN_BYTES_MAX && utf8_is_printable_ascii(token)) {
        return;
    }
    char hex[DIGEST_SHA256_HEX_BYTES];
    digest_sha256_hex(token, hex);
    texts->length = start;
    buf_append_text(texts, hex);
}

/* The token of an event that has no other: a repetition has the same source and id. */
static void make_event_token(const struct cloudevent *event, struct buf *texts)
{
    struct buf name = {0};
    char hex[DIGEST_SHA256_HEX_BYTES];
    buf_append(&name, event->source);
    buf_append_char(&name, '\n');
    buf_append(&name, event->id);
    digest_sha256_hex(buf_slice(&name), hex);
    buf_fini(&name);
    buf_printf(texts, EVENT_TOKEN_PREFIX "%.*s",
               (int)(COMMAND_TOKEN_BYTES_MAX - strlen(EVENT_TOKEN_PREFIX)), hex);
}

/* A field while its text may still move. */
struct filled {
    const struct mapped_field *field; /* NULL: the token of an event */
    size_t start;
    size_t length;
};

/* Fills the templates. Returns how many fields there are. */
static size_t fill_fields(const struct reading *reading, const struct json *element,
                          struct mapped_command *command, struct filled out[])
{
    const struct command_map *map = reading->map;
    struct template_scope scope = scope_of(reading, element);
    bool has_token = false;
    size_t count = 0;
    for (size_t i = 0; i < map->field_count; i++) {
        const struct mapped_field *field = &map->fields[i];
        struct template_problem problem = {0};
        size_t start = command->texts.length;
        bool is_token = strcmp(field->name, TOKEN_FIELD) == 0;
        has_token = has_token || is_token;
        enum template_result result =
            template_fill(field->template, &scope, &command->texts, &problem);
        if (result == TEMPLATE_FAULT) {
            note(&command->refusal, ERROR_INVALID_PARAMETER, "%s: the value at %s%s is %s.",
                 field->name, show(problem.source).text, reading->where, problem.found);
        } else if (result == TEMPLATE_ABSENT && field->is_needed) {
            note(&command->refusal, ERROR_MISSING_PARAMETER, "%s: nothing at %s%s.", field->name,
                 show(problem.source).text, reading->where);
        } else if (is_token && result == TEMPLATE_FILLED && command->texts.length == start) {
            note(&command->refusal, ERROR_MISSING_PARAMETER, "%s: %s%s is empty.", field->name,
                 show(field->text).text, reading->where);
        } else if (result == TEMPLATE_FILLED) {
            if (is_token) {
                make_token_valid(&command->texts, start);
            }
            out[count++] = (struct filled){field, start, command->texts.length - start};
        }
    }
    if (!has_token) {
        size_t start = command->texts.length;
        make_event_token(&reading->event, &command->texts);
        out[count++] = (struct filled){NULL, start, command->texts.length - start};
    }
    return count;
}

static void read_fields(const struct reading *reading, const struct json *element,
                        struct mapped_command *command)
{
    struct filled filled[MAPPED_MAX + 1];
    struct field_text texts[MAPPED_MAX + 1];
    struct buf origins[MAPPED_MAX + 1] = {{0}};
    size_t count = fill_fields(reading, element, command, filled);
    for (size_t i = 0; i < count; i++) {
        const struct mapped_field *field = filled[i].field;
        if (field != NULL) {
            buf_printf(&origins[i], " of %s%s", show(field->text).text, reading->where);
        }
        texts[i] = (struct field_text){
            .name = field == NULL ? TOKEN_FIELD : field->name,
            .text = slice_of(buf_slice(&command->texts).data + filled[i].start, filled[i].length),
            .origin = buf_slice(&origins[i]).data,
        };
    }
    (void)request_read_texts(reading->map->route, texts, count, &command->request,
                             &command->refusal);
    for (size_t i = 0; i < count; i++) {
        buf_fini(&origins[i]);
    }
}

/* One element, or the document. */
static void read_element(struct reading *reading, const struct json *element)
{
    struct refusal refusal = {.error = ERROR_NONE};
    bool is_wanted = true;
    for (size_t i = 0; i < reading->map->route->when.count && is_wanted; i++) {
        is_wanted = holds(reading, i, element, &refusal);
    }
    if (refusal.error != ERROR_NONE) {
        add_command(reading)->refusal = refusal;
    } else if (is_wanted) {
        read_fields(reading, element, add_command(reading));
    } else {
        reading->out->filtered_count++;
    }
}

static size_t count_elements(const struct json *array)
{
    size_t count = 0;
    for (const struct json *element = json_first(array); element != NULL;
         element = json_next(element)) {
        count++;
    }
    return count;
}

static void read_elements(struct reading *reading, const char *each)
{
    struct refusal refusal = {.error = ERROR_NONE};
    const struct json *array = NULL;
    enum json_pointer_result result =
        json_pointer_find(slice_text(each), reading->event.data, &array);
    bool is_array = result == JSON_POINTER_FOUND && json_kind(array) == JSON_ARRAY;
    size_t count = is_array ? count_elements(array) : 0;
    if (!is_array) {
        note(&refusal, ERROR_MALFORMED_PAYLOAD, "The message has no array at %s, but %s.",
             show(each).text,
             result == JSON_POINTER_FOUND      ? json_kind_text(json_kind(array))
             : result == JSON_POINTER_REPEATED ? "a member more than once"
                                               : "nothing");
    } else if (count > reading->limits->commands_per_message) {
        note(&refusal, ERROR_TOO_MANY_COMMANDS,
             "The message has %zu elements at %s; limits.commands_per_message is %zu.", count,
             show(each).text, reading->limits->commands_per_message);
    }
    if (refusal.error != ERROR_NONE) {
        refuse_message(reading, &refusal);
        return;
    }
    size_t index = 0;
    for (const struct json *element = json_first(array); element != NULL;
         element = json_next(element), index++) {
        reading->element = index;
        snprintf(reading->where, sizeof reading->where, " in element %zu of %s", index,
                 show(each).text);
        read_element(reading, element);
    }
}

/* Parses the message; false with *refusal. */
static bool parse(struct reading *reading, struct refusal *refusal)
{
    struct request request;
    if (request_begin(reading->map->route, reading->delivery, reading->limits, &request, refusal) !=
        STATUS_OK) {
        return false;
    }
    if (reading->map->input == INPUT_CLOUDEVENTS) {
        return cloudevent_read(reading->delivery, &reading->event, refusal) == STATUS_OK;
    }
    reading->event.document = message_json(reading->delivery->payload, "The payload", refusal);
    reading->event.data = reading->event.document;
    return reading->event.document != NULL;
}

void command_map_read(const struct command_map *map, const struct delivery *delivery,
                      const struct command_limits *limits, struct mapped_message *out)
{
    struct refusal refusal = {.error = ERROR_NONE};
    struct reading reading = {
        .map = map, .delivery = delivery, .limits = limits, .out = out, .element = NO_ELEMENT};
    const char *each = map->route->each;
    *out = (struct mapped_message){0};
    if (map->input == INPUT_COMMAND) {
        struct mapped_command *command = add_command(&reading);
        command->refusal = refusal;
        (void)request_read(map->route, delivery, limits, &command->request, &command->refusal);
    } else if (!parse(&reading, &refusal)) {
        refuse_message(&reading, &refusal);
    } else if (each == NULL || each[0] == '\0') {
        read_element(&reading, reading.event.data);
    } else {
        read_elements(&reading, each);
    }
    cloudevent_fini(&reading.event);
}

void mapped_message_fini(struct mapped_message *message)
{
    for (size_t i = 0; i < message->count; i++) {
        request_fini(&message->commands[i].request);
        buf_fini(&message->commands[i].texts);
    }
    free(message->commands);
    *message = (struct mapped_message){0};
}
