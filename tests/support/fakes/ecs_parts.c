#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ecs_parts.h"

#include "fake_http.h"
#include "support/settings_fixture.h"

#include <stdlib.h>

void ecs_parts_init(struct ecs_parts *parts)
{
    struct buf why = {0};
    *parts = (struct ecs_parts){.loop = loop_new()};
    parts->health = health_new(parts->loop);
    settings_fixture_set_api(&parts->settings);
    setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "LTAItestid", 1);
    setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "testsecretkey", 1);
    unsetenv("ALIBABA_CLOUD_SECURITY_TOKEN");
    assert_int_equal(ecs_new(parts->loop, &parts->settings, &parts->tls, parts->health,
                             &parts->counters, &parts->ecs, &why),
                     STATUS_OK);
    buf_fini(&why);
}

void ecs_parts_fini(struct ecs_parts *parts)
{
    ecs_free(parts->ecs);
    health_free(parts->health);
    loop_free(parts->loop);
    fake_http_reset();
}
