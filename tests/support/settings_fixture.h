/*
 * settings_fixture - settings for a test, which fails where they are refused.
 */
#ifndef SUPPORT_SETTINGS_FIXTURE_H
#define SUPPORT_SETTINGS_FIXTURE_H

#include "settings/settings.h"

/* The settings of a text; to be freed with settings_free(). */
struct settings *settings_of_text(const char *text);
/* The settings of a file; to be freed with settings_free(). */
struct settings *settings_of_file(const char *path);
/* Sets those that a call of the API needs, without a text: nothing is to be freed. */
void settings_fixture_set_api(struct settings *settings);
/* What a route is warned of that allows everything, as the default route does. */
#define OPEN_ROUTE_WARNING                                                                       \
    ": routes[0].groups: allows every replica group, and `regions` every region: everybody who " \
    "may publish on this route's topics can start all of them; list the regions or the groups\n"
/* Routes that warn of nothing. */
#define LIMITED_ROUTES " routes = ({ groups = (\"pg-*\"); });"

/* The text is refused with exactly these lines of errors. */
void assert_errors(const char *text, const char *expected);
/* The text is accepted with exactly these lines of warnings; "" for none. */
void assert_warnings(const char *text, const char *expected);

#endif
