/*
 * flow_settings - writes a bridge's configuration file from lines `path = value;`.
 *
 * Later lines replace earlier ones with the same path; `routes.key` belongs to the one route that
 * is written. A line `routes = ( ... );` writes routes of one's own; it must not be mixed with
 * `routes.key`.
 */
#ifndef FLOW_SETTINGS_H
#define FLOW_SETTINGS_H

/* The libconfig text of both lists of lines; the caller frees it. NULL lists are empty. */
char *settings_write(const char *defaults, const char *overrides);

#endif
