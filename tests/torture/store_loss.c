#include "store_loss.h"

#include "flow_check.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A line of the server that took over. */
struct line {
    UT_hash_handle hh;
    char text[];
};

static unsigned write_of(char kind)
{
    static const char kinds[] = "cufwxoe";
    const char *at = strchr(kinds, kind);
    if (kind == '\0' || at == NULL) {
        flow_fail("the database has noted a write of an unknown kind");
    }
    return 1U << (at - kinds);
}

static void add(struct store_lost **table, const char *name, unsigned write, int64_t killed_ms)
{
    struct store_lost *lost = NULL;
    HASH_FIND_STR(*table, name, lost);
    if (lost == NULL) {
        lost = calloc(1, sizeof *lost + strlen(name) + 1);
        assert(lost != NULL);
        strcpy(lost->name, name);
        HASH_ADD_STR(*table, name, lost);
    }
    lost->writes |= write;
    lost->count++;
    lost->killed_ms = killed_ms;
}

/* A token has no '|'. */
static void add_line(struct store_losses *losses, char *text, int64_t killed_ms)
{
    char *fields[5];
    char *rest = text;
    for (int i = 0; i < 5; i++) {
        fields[i] = strsep(&rest, "|");
        if (fields[i] == NULL) {
            flow_fail("the database has noted a write that cannot be read");
        }
    }
    unsigned write = write_of(fields[2][0]);
    losses->write_count++;
    if (fields[3][0] != '\0') {
        add(&losses->tokens, fields[3], write, killed_ms);
    }
    rest = NULL;
    for (char *number = strtok_r(fields[4], " ", &rest); number != NULL;
         number = strtok_r(NULL, " ", &rest)) {
        add(&losses->numbers, number, write, killed_ms);
    }
}

static FILE *open_lines(const char *path)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        flow_fail("cannot read %s", path);
    }
    return file;
}

static struct line *read_lines(const char *path)
{
    struct line *lines = NULL;
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_lines(path);
    while (getline(&text, &size, file) > 0) {
        struct line *line = calloc(1, sizeof *line + strlen(text) + 1);
        assert(line != NULL);
        strcpy(line->text, text);
        HASH_ADD_STR(lines, text, line);
    }
    free(text);
    fclose(file);
    return lines;
}

void store_losses_read(struct store_losses *losses, const char *left, const char *taken_over,
                       int64_t killed_ms, int64_t back_ms)
{
    struct line *kept = read_lines(taken_over);
    struct line *line = NULL;
    struct line *next = NULL;
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_lines(left);
    while (getline(&text, &size, file) > 0) {
        HASH_FIND_STR(kept, text, line);
        if (line == NULL) {
            text[strcspn(text, "\n")] = '\0';
            add_line(losses, text, killed_ms);
        }
    }
    free(text);
    fclose(file);
    HASH_ITER (hh, kept, line, next) {
        HASH_DEL(kept, line);
        free(line);
    }
    if (losses->count == STORE_LOSSES_MAX) {
        flow_fail("too many fail-overs with losses");
    }
    losses->times[losses->count].killed_ms = killed_ms;
    losses->times[losses->count++].back_ms = back_ms;
}

static void free_table(struct store_lost **table)
{
    struct store_lost *lost = NULL;
    struct store_lost *next = NULL;
    HASH_ITER (hh, *table, lost, next) {
        HASH_DEL(*table, lost);
        free(lost);
    }
}

void store_losses_fini(struct store_losses *losses)
{
    free_table(&losses->numbers);
    free_table(&losses->tokens);
    *losses = (struct store_losses){0};
}

const struct store_lost *store_lost_number(const struct store_losses *losses, uint32_t number)
{
    struct store_lost *lost = NULL;
    char name[16];
    snprintf(name, sizeof name, "%u", number);
    HASH_FIND_STR(losses->numbers, name, lost);
    return lost;
}

bool store_lost_token(const struct store_losses *losses, const char *token, unsigned writes)
{
    struct store_lost *lost = NULL;
    HASH_FIND_STR(losses->tokens, token, lost);
    return lost != NULL && (lost->writes & writes) != 0;
}

bool store_losses_cover(const struct store_losses *losses, int64_t at_ms, int after_ms)
{
    for (int i = 0; i < losses->count; i++) {
        if (at_ms >= losses->times[i].killed_ms && at_ms <= losses->times[i].back_ms + after_ms) {
            return true;
        }
    }
    return false;
}
