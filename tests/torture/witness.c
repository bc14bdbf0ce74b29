#include "witness.h"

#include "flow_check.h"

#include <stdio.h>
#include <string.h>

#define DEAD_LETTERS "ecs-bridge/v1/dead-letters"
#define STATUS       "ecs-bridge/v1/status/"

enum { FILTERS = 3, STATUS_BYTES = 2048 };

static void subscribe(void *arg)
{
    static const char *const filters[FILTERS] = {"ecs-bridge/v1/replies/#", DEAD_LETTERS,
                                                 STATUS "+"};
    struct witness *witness = arg;
    int result = mosquitto_subscribe_multiple(witness->link.mosq, NULL, FILTERS,
                                              (char *const *)(uintptr_t)filters, 1, 0, NULL);
    if (result != MOSQ_ERR_SUCCESS && result != MOSQ_ERR_NO_CONN && result != MOSQ_ERR_CONN_LOST &&
        result != MOSQ_ERR_ERRNO) {
        flow_fail("the witness cannot subscribe: %s", mosquitto_strerror(result));
    }
}

static void on_subscribe(struct mosquitto *mosq, void *arg, int id, int count, const int *granted,
                         const mosquitto_property *properties)
{
    struct witness *witness = arg;
    (void)mosq;
    (void)id;
    (void)properties;
    for (int i = 0; i < count; i++) {
        if (granted[i] != 1) {
            flow_fail("the broker refuses the witness a subscription: %d", granted[i]);
        }
    }
    witness->is_ready = true;
}

static void keep_state(struct witness *witness, const struct mosquitto_message *message)
{
    char body[STATUS_BYTES];
    char state[16] = "";
    struct witness_bridge *bridge = witness->bridges;
    struct witness_bridge *end = bridge + TAP_BRIDGES_MAX;
    while (bridge < end && strcmp(message->topic + strlen(STATUS), bridge->instance) != 0) {
        bridge++;
    }
    if (bridge == end) {
        return; /* of former settings: its Last Will, or cleared */
    }
    snprintf(body, sizeof body, "%.*s", message->payloadlen, (const char *)message->payload);
    sscanf(body, "{\"State\":\"%15[a-z]", state);
    memcpy(bridge->last_state, state, sizeof state);
    bridge->is_draining = strstr(body, "\"draining_session\"") != NULL;
    bridge->has_ledger_loss = strstr(body, "\"ledger_may_have_lost\"") != NULL;
    if (counters_read_status(body, &bridge->last_counts)) {
        witness->counts_count++;
        counters_check_sum(&bridge->last_counts);
    }
}

static void on_message(struct mosquitto *mosq, void *arg, const struct mosquitto_message *message,
                       const mosquitto_property *properties)
{
    struct witness *witness = arg;
    (void)mosq;
    if (strncmp(message->topic, STATUS, strlen(STATUS)) == 0) {
        keep_state(witness, message);
    } else {
        record_add(witness->record, message, properties, DEAD_LETTERS);
    }
}

void witness_init(struct witness *witness, struct record *record, int port)
{
    *witness = (struct witness){.record = record};
    witness->self = &witness->link;
    link_init(&witness->link, "torture-witness", port, 5, witness);
    witness->link.connected = subscribe;
    mosquitto_subscribe_v5_callback_set(witness->link.mosq, on_subscribe);
    mosquitto_message_v5_callback_set(witness->link.mosq, on_message);
}

void witness_fini(struct witness *witness)
{
    link_fini(&witness->link);
}

void witness_follow(struct witness *witness, int number, const char *instance)
{
    struct witness_bridge *bridge = &witness->bridges[number];
    if (strcmp(bridge->instance, instance) != 0) {
        snprintf(bridge->instance, sizeof bridge->instance, "%s", instance);
        bridge->last_state[0] = '\0';
    }
}

void witness_step(struct witness *witness, short revents, int64_t now_ms)
{
    link_step(&witness->link, revents, now_ms);
    if (!witness->link.is_connected) {
        witness->is_ready = false;
    }
}
