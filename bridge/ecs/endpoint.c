/* The presets are rows; {RegionId} is filled in per call. */
#include "endpoint.h"

#include "base/mem.h"
#include "settings/url.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define REGION "{RegionId}"

struct preset {
    const char *name;
    const char *version;
    const char *public_url;
    const char *vpc_url;
};

static const struct preset presets[] = {
    {"ebs", "2021-07-30", "https://ebs." REGION ".aliyuncs.com",
     "https://ebs-vpc." REGION ".aliyuncs.com"},
    {"ecs", "2014-05-26", "https://ecs.aliyuncs.com", "https://ecs-vpc." REGION ".aliyuncs.com"},
};

static void fill_region(const char *text, const char *region, struct buf *out)
{
    const char *at;

    while ((at = strstr(text, REGION)) != NULL) {
        buf_append(out, slice_of(text, (size_t)(at - text)));
        buf_append_text(out, region);
        text = at + strlen(REGION);
    }
    buf_append_text(out, text);
}

enum status endpoint_init(struct endpoint *endpoint, const char *preset, const char *network,
                          const char *override, const char *version, bool allow_http,
                          const char **out_why)
{
    const struct preset *chosen = NULL;
    for (size_t i = 0; i < sizeof presets / sizeof presets[0]; i++) {
        if (strcmp(presets[i].name, preset) == 0) {
            chosen = &presets[i];
        }
    }
    if (chosen == NULL) {
        *out_why = "is not known: the preset is neither \"ebs\" nor \"ecs\"";
        return STATUS_INVALID;
    }
    if (override[0] != '\0' &&
        !url_is_valid(override, allow_http ? URL_ENDPOINT_ANY : URL_ENDPOINT, out_why)) {
        return STATUS_INVALID;
    }
    const char *own = strcmp(network, "vpc") == 0 ? chosen->vpc_url : chosen->public_url;
    endpoint->url_template = mem_strdup(override[0] != '\0' ? override : own);
    endpoint->version = mem_strdup(version[0] != '\0' ? version : chosen->version);
    return STATUS_OK;
}

bool endpoint_has_region_hosts(const struct endpoint *endpoint)
{
    return strstr(endpoint->url_template, REGION) != NULL;
}

void endpoint_fini(struct endpoint *endpoint)
{
    if (endpoint == NULL) {
        return;
    }
    free(endpoint->url_template);
    free(endpoint->version);
    *endpoint = (struct endpoint){0};
}

void endpoint_of_region(const struct endpoint *endpoint, const char *region, struct buf *out_url,
                        struct buf *out_host)
{
    const char *host = strstr(endpoint->url_template, "://");

    assert(host != NULL);
    fill_region(endpoint->url_template, region, out_url);
    fill_region(host + strlen("://"), region, out_host);
}
