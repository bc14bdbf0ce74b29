/* The sources by name. To add one, write its file and a row in tables/credential_sources.def. */
#include "sources.h"

#include "profiles.h"
#include "roles.h"

#include <string.h>

static const struct {
    const char *provider;
    bool is_in_chain;
    struct credential_source *(*open)(const struct credential_context *context);
} rows[] = {
#define CREDENTIAL_SOURCE(provider, is_in_chain, open) {provider, is_in_chain, open},
#include "tables/credential_sources.def"
#undef CREDENTIAL_SOURCE
};
#define ROW_COUNT (sizeof rows / sizeof rows[0])

struct credential_source *credentials_source_open(const struct credential_context *context,
                                                  const char *provider)
{
    struct credential_source *sources[ROW_COUNT];
    size_t count = 0;
    bool is_chain = strcmp(provider, "default") == 0;
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (is_chain ? rows[i].is_in_chain : strcmp(rows[i].provider, provider) == 0) {
            sources[count++] = rows[i].open(context);
        }
    }
    if (is_chain) {
        return credentials_chain_new("default/", sources, count);
    }
    return count > 0 ? sources[0] : NULL;
}
