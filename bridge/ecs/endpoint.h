/*
 * endpoint - where an API call goes: presets, overrides, regions.
 *
 * Presets: "ebs" (version 2021-07-30, https://ebs.{RegionId}.aliyuncs.com, VPC ebs-vpc.) and "ecs"
 * (2014-05-26, https://ecs.aliyuncs.com, VPC https://ecs-vpc.{RegionId}.aliyuncs.com). Source: the
 * vendor's endpoint lists.
 *
 * Thread: any; pure.
 */
#ifndef ECS_ENDPOINT_H
#define ECS_ENDPOINT_H

#include "base/buf.h"
#include "base/status.h"

#include <stdbool.h>

struct endpoint {
    char *url_template; /* scheme://host[:port], {RegionId} in it */
    char *version;
};

/* `override` and `version` are "" for the preset's own. *out_why is what is wrong with an
 * override. */
enum status endpoint_init(struct endpoint *endpoint, const char *preset, const char *network,
                          const char *override, const char *version, bool allow_http,
                          const char **out_why);
void endpoint_fini(struct endpoint *endpoint);
/* Whether each region has a host of its own. */
bool endpoint_has_region_hosts(const struct endpoint *endpoint);
/* Appends the URL ("https://host[:port]") and the host as it stands in the Host header. */
void endpoint_of_region(const struct endpoint *endpoint, const char *region, struct buf *out_url,
                        struct buf *out_host);

#endif
