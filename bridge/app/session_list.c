#include "session_list.h"

#include "base/buf.h"
#include "base/digest.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SESSION_PREFIX  LEDGER_SESSION_PREFIX
#define FILTER_PREFIX   LEDGER_FILTER_PREFIX
#define STATUS_PREFIX   "broker.status:"
#define INSTANCE_PREFIX "instance:"
#define LEGACY_PREFIX   "session:"
#define INSTANCE_RANDOM 6

static void append(struct text_list *list, char *text)
{
    list->items = mem_realloc(list->items, (list->count + 1) * sizeof *list->items);
    list->items[list->count++] = text;
}

/* ---- Rows ---- */

static char *key_of(const char *prefix, const char *text, const char *more)
{
    struct buf key = {0};
    buf_printf(&key, "%s%s%s", prefix, text, more);
    return buf_take(&key);
}

static char *filter_key(const struct session_record *record, const char *filter)
{
    struct buf key = {0};
    buf_printf(&key, FILTER_PREFIX "%s\n%s", record->client_id, filter);
    return buf_take(&key);
}

/* `instance`: whose rows these are; NULL: this bridge's. */
static void remember(struct ledger *ledger, const char *instance, char *key_take, int64_t value)
{
    ledger_remember_of(ledger, instance, key_take, value);
    free(key_take);
}

static void forget(struct ledger *ledger, const char *instance, char *key_take)
{
    ledger_forget_of(ledger, instance, key_take);
    free(key_take);
}

void session_record_store(const struct session_record *record, struct ledger *ledger)
{
    remember(ledger, record->instance, key_of(SESSION_PREFIX, record->client_id, ""),
             record->flags);
}

void session_record_forget_unsubscribed(struct session_record *record, struct ledger *ledger)
{
    size_t kept_count = 0;
    for (size_t i = 0; i < record->filters.count; i++) {
        char *filter = record->filters.items[i];
        if (text_list_has(&record->unsubscribe, filter)) {
            forget(ledger, record->instance, filter_key(record, filter));
        } else {
            record->filters.items[kept_count++] = filter;
        }
    }
    record->filters.count = kept_count;
    for (size_t i = 0; i < record->unsubscribe.count; i++) {
        free(record->unsubscribe.items[i]);
    }
    record->unsubscribe.count = 0;
}

void session_record_forget(struct session_record *record, struct ledger *ledger)
{
    for (size_t i = 0; i < record->filters.count; i++) {
        forget(ledger, record->instance, filter_key(record, record->filters.items[i]));
    }
    forget(ledger, record->instance, key_of(SESSION_PREFIX, record->client_id, ""));
    record->is_gone = true;
}

void session_list_forget_status(const char *topic, struct ledger *ledger)
{
    forget(ledger, NULL, key_of(STATUS_PREFIX, topic, ""));
}

/* ---- Records ---- */

struct session_record *session_list_find(struct session_list *list, const char *client_id)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->records[i].client_id, client_id) == 0) {
            return &list->records[i];
        }
    }
    return NULL;
}

struct session_record *session_list_own(struct session_list *list)
{
    return list->has_own ? &list->records[0] : NULL;
}

size_t session_list_former_count(const struct session_list *list)
{
    size_t count = 0;
    for (size_t i = list->has_own ? 1 : 0; i < list->count; i++) {
        count += !list->records[i].is_gone;
    }
    return count;
}

/* The record of this client id, a new one if there is none. */
static struct session_record *record_of(struct session_list *list, const char *client_id)
{
    struct session_record *record = session_list_find(list, client_id);
    if (record == NULL) {
        list->records = mem_realloc(list->records, (list->count + 1) * sizeof *list->records);
        record = &list->records[list->count++];
        *record = (struct session_record){.client_id = mem_strdup(client_id)};
    }
    return record;
}

/* ---- Loading ---- */

char *session_key_client_id(const char *key, const char **out_filter)
{
    *out_filter = NULL;
    if (strncmp(key, SESSION_PREFIX, strlen(SESSION_PREFIX)) == 0) {
        return mem_strdup(key + strlen(SESSION_PREFIX));
    }
    const char *client_id = key + strlen(FILTER_PREFIX);
    const char *end = strchr(client_id, '\n');
    if (strncmp(key, FILTER_PREFIX, strlen(FILTER_PREFIX)) != 0 || end == NULL) {
        return NULL;
    }
    *out_filter = end + 1;
    return mem_dup(client_id, (size_t)(end - client_id));
}

static void load(void *arg, const char *key, int64_t value)
{
    const char *filter;
    char *client_id = session_key_client_id(key, &filter);
    if (filter != NULL) {
        append(&record_of(arg, client_id)->filters, mem_strdup(filter));
    } else if (client_id != NULL) {
        record_of(arg, client_id)->flags = value;
    }
    free(client_id);
}

static void load_status(void *arg, const char *key, int64_t value)
{
    struct session_list *list = arg;
    (void)value;
    append(&list->status, mem_strdup(key + strlen(STATUS_PREFIX)));
}

static void load_instance(void *arg, const char *key, int64_t value)
{
    struct session_list *list = arg;
    (void)value;
    free(list->instance);
    list->instance = mem_strdup(key + strlen(INSTANCE_PREFIX));
}

static void load_legacy(void *arg, const char *key, int64_t value)
{
    struct session_list *list = arg;
    if (value != 0) {
        append(&list->legacy, mem_strdup(key));
    }
}

void session_list_load(struct session_list *list, struct ledger *ledger)
{
    ledger_recall_all(ledger, SESSION_PREFIX, load, list);
    ledger_recall_all(ledger, FILTER_PREFIX, load, list);
    ledger_recall_all(ledger, STATUS_PREFIX, load_status, list);
    ledger_recall_all(ledger, INSTANCE_PREFIX, load_instance, list);
    ledger_recall_all(ledger, LEGACY_PREFIX, load_legacy, list);
}

const char *session_list_instance(struct session_list *list, const char *host)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz012345";
    bool was_used = list->count > 0 || list->legacy.count > 0;
    if (list->instance == NULL) {
        struct buf name = {0};
        buf_append_text(&name, host);
        uint8_t random[INSTANCE_RANDOM];
        digest_random(random, sizeof random);
        for (size_t i = 0; i < sizeof random && !was_used; i++) {
            buf_append_text(&name, i == 0 ? "-" : "");
            buf_append_char(&name, letters[random[i] % (sizeof letters - 1)]);
        }
        list->instance = buf_take(&name);
        list->is_instance_new = true;
    }
    return list->instance;
}

void session_list_fini(struct session_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->records[i].client_id);
        free(list->records[i].instance);
        text_list_fini(&list->records[i].filters);
        free(list->records[i].unsubscribe.items);
    }
    free(list->records);
    text_list_fini(&list->status);
    free(list->former_status.items);
    text_list_fini(&list->legacy);
    free(list->instance);
}

/* ---- Updating ---- */

static void add_filter(struct session_record *record, char *filter_take, struct ledger *ledger,
                       bool *has_news)
{
    if (text_list_has(&record->filters, filter_take)) {
        free(filter_take);
        return;
    }
    remember(ledger, record->instance, filter_key(record, filter_take), 1);
    append(&record->filters, filter_take);
    *has_news = true;
}

/* Filters as a receiver subscribes to them; `share` replaces an empty share of a route. */
static struct text_list filters_of(const struct settings *settings, const char *share)
{
    struct text_list filters = {0};
    for (size_t i = 0; i < settings->route_count; i++) {
        const struct route *route = &settings->routes[i];
        for (size_t k = 0; k < route->topics.count; k++) {
            struct buf text = {0};
            if (share != NULL && (route->share == NULL || route->share[0] == '\0')) {
                buf_printf(&text, "$share/%s/", share);
            }
            route_append_filter(route, k, &text);
            append(&filters, buf_take(&text));
        }
    }
    return filters;
}

static void add_filters(struct session_record *record, const struct settings *settings,
                        const char *share, struct ledger *ledger, bool *has_news)
{
    struct text_list filters = filters_of(settings, share);
    for (size_t i = 0; i < filters.count; i++) {
        add_filter(record, filters.items[i], ledger, has_news);
    }
    free(filters.items);
}

/* "session:N:ID"; the number, and where the id begins. */
static unsigned long legacy_number(const char *key, const char **out_id)
{
    char *end;
    unsigned long number = strtoul(key + strlen(LEGACY_PREFIX), &end, 10);
    *out_id = *end == ':' ? end + 1 : end;
    return number;
}

static bool had_several(const struct session_list *list, const char *id)
{
    for (size_t i = 0; i < list->legacy.count; i++) {
        const char *other;
        if (legacy_number(list->legacy.items[i], &other) > 0 && strcmp(other, id) == 0) {
            return true;
        }
    }
    return false;
}

/* The filters are not known: those of the settings are the best guess. */
static void add_legacy_session(struct session_list *list, char *client_id_take, int64_t flags,
                               const struct settings *settings, const char *share,
                               struct ledger *ledger)
{
    bool has_news = false;
    struct session_record *record = record_of(list, client_id_take);
    if (record->flags == 0) {
        record->flags = flags;
        session_record_store(record, ledger);
        add_filters(record, settings, share, ledger, &has_news);
    }
    free(client_id_take);
}

/*
 * With several receivers, each had its own session, and shared a group of the bridge's client id
 * if its route had no share. Number 0 was ID-in for one receiver and ID-in-1 for several, so either
 * may exist; none of the sessions that may exist is lost if it does not.
 */
static void adopt_legacy(struct session_list *list, const char *key,
                         const struct settings *settings, struct ledger *ledger)
{
    const char *id;
    unsigned long number = legacy_number(key, &id);
    bool is_one_of_several = had_several(list, id);
    char suffix[32];
    char *share = mem_strdup(id);
    for (char *at = share; (at = strpbrk(at, "/+#")) != NULL;) {
        *at = '_'; /* must not be in the name of a share */
    }
    if (number == 0) {
        add_legacy_session(list, key_of("", id, "-in"),
                           is_one_of_several ? SESSION_LISTED : SESSION_LISTED | SESSION_OPENED,
                           settings, NULL, ledger);
    }
    if (is_one_of_several) {
        snprintf(suffix, sizeof suffix, "-in-%lu", number + 1);
        add_legacy_session(list, key_of("", id, suffix), SESSION_LISTED, settings, share, ledger);
    }
    free(share);
    ledger_forget(ledger, key);
}

/* Makes it the first record. */
static void put_first(struct session_list *list, const struct session_record *record)
{
    struct session_record own = *record;
    size_t index = (size_t)(record - list->records);
    memmove(list->records + 1, list->records, index * sizeof own);
    list->records[0] = own;
    list->has_own = true;
}

static bool update_own(struct session_list *list, const struct settings *settings,
                       struct ledger *ledger)
{
    char *client_id = key_of("", settings->broker.client_id, "-in");
    bool has_news = false;
    put_first(list, record_of(list, client_id));
    struct session_record *own = session_list_own(list);
    if (own->flags == 0) {
        own->flags = SESSION_LISTED;
        session_record_store(own, ledger);
        has_news = true;
    }
    add_filters(own, settings, NULL, ledger, &has_news);
    free(client_id);
    return has_news;
}

/* Everything but what is `named`, as far as one packet carries it. */
static void choose_of(struct session_record *record, const struct text_list *named)
{
    record->unsubscribe.count = 0;
    for (size_t k = 0; k < record->filters.count; k++) {
        char *filter = record->filters.items[k];
        if (!text_list_has(named, filter) && record->unsubscribe.count < MQTT_UNSUBSCRIBE_MAX) {
            append(&record->unsubscribe, filter);
        }
    }
}

static void choose_unsubscribe(struct session_list *list, const struct settings *settings)
{
    const struct text_list nothing = {0};
    struct text_list named = filters_of(settings, NULL);
    for (size_t i = 0; i < list->count; i++) {
        choose_of(&list->records[i], list->has_own && i == 0 ? &named : &nothing);
    }
    text_list_fini(&named);
}

bool session_list_add_filters(struct session_list *list, const struct settings *settings,
                              struct ledger *ledger)
{
    bool has_news = false;
    if (list->has_own) {
        add_filters(session_list_own(list), settings, NULL, ledger, &has_news);
    }
    return has_news;
}

void session_list_filters_changed(struct session_list *list, const struct settings *settings)
{
    if (list->has_own) {
        struct text_list named = filters_of(settings, NULL);
        choose_of(session_list_own(list), &named);
        text_list_fini(&named);
    }
}

struct session_record *session_list_leave(struct session_list *list)
{
    const struct text_list nothing = {0};
    struct session_record *own = session_list_own(list);
    if (own != NULL) {
        list->has_own = false;
        choose_of(own, &nothing);
    }
    return own;
}

struct session_record *session_list_adopt(struct session_list *list, const char *instance,
                                          const struct session_record *found)
{
    const struct text_list nothing = {0};
    struct session_record *record = record_of(list, found->client_id);
    for (size_t i = 0; i < record->filters.count; i++) {
        free(record->filters.items[i]);
    }
    free(record->instance);
    record->filters.count = 0;
    record->instance = mem_strdup(instance);
    record->flags = found->flags;
    record->is_abandoned = false;
    record->is_ending = false;
    record->is_gone = false;
    for (size_t i = 0; i < found->filters.count; i++) {
        append(&record->filters, mem_strdup(found->filters.items[i]));
    }
    choose_of(record, &nothing);
    return record;
}

static bool update_status(struct session_list *list, const char *topic, struct ledger *ledger)
{
    for (size_t i = 0; i < list->status.count; i++) {
        if (strcmp(list->status.items[i], topic) != 0) {
            append(&list->former_status, list->status.items[i]);
        }
    }
    if (topic[0] == '\0' || text_list_has(&list->status, topic)) {
        return false;
    }
    remember(ledger, NULL, key_of(STATUS_PREFIX, topic, ""), 1);
    append(&list->status, mem_strdup(topic));
    return true;
}

bool session_list_update(struct session_list *list, const struct settings *settings,
                         bool is_leaving, const char *status_topic, struct ledger *ledger)
{
    bool has_news = list->legacy.count > 0 || list->is_instance_new;
    if (list->is_instance_new) {
        remember(ledger, NULL, key_of(INSTANCE_PREFIX, list->instance, ""), 1);
    }
    for (size_t i = 0; i < list->legacy.count; i++) {
        adopt_legacy(list, list->legacy.items[i], settings, ledger);
    }
    if (!is_leaving) {
        has_news = update_own(list, settings, ledger) || has_news;
    }
    choose_unsubscribe(list, settings);
    return update_status(list, status_topic, ledger) || has_news;
}
