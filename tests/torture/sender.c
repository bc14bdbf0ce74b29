#include "sender.h"

#include "flow_check.h"
#include "flow_process.h"

#include <assert.h>
#include <mqtt_protocol.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { IN_FLIGHT_MAX = 60 };

static void on_publish(struct mosquitto *mosq, void *arg, int id, int code,
                       const mosquitto_property *properties)
{
    struct sender *sender = arg;
    int64_t number = sender->numbers[id & 0xffff];
    (void)mosq;
    (void)properties;
    if (number < 0) {
        return;
    }
    if (code >= 0x80) {
        flow_fail("the broker refused command %lld with %d", (long long)number, code);
    }
    sender->numbers[id & 0xffff] = -1;
    sender->in_flight--;
    struct record_row *rows = &sender->all->record->rows[number];
    for (uint32_t i = 0; i < plan_commands(sender->all->plan, (uint32_t)number); i++) {
        rows[i].acked_ms = flow_now_ms();
    }
    sender->all->acked_count++;
}

static void init_sender(struct senders *senders, int index, int port)
{
    struct sender *sender = &senders->rows[index];
    char id[32];
    snprintf(id, sizeof id, "torture-sender-%d", index);
    sender->self = &sender->link;
    sender->all = senders;
    for (size_t i = 0; i < 65536; i++) {
        sender->numbers[i] = -1;
    }
    link_init(&sender->link, id, port, index < PLAN_SENDERS_V5 ? 5 : 4, sender);
    mosquitto_publish_v5_callback_set(sender->link.mosq, on_publish);
}

void senders_init(struct senders *senders, const struct plan *plan, struct record *record, int port)
{
    *senders = (struct senders){.plan = plan, .record = record};
    senders->rows = calloc(PLAN_SENDERS, sizeof *senders->rows);
    assert(senders->rows != NULL);
    for (int i = 0; i < PLAN_SENDERS; i++) {
        init_sender(senders, i, port);
    }
}

void senders_fini(struct senders *senders)
{
    for (int i = 0; i < PLAN_SENDERS && senders->rows != NULL; i++) {
        link_fini(&senders->rows[i].link);
        free(senders->rows[i].queue);
    }
    free(senders->rows);
    *senders = (struct senders){0};
}

void senders_post(struct senders *senders, uint32_t number)
{
    struct sender *sender = &senders->rows[senders->plan->items[number].sender];
    if (sender->queue_count == sender->queue_capacity) {
        sender->queue_capacity = sender->queue_capacity == 0 ? 64 : sender->queue_capacity * 2;
        sender->queue = realloc(sender->queue, sender->queue_capacity * sizeof *sender->queue);
        assert(sender->queue != NULL);
    }
    sender->queue[sender->queue_count++] = number;
    for (uint32_t i = 0; i < plan_commands(senders->plan, number); i++) {
        senders->record->rows[number + i].posted_ms = flow_now_ms();
    }
}

static int64_t wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static mosquitto_property *make_properties(const struct plan_text *text)
{
    mosquitto_property *list = NULL;
    if (text->response_topic[0] != '\0') {
        mosquitto_property_add_string(&list, MQTT_PROP_RESPONSE_TOPIC, text->response_topic);
    }
    if (text->correlation[0] != '\0') {
        mosquitto_property_add_binary(&list, MQTT_PROP_CORRELATION_DATA, text->correlation,
                                      (uint16_t)strlen(text->correlation));
    }
    return list;
}

/* libmosquitto delivers an accepted message, whatever happens to the connection. */
static void publish(struct sender *sender, uint32_t number)
{
    const struct senders *senders = sender->all;
    struct plan_text text;
    int id = 0;
    plan_render(senders->plan, number, wall_ms(), &text);
    bool is_v5 = plan_is_v5(&senders->plan->items[number]);
    mosquitto_property *properties = is_v5 ? make_properties(&text) : NULL;
    int result = mosquitto_publish_v5(sender->link.mosq, &id, text.topic, (int)text.payload_length,
                                      text.payload, 1, text.is_retained, properties);
    mosquitto_property_free_all(&properties);
    plan_text_fini(&text);
    /* libmosquitto accepts the message also when the connection breaks during the write. */
    if (result != MOSQ_ERR_SUCCESS && result != MOSQ_ERR_NO_CONN && result != MOSQ_ERR_CONN_LOST &&
        result != MOSQ_ERR_ERRNO) {
        flow_fail("command %u cannot be published: %s", number, mosquitto_strerror(result));
    }
    sender->numbers[id & 0xffff] = number;
    sender->in_flight++;
}

static void work_queue(struct sender *sender)
{
    size_t done = 0;
    while (done < sender->queue_count && sender->link.is_connected &&
           sender->in_flight < IN_FLIGHT_MAX) {
        publish(sender, sender->queue[done++]);
    }
    sender->queue_count -= done;
    memmove(sender->queue, sender->queue + done, sender->queue_count * sizeof *sender->queue);
}

void senders_poll(const struct senders *senders, struct pollfd *out_entries)
{
    for (int i = 0; i < PLAN_SENDERS; i++) {
        out_entries[i] = link_poll(&senders->rows[i].link);
    }
}

void senders_step(struct senders *senders, const struct pollfd *entries, int64_t now_ms)
{
    for (int i = 0; i < PLAN_SENDERS; i++) {
        struct sender *sender = &senders->rows[i];
        link_step(&sender->link, entries[i].revents, now_ms);
        if (sender->queue_count > 0) {
            work_queue(sender);
        }
    }
}

size_t senders_pending(const struct senders *senders)
{
    size_t count = 0;
    for (int i = 0; i < PLAN_SENDERS; i++) {
        count += senders->rows[i].queue_count + (size_t)senders->rows[i].in_flight;
    }
    return count;
}

int64_t senders_lost_connections(const struct senders *senders)
{
    int64_t count = 0;
    for (int i = 0; i < PLAN_SENDERS; i++) {
        count += senders->rows[i].link.lost_count;
    }
    return count;
}
