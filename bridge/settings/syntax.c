/*
 * A state machine over the tokens of a file: what may come next, and for each token that may not,
 * the likely cause. It only explains: whether a file is right, libconfig decides.
 */
#include "syntax.h"

#include "base/mem.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define TOKEN_BYTES_MAX 40

enum state {
    WANT_NAME,     /* next: a name, or the end of the group */
    WANT_ASSIGN,   /* next: = or : */
    WANT_VALUE,    /* next: the value of a setting */
    AFTER_SETTING, /* next: a name, ; or the end of the group */
    WANT_ITEM,     /* next: an item of a list, or its end */
    AFTER_COMMA,   /* next: an item of a list */
    AFTER_ITEM,    /* next: a comma, or the end of the list */
};

/* Appends the token as it may be shown: short, and only printable ASCII. */
static void put_token(struct slice token, struct buf *out)
{
    bool is_long = token.length > TOKEN_BYTES_MAX;
    buf_append_char(out, '\'');
    for (size_t i = 0; i < (is_long ? TOKEN_BYTES_MAX : token.length); i++) {
        unsigned char c = (unsigned char)token.data[i];
        buf_printf(out, c >= ' ' && c <= '~' ? "%c" : "\\x%02x", c);
    }
    buf_append_text(out, is_long ? "...'" : "'");
}

static bool is_char(enum syntax_kind kind, struct slice token, const char *chars)
{
    return kind == SYNTAX_CHAR && strchr(chars, token.data[0]) != NULL;
}

static bool is_bool(struct slice token)
{
    return (token.length == 4 && strncasecmp(token.data, "true", 4) == 0) ||
           (token.length == 5 && strncasecmp(token.data, "false", 5) == 0);
}

/* Whether a word of digits and letters is a number for libconfig. */
static bool is_number(struct slice token)
{
    size_t i = 0;
    bool is_hex = token.length > 2 && token.data[0] == '0' && (token.data[1] | 0x20) == 'x';
    if (is_hex) {
        for (i = 2; i < token.length && isxdigit((unsigned char)token.data[i]); i++) {
        }
    } else {
        bool has_point = memchr(token.data, '.', token.length) != NULL;
        while (i < token.length &&
               (isdigit((unsigned char)token.data[i]) || token.data[i] == '.')) {
            i++;
        }
        if (i < token.length && (token.data[i] | 0x20) == 'e') {
            for (i++; i < token.length && isdigit((unsigned char)token.data[i]); i++) {
            }
            return i == token.length;
        }
        if (has_point) {
            return i == token.length;
        }
    }
    while (i < token.length && token.data[i] == 'L') {
        i++;
    }
    return i == token.length;
}

/* The cause that the token itself shows, whatever was expected; NULL for none. */
static const char *cause_of_token(enum syntax_kind kind, struct slice token)
{
    if (is_char(kind, token, "'`")) {
        return "a text is written in double quotes, \"...\"";
    }
    if (kind == SYNTAX_CHAR && (unsigned char)token.data[0] >= 0x80) {
        return "only texts and comments may contain other characters than ASCII, and a text is "
               "written in plain double quotes, \"...\"";
    }
    if (is_char(kind, token, "$%&!?<>|~^\\/@")) {
        return "this character may only be part of a text, and a text is written in double quotes, "
               "\"...\"";
    }
    return NULL;
}

/* Causes by what was expected; %s is the name of the last setting. */
static void put_cause_of_state(const struct syntax *syntax, enum syntax_kind kind,
                               struct slice token, struct buf *out)
{
    char name[TOKEN_BYTES_MAX + 1];
    snprintf(name, sizeof name, "%.*s", (int)syntax->name.length, syntax->name.data);
    switch (syntax->state) {
    case WANT_NAME:
    case AFTER_SETTING:
        buf_append_text(
            out, kind == SYNTAX_STRING        ? "the name of a setting is expected, without quotes"
                 : is_char(kind, token, "=:") ? "the name of the setting is missing before it"
                 : is_char(kind, token, ";,") ? "there is one ; or , too many"
                                              : "the name of a setting is expected");
        break;
    case WANT_ASSIGN:
        buf_printf(out,
                   is_char(kind, token, ".")
                       ? "a name has no dot, a group is written %s: { ... };"
                       : "= or : is missing after %s; a text is written in double quotes, "
                         "\"...\"",
                   name);
        break;
    case WANT_VALUE:
    case WANT_ITEM:
    case AFTER_COMMA:
        if (kind == SYNTAX_WORD) {
            buf_append_text(out, "a text is written in double quotes, \"...\"");
        } else if (kind == SYNTAX_NUMBER) {
            buf_append_text(out, "a number has digits only, without a unit; a text is written in "
                                 "double quotes, \"...\"");
        } else if (syntax->state == WANT_VALUE) {
            buf_printf(out, "the value of %s is missing", name);
        } else {
            buf_append_text(out, "an item of the list is missing before it");
        }
        break;
    default:
        buf_printf(out, "a comma is missing before it, or the end of the list of line %u",
                   syntax->stack[syntax->depth - 1].line);
    }
}

static void put_cause(const struct syntax *syntax, enum syntax_kind kind, struct slice token,
                      struct buf *out)
{
    const char *cause = cause_of_token(kind, token);
    bool is_end = is_char(kind, token, "}])");
    if (cause != NULL) {
        buf_append_text(out, cause);
    } else if (is_end && syntax->depth == 0) {
        buf_append_text(out, "nothing is open that it could close");
    } else if (is_end && syntax->state != WANT_VALUE && syntax->state != AFTER_COMMA) {
        buf_printf(out, "the %c of line %u is still open", syntax->stack[syntax->depth - 1].open,
                   syntax->stack[syntax->depth - 1].line);
    } else {
        put_cause_of_state(syntax, kind, token, out);
    }
}

static void fault(struct syntax *syntax, enum syntax_kind kind, struct slice token, unsigned line)
{
    syntax->fault_line = line;
    put_token(token, &syntax->fault);
    buf_append_text(&syntax->fault, " is not expected here: ");
    put_cause(syntax, kind, token, &syntax->fault);
}

static void add_name(struct syntax *syntax, struct slice name, unsigned line)
{
    unsigned group = syntax->depth == 0 ? 0 : syntax->stack[syntax->depth - 1].group;
    size_t count = syntax->name_count;
    if ((count & (count - 1)) == 0) { /* full at each power of two */
        size_t room = count == 0 ? 1 : 2 * count;
        syntax->names = mem_realloc(syntax->names, room * sizeof syntax->names[0]);
    }
    syntax->names[syntax->name_count++] =
        (struct syntax_name){.group = group, .line = line, .name = name};
    syntax->name = name;
}

/* Whether a value follows in this state, and no other token. */
static bool is_for_value(int state)
{
    return state == WANT_VALUE || state == WANT_ITEM || state == AFTER_COMMA;
}

static bool open_container(struct syntax *syntax, char open, unsigned line)
{
    if (syntax->depth == SYNTAX_DEPTH_MAX) {
        syntax->is_lost = true;
        return true;
    }
    syntax->stack[syntax->depth].open = open;
    syntax->stack[syntax->depth].line = line;
    syntax->stack[syntax->depth].group = ++syntax->group_count;
    syntax->depth++;
    syntax->state = open == '{' ? WANT_NAME : WANT_ITEM;
    return true;
}

static void end_value(struct syntax *syntax)
{
    bool is_in_list = syntax->depth > 0 && syntax->stack[syntax->depth - 1].open != '{';
    syntax->state = is_in_list ? AFTER_ITEM : AFTER_SETTING;
}

static bool close_container(struct syntax *syntax, char close)
{
    bool is_group = close == '}';
    char open = '[';
    if (close == '}') {
        open = '{';
    } else if (close == ')') {
        open = '(';
    }
    bool is_end = is_group ? syntax->state == WANT_NAME || syntax->state == AFTER_SETTING
                           : syntax->state == WANT_ITEM || syntax->state == AFTER_ITEM;
    if (!is_end || syntax->depth == 0 || syntax->stack[syntax->depth - 1].open != open) {
        return false;
    }
    syntax->depth--;
    end_value(syntax);
    return true;
}

/* False: the token may not be here. */
static bool take(struct syntax *syntax, enum syntax_kind kind, struct slice token, unsigned line)
{
    int state = syntax->state;
    bool is_value = kind == SYNTAX_STRING || (kind == SYNTAX_NUMBER && is_number(token)) ||
                    (kind == SYNTAX_WORD && is_bool(token));
    if (is_for_value(state) && is_value) {
        end_value(syntax);
        return true;
    }
    if (is_for_value(state) && is_char(kind, token, "{([")) {
        return open_container(syntax, token.data[0], line);
    }
    if (is_char(kind, token, "})]")) {
        return close_container(syntax, token.data[0]);
    }
    if (kind == SYNTAX_STRING && syntax->is_after_string) {
        return true; /* texts side by side are one */
    }
    if ((state == WANT_NAME || state == AFTER_SETTING) && kind == SYNTAX_WORD && !is_bool(token)) {
        add_name(syntax, token, line);
        syntax->state = WANT_ASSIGN;
        return true;
    }
    if (state == WANT_ASSIGN && is_char(kind, token, "=:")) {
        syntax->state = WANT_VALUE;
        return true;
    }
    if (state == AFTER_SETTING && is_char(kind, token, ";,")) {
        syntax->state = WANT_NAME;
        return true;
    }
    if (state == AFTER_ITEM && is_char(kind, token, ",")) {
        syntax->state = AFTER_COMMA;
        return true;
    }
    return false;
}

void syntax_token(struct syntax *syntax, enum syntax_kind kind, struct slice token, unsigned line)
{
    if (syntax->fault_line == 0 && !syntax->is_lost) {
        if (!take(syntax, kind, token, line)) {
            fault(syntax, kind, token, line);
        }
        syntax->is_after_string = kind == SYNTAX_STRING;
    }
}

void syntax_end(struct syntax *syntax, unsigned line)
{
    if (syntax->fault_line != 0 || syntax->is_lost) {
        return;
    }
    if (syntax->depth > 0) {
        buf_printf(&syntax->fault, "the file ends, but the %c of line %u is still open",
                   syntax->stack[syntax->depth - 1].open, syntax->stack[syntax->depth - 1].line);
    } else if (syntax->state == WANT_ASSIGN || syntax->state == WANT_VALUE) {
        buf_printf(
            &syntax->fault, "the file ends before the value of %.*s",
            (int)(syntax->name.length > TOKEN_BYTES_MAX ? TOKEN_BYTES_MAX : syntax->name.length),
            syntax->name.data);
    } else {
        return;
    }
    syntax->fault_line = line;
}

struct slice syntax_duplicate(const struct syntax *syntax, unsigned line)
{
    for (size_t i = 0; i < syntax->name_count; i++) {
        for (size_t j = 0; j < i && syntax->names[i].line == line; j++) {
            if (syntax->names[i].group == syntax->names[j].group &&
                slice_equals(syntax->names[i].name, syntax->names[j].name)) {
                return syntax->names[i].name;
            }
        }
    }
    return (struct slice){0};
}

void syntax_fini(struct syntax *syntax)
{
    free(syntax->names);
    buf_fini(&syntax->fault);
    *syntax = (struct syntax){0};
}
