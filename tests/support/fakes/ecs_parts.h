/*
 * ecs_parts - what a call of the API needs, with credentials from the environment. The API is
 * fake_http.
 */
#ifndef SUPPORT_FAKES_ECS_PARTS_H
#define SUPPORT_FAKES_ECS_PARTS_H

#include "ecs/call.h"

struct ecs_parts {
    struct loop *loop;
    struct settings settings;
    struct tls_files tls;
    struct health *health;
    struct counters counters;
    struct ecs *ecs;
};

void ecs_parts_init(struct ecs_parts *parts);
/* Frees them, and ends the calls that are still under way. */
void ecs_parts_fini(struct ecs_parts *parts);

#endif
