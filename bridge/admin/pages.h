/*
 * pages - what the pages of the admin endpoint hold. Each function appends the body and returns the
 * HTTP status.
 *
 * Thread: any.
 */
#ifndef ADMIN_PAGES_H
#define ADMIN_PAGES_H

struct admin_options;
struct buf;

/* /readyz: 200 "ready", else 503 and the present reasons, a line each, with the time since when. */
unsigned admin_page_readyz(const struct admin_options *options, struct buf *out);
/* /status: admin_put_status(). */
unsigned admin_page_status(const struct admin_options *options, struct buf *out);
/* The files of the page /. */
unsigned admin_page_html(const struct admin_options *options, struct buf *out);
unsigned admin_page_css(const struct admin_options *options, struct buf *out);
unsigned admin_page_js(const struct admin_options *options, struct buf *out);
unsigned admin_page_words(const struct admin_options *options, struct buf *out);
unsigned admin_page_icon(const struct admin_options *options, struct buf *out);
/* /metrics: all counters in Prometheus' text format. */
unsigned admin_page_metrics(const struct admin_options *options, struct buf *out);

#endif
