/*
 * documents - the users' pages that are made from the tables, as Markdown, and the schemas of the
 * messages, as JSON.
 *
 * Thread: any; pure.
 */
#ifndef DOCUMENTS_DOCUMENTS_H
#define DOCUMENTS_DOCUMENTS_H

#include "base/buf.h"

/* config/settings.md: every setting, from tables/settings.def. */
void settings_page(struct buf *out);
/* config/errors.md: every error, from tables/outcomes.def and tables/errors.def. */
void errors_page(struct buf *out);
/* config/events.md: every log event and reason, from tables/log_events.def and tables/health_reasons.def. */
void events_page(struct buf *out);
/* config/metrics.md: every metric, from tables/metrics.def. */
void metrics_page(struct buf *out);
/* config/schema/: a JSON Schema (2020-12) for each kind of message. */
void command_schema(struct buf *out);
void reply_schema(struct buf *out);
void status_schema(struct buf *out);
void dead_letter_schema(struct buf *out);
void event_schema(struct buf *out);

#endif
