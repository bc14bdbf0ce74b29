/*
 * flow_settings - writes a bridge's configuration file from lines `path = value;`.
 *
 * Later lines replace earlier ones with the same path. `routes.key` is a key of the single default
 * route. A line `routes = ( ... );` replaces all routes; it must not be combined with `routes.key`.
 */
#ifndef FLOW_SETTINGS_H
#define FLOW_SETTINGS_H

/* The libconfig text of both lists of lines; NULL is an empty list. The caller frees it. */
char *settings_write(const char *defaults, const char *overrides);

#endif
