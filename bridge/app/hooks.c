/*
 * What the ledger and the MQTT connections report, and which part gets it: each hook is a line or
 * two that call another part.
 */
#include "hooks.h"

#include "base/log.h"
#include "ledger_loss.h"
#include "settings/store_uri.h"

/* ---- Of the ledger ---- */

static void on_resumed(void *arg, struct command *command)
{
    struct bridge *bridge = arg;
    const struct settings *settings = bridge->settings;
    bool is_allowed = route_still_allows(settings->routes, settings->route_count, command->route,
                                         command->action, command->region, command->group);
    dispatch_resume(bridge->dispatch, command, is_allowed);
}

static void on_posted(void *arg, int64_t id, struct slice message)
{
    struct bridge *bridge = arg;
    outbox_posted(bridge->outbox, id, message);
    status_topic_counts_changed(bridge->status_topic);
}

static void on_audited(void *arg, int64_t seq)
{
    exporter_added(((struct bridge *)arg)->exporter, seq);
}

static void on_may_have_lost(void *arg)
{
    struct bridge *bridge = arg;
    ledger_loss_report(bridge->ledger, bridge->health);
}

static void on_watched(void *arg, const struct watch *watch)
{
    watcher_add(((struct bridge *)arg)->watcher, watch);
}

static void on_polls(void *arg, const char *region, const struct watch *const *watches,
                     size_t count)
{
    watcher_set_region(((struct bridge *)arg)->watcher, region, watches, count);
}

static void on_unwatched(void *arg, int64_t id)
{
    watcher_remove(((struct bridge *)arg)->watcher, id);
}

static void show_store_health(struct bridge *bridge)
{
    health_set(bridge->health, HEALTH_STORE_UNAVAILABLE,
               bridge->is_store_failing || !bridge->lease.is_valid);
}

static void on_store_health(void *arg, bool is_failing, const char *text)
{
    struct bridge *bridge = arg;
    bridge->is_store_failing = is_failing;
    if (is_failing) {
        LOG_ERROR("store_unavailable", LOG_TEXT("why", text));
    } else {
        struct buf store = {0};
        store_uri_mask(bridge->settings->ledger.store, &store);
        LOG_INFO("store_available", LOG_SLICE("store", buf_slice(&store)));
        buf_fini(&store);
    }
    show_store_health(bridge);
}

struct ledger_hooks hooks_of_ledger(struct bridge *bridge)
{
    return (struct ledger_hooks){.arg = bridge,
                                 .resumed = on_resumed,
                                 .posted = on_posted,
                                 .audited = on_audited,
                                 .health = on_store_health,
                                 .may_have_lost = on_may_have_lost,
                                 .watched = on_watched,
                                 .unwatched = on_unwatched,
                                 .polls = on_polls};
}

void hooks_lease_changed(void *arg)
{
    struct bridge *bridge = arg;
    show_store_health(bridge);
    adoption_lease_changed(bridge->adoption);
}

/* ---- Of the MQTT connections ---- */

static void on_delivered(void *arg, const struct delivery *delivery, struct mqtt_ticket ticket)
{
    struct bridge *bridge = arg;
    intake_deliver(bridge->intake, delivery, ticket);
    status_topic_counts_changed(bridge->status_topic);
}

static void on_published(void *arg, int64_t id, bool has_subscriber)
{
    struct bridge *bridge = arg;
    (void)has_subscriber; /* whoever waits for a reply may be away for now */
    if (id == STATUS_TOPIC_MESSAGE_ID) {
        status_topic_published(bridge->status_topic);
    } else if (id < 0) {
        sessions_published(bridge->sessions, id, true);
    } else {
        outbox_published(bridge->outbox, id);
        status_topic_counts_changed(bridge->status_topic);
    }
}

static void on_expired(void *arg, int64_t id)
{
    outbox_expired(((struct bridge *)arg)->outbox, id);
}

static void on_unpublished(void *arg, int64_t id, uint32_t code, struct slice why)
{
    struct bridge *bridge = arg;
    if (id == STATUS_TOPIC_MESSAGE_ID) {
        status_topic_unpublished(bridge->status_topic, why);
    } else if (id < 0) {
        sessions_published(bridge->sessions, id, false);
    } else {
        outbox_unpublished(bridge->outbox, id, code, why);
    }
}

static void notify_systemd(const struct bridge *bridge)
{
    struct buf line = {0};
    buf_printf(&line, "STATUS=receiver %s, publisher %s",
               workers_is_receiving(bridge->workers) ? "subscribed" : "not subscribed",
               workers_may_publish(bridge->workers) ? "connected" : "not connected");
    systemd_notify(bridge->systemd, line.data);
    buf_fini(&line);
}

static void on_publisher_changed(void *arg, bool is_up)
{
    struct bridge *bridge = arg;
    notify_systemd(bridge);
    health_set(bridge->health, HEALTH_NO_PUBLISHER, !is_up);
    outbox_publisher_changed(bridge->outbox, is_up);
    sessions_publisher_changed(bridge->sessions, is_up);
}

/* Do not report that the receiver goes down during a stop. */
static void on_receiver_changed(void *arg, bool is_up)
{
    struct bridge *bridge = arg;
    if (!shutdown_has_begun(bridge->shutdown)) {
        notify_systemd(bridge);
        health_set(bridge->health, HEALTH_NOT_SUBSCRIBED, !is_up);
    }
    sessions_receiver_changed(bridge->sessions, is_up);
}

static void on_brokers_differ(void *arg, bool do_differ)
{
    health_set(((struct bridge *)arg)->health, HEALTH_BROKERS_DIFFER, do_differ);
}

static void on_session_connected(void *arg, const char *client_id, bool is_session_present,
                                 uint32_t generation)
{
    sessions_connected(((struct bridge *)arg)->sessions, client_id, is_session_present, generation);
}

static void on_session_drained(void *arg, const char *client_id)
{
    sessions_drained(((struct bridge *)arg)->sessions, client_id);
}

static void on_session_ended(void *arg, const char *client_id)
{
    struct bridge *bridge = arg;
    sessions_ended(bridge->sessions, client_id);
    adoption_session_ended(bridge->adoption, client_id);
}

static void on_stopped(void *arg)
{
    shutdown_workers_stopped(((struct bridge *)arg)->shutdown);
}

struct workers_hooks hooks_of_workers(struct bridge *bridge)
{
    return (struct workers_hooks){.arg = bridge,
                                  .delivered = on_delivered,
                                  .published = on_published,
                                  .unpublished = on_unpublished,
                                  .expired = on_expired,
                                  .publisher_changed = on_publisher_changed,
                                  .brokers_differ = on_brokers_differ,
                                  .receiver_changed = on_receiver_changed,
                                  .session_connected = on_session_connected,
                                  .session_drained = on_session_drained,
                                  .session_ended = on_session_ended,
                                  .stopped = on_stopped};
}
