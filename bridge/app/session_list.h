/*
 * session_list - the rows of the ledger about sessions at the broker and status topics.
 *
 *   broker.session:CLIENT_ID         the SESSION_ flags
 *   broker.filter:CLIENT_ID\nFILTER  a filter of that session, with its "$share/GROUP/"
 *   broker.status:TOPIC              a topic on which a status may be retained
 *   instance:NAME                    the name that was made for this bridge
 *   session:N:CLIENT_ID              of former versions: receiver N, whose client id was
 *                                    CLIENT_ID-in, or CLIENT_ID-in-(N+1) with several receivers
 *
 * A text of the settings has no control character, so the line feed separates.
 *
 * Thread: the loop's.
 */
#ifndef APP_SESSION_LIST_H
#define APP_SESSION_LIST_H

#include "ledger/ledger.h"
#include "model/route.h"
#include "mqtt/session.h"
#include "settings/settings.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SESSION_LISTED = 1,
    SESSION_OPENED = 2,   /* the broker has it: if it is absent, it is lost */
    SESSION_SEEN = 4,     /* "session present" was set once: this broker does set it */
    SESSION_REPORTED = 8, /* it was absent the last time, and the loss was reported */
    SESSION_WARNED = 16   /* session_never_present was logged */
};

struct session_record {
    char *client_id;
    char *instance; /* another bridge, which has no run; NULL: it is this bridge's session */
    int64_t flags;
    struct text_list filters;     /* all that the ledger lists */
    struct text_list unsubscribe; /* those that the settings do not name; the texts are borrowed */
    bool is_abandoned;            /* it is left to its own bridge */
    bool is_ending;               /* it is drained; the broker is asked to end it */
    bool is_gone;
};

struct session_list {
    struct session_record *records;
    size_t count;
    bool has_own;                   /* the first record is of the session that the settings name */
    struct text_list status;        /* topics */
    struct text_list former_status; /* those that the settings do not name; borrowed */
    struct text_list legacy;        /* keys of former versions */
    char *instance;                 /* NULL: none was made */
    bool is_instance_new;           /* it is not in the ledger */
};

/* Reads all rows; before ledger_start(). */
void session_list_load(struct session_list *list, struct ledger *ledger);
void session_list_fini(struct session_list *list);
/*
 * The instance of a bridge whose settings name none: the one in the ledger. Else one is made from
 * `host`, and stored by session_list_update(); where the ledger was used before, it is `host`
 * itself, as former versions had it.
 */
const char *session_list_instance(struct session_list *list, const char *host);
/*
 * Compares with what the settings name and writes what is missing: the session of the settings
 * (unless `is_leaving`) and its filters, `status_topic` ("" for none), and the rows of former
 * versions in their new form. True if something was written. After ledger_start().
 */
bool session_list_update(struct session_list *list, const struct settings *settings,
                         bool is_leaving, const char *status_topic, struct ledger *ledger);
/*
 * Of settings that the bridge is about to run on: writes the filters of its session that the ledger
 * does not list. True if something was written. When the bridge runs on them,
 * session_list_filters_changed() chooses again what is to be unsubscribed from it.
 */
bool session_list_add_filters(struct session_list *list, const struct settings *settings,
                              struct ledger *ledger);
void session_list_filters_changed(struct session_list *list, const struct settings *settings);
/* The session of the settings becomes a former one, of which everything is to be unsubscribed. The
 * record stays where it is. NULL: there is none. */
struct session_record *session_list_leave(struct session_list *list);
/* The client id in the key of a session or of a filter, which the caller frees; NULL: it is another
 * key. *out_filter: the filter, or NULL. */
char *session_key_client_id(const char *key, const char **out_filter);
/* Adds a session of another bridge, with everything to unsubscribe. No session with this client id
 * may be in the list, unless it is gone. `found` is copied. */
struct session_record *session_list_adopt(struct session_list *list, const char *instance,
                                          const struct session_record *found);
/* NULL: there is none. */
struct session_record *session_list_find(struct session_list *list, const char *client_id);
/* NULL: the bridge is leaving. */
struct session_record *session_list_own(struct session_list *list);
/* Those that the settings do not name. */
size_t session_list_former_count(const struct session_list *list);
void session_record_store(const struct session_record *record, struct ledger *ledger);
/* The filters of `unsubscribe` are not at the broker any more: deletes them from the ledger and
 * from both lists. */
void session_record_forget_unsubscribed(struct session_record *record, struct ledger *ledger);
/* Deletes the session with its filters from the ledger; the record is gone. */
void session_record_forget(struct session_record *record, struct ledger *ledger);
void session_list_forget_status(const char *topic, struct ledger *ledger);

#endif
