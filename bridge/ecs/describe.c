/*
 * One struct run for each call of describe_groups(): the command of the page under way, and the
 * groups of the pages so far. MaxResults is always sent, since without it the API lists only ten of
 * the groups that were asked for.
 */
#include "ecs/describe.h"

#include "aliyun/sign.h"
#include "base/mem.h"
#include "base/utf8.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/* A comma in a query is "%2C". */
#define COMMA_BYTES 3

static const struct action *const describe = &action_rows[ACTION_DescribeDiskReplicaGroups];

struct run {
    struct run *prev;
    struct run *next;
    struct describer *describer;
    enum group_site site;
    char *region;
    char **ids;
    size_t id_count;
    struct group_list list;
    int page_count;
    struct command command; /* its params are owned */
    described_fn *done;
    void *arg;
};

struct describer {
    struct ecs *ecs;
    struct run *runs;
};

struct describer *describer_new(struct ecs *ecs)
{
    struct describer *describer = mem_zalloc(1, sizeof *describer);
    describer->ecs = ecs;
    return describer;
}

static void run_free(struct run *run)
{
    for (size_t i = 0; i < run->id_count; i++) {
        free(run->ids[i]);
    }
    free(run->ids);
    free(run->region);
    free((char *)run->command.params);
    group_list_fini(&run->list);
    free(run);
}

void describer_free(struct describer *describer)
{
    struct run *run;
    struct run *next;
    if (describer == NULL) {
        return;
    }
    DL_FOREACH_SAFE (describer->runs, run, next) {
        run_free(run);
    }
    free(describer);
}

bool describe_takes_id(const char *id)
{
    struct slice text = slice_text(id);
    return text.length > 0 && text.length <= COMMAND_GROUP_BYTES_MAX &&
           utf8_is_printable_ascii(text) && strpbrk(id, ", ") == NULL;
}

size_t describe_fit(const char *const *ids, size_t count, size_t batch)
{
    struct buf encoded = {0};
    size_t most = batch < DESCRIBE_IDS_MAX ? batch : DESCRIBE_IDS_MAX;
    size_t fitting = 0;
    size_t bytes = 0;
    for (; fitting < count && fitting < most; fitting++) {
        buf_clear(&encoded);
        sign_percent_encode(slice_text(ids[fitting]), &encoded);
        bytes += encoded.length + (fitting == 0 ? 0 : COMMA_BYTES);
        if (bytes > DESCRIBE_IDS_BYTES) {
            break;
        }
    }
    buf_fini(&encoded);
    return fitting;
}

static void on_page(void *arg, struct attempt *attempt);

static void ask(struct run *run)
{
    struct buf ids = {0};
    struct buf params = {0};
    char max_results[24];
    for (size_t i = 0; i < run->id_count; i++) {
        buf_append_text(&ids, i == 0 ? "" : ",");
        buf_append_text(&ids, run->ids[i]);
    }
    snprintf(max_results, sizeof max_results, "%zu", run->id_count);
    const struct action_values values = {
        .texts = {slice_text(max_results), buf_slice(&ids), slice_text(run->list.next_token),
                  slice_text(run->site == GROUP_SITE_BACKUP ? "backup" : NULL)}};
    action_params_write(describe, &values, &params);
    free((char *)run->command.params);
    run->command =
        (struct command){.action = describe, .region = run->region, .params = buf_take(&params)};
    buf_fini(&ids);
    ecs_call(run->describer->ecs, &run->command, on_page, run);
}

static bool has_all(const struct run *run)
{
    for (size_t i = 0; i < run->id_count; i++) {
        if (group_list_find(&run->list, run->ids[i]) == NULL) {
            return false;
        }
    }
    return true;
}

/* Whether the refusal is about a group, so that others in the same call may be readable. */
static bool is_about_a_group(const struct attempt *attempt)
{
    const char *code = attempt->outcome.code;
    return attempt->reaction == REACTION_REPLY &&
           (strcmp(code, "NoSuchResource") == 0 || strcmp(code, "Forbidden") == 0 ||
            strncmp(code, "Forbidden.", strlen("Forbidden.")) == 0);
}

enum describe_result describe_result_of(const struct attempt *attempt)
{
    return attempt->reaction == REACTION_DONE ? DESCRIBE_COMPLETE
           : is_about_a_group(attempt)        ? DESCRIBE_REFUSED
                                              : DESCRIBE_FAILED;
}

static void finish(struct run *run, enum describe_result result, const struct attempt *attempt)
{
    const struct describe_answer answer = {.result = result,
                                           .at_ms = attempt->at_ms,
                                           .list = &run->list,
                                           .outcome = &attempt->outcome,
                                           .reaction = attempt->reaction,
                                           .retry_after_ms = attempt->retry_after_ms};
    DL_DELETE(run->describer->runs, run);
    run->done(run->arg, &answer);
    run_free(run);
}

static void on_page(void *arg, struct attempt *attempt)
{
    struct run *run = arg;
    if (attempt->reaction != REACTION_DONE) {
        finish(run, describe_result_of(attempt), attempt);
        return;
    }
    enum status status = group_list_read(&run->list, attempt->body);
    run->page_count++;
    bool is_complete = has_all(run) || (status == STATUS_OK && run->list.next_token == NULL);
    bool is_at_end = status != STATUS_OK || run->page_count == DESCRIBE_PAGES_MAX;
    if (is_complete) {
        finish(run, DESCRIBE_COMPLETE, attempt);
    } else if (status == STATUS_INVALID && run->page_count == 1) {
        finish(run, DESCRIBE_FAILED, attempt);
    } else if (is_at_end) {
        finish(run, DESCRIBE_PARTIAL, attempt);
    } else {
        ask(run);
    }
}

void describe_groups(struct describer *describer, const char *region, enum group_site site,
                     const char *const *ids, size_t count, described_fn *done, void *arg)
{
    assert(count > 0 && describe_fit(ids, count, count) == count);
    struct run *run = mem_zalloc(1, sizeof *run);
    run->describer = describer;
    run->region = mem_strdup(region);
    run->site = site;
    run->ids = mem_zalloc(count, sizeof run->ids[0]);
    run->id_count = count;
    for (size_t i = 0; i < count; i++) {
        assert(describe_takes_id(ids[i]));
        run->ids[i] = mem_strdup(ids[i]);
    }
    run->done = done;
    run->arg = arg;
    DL_APPEND(describer->runs, run);
    ask(run);
}
