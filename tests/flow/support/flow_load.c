#include "flow_load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *topic_of(const struct load *load)
{
    return fixture_format(load->fixture, FLOW_REPLIES "load/%s", load->name);
}

void load_init(struct load *load, struct fixture *fixture, const char *prefix, int count,
               int token_count, int group_count)
{
    assert_true(count <= LOAD_COMMANDS_MAX);
    *load = (struct load){.fixture = fixture,
                          .name = fixture_name(fixture, "client"),
                          .prefix = prefix,
                          .count = count,
                          .token_count = token_count,
                          .group_count = group_count};
    load->client = client_new_lasting(fixture->broker.port, load->name);
    client_subscribe(load->client, topic_of(load));
}

void load_fini(struct load *load)
{
    client_free(load->client);
    load->client = NULL;
}

bool load_post(struct load *load, int index)
{
    int number = index % load->token_count;
    const char *token = fixture_format(load->fixture, "%s-%d", load->prefix, number);
    const char *group =
        fixture_format(load->fixture, "pg-%s-%d", load->prefix, number % load->group_count);
    return client_post(
        load->client,
        &(struct outgoing){.topic = FLOW_COMMANDS,
                           .payload = fixture_command(load->fixture, token, group, ""),
                           .qos = 1,
                           .response_topic = topic_of(load),
                           .correlation = fixture_format(load->fixture, "%d", index)});
}

void load_send(struct load *load, int from, int to)
{
    for (int i = from; i < to; i++) {
        if (!load_post(load, i)) {
            flow_fail("the connection of a load is gone");
        }
        client_step(load->client, 0);
    }
    client_flush(load->client);
}

void load_count(struct load *load)
{
    const struct message *message = NULL;
    while ((message = client_take(load->client, &(struct match){0}, 0)) != NULL) {
        int index = message->correlation == NULL ? -1 : atoi(message->correlation);
        if (index < 0 || index >= load->count) {
            flow_fail("a reply to no command: %s %s", message->topic, message->payload);
        }
        if (load->reply_counts[index]++ == 0) {
            load->answered_count++;
            load->succeeded_count += strcmp(json_text(message->json, "Status"), "succeeded") == 0;
        }
    }
}

void load_wait_answered(struct load *load, int count)
{
    int64_t end_ms = flow_now_ms() + FLOW_TIMEOUT_MS;
    load_count(load);
    while (load->answered_count < count) {
        if (flow_now_ms() > end_ms || !client_step(load->client, 50)) {
            flow_fail("%d of %d commands were answered", load->answered_count, count);
        }
        load_count(load);
    }
}

void load_check(struct load *load)
{
    assert_int_equal(load->answered_count, load->count);
    assert_int_equal(load->succeeded_count, load->count);
    for (int i = 0; i < load->token_count; i++) {
        const char *token = fixture_format(load->fixture, "%s-%d", load->prefix, i);
        assert_int_equal(simulator_token(&load->fixture->simulator, token, "Effects"), 1);
    }
}

int load_extra_replies(const struct load *load)
{
    int count = 0;
    for (int i = 0; i < load->count; i++) {
        count += load->reply_counts[i] > 1 ? load->reply_counts[i] - 1 : 0;
    }
    return count;
}
