#include "support.h"

#include "base/clock.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/log.h"
#include "http/client.h"
#include "ledger/ledger.h"

#include <sys/utsname.h>

static void put_versions(struct buf *out)
{
    struct utsname system;
    json_put_text(out, "Version", slice_text(BRIDGE_VERSION));
    json_put_name(out, "Libraries");
    json_put_open(out, '{');
    json_put_text(out, "libcurl", slice_text(http_library_version()));
    json_put_text(out, "openssl", slice_text(digest_library_version()));
    json_put_text(out, "libuv", slice_text(loop_library_version()));
    json_put_text(out, "sqlite", slice_text(ledger_library_version()));
    json_put_text(out, "libmicrohttpd", slice_text(admin_library_version()));
    json_put_close(out, '}');
    if (uname(&system) == 0) {
        json_put_text(out, "Kernel", slice_text(system.release));
        json_put_text(out, "Machine", slice_text(system.machine));
    }
}

/* The lines of a text as an array. */
static void put_lines(struct buf *out, const char *name, const struct buf *text)
{
    struct slice rest = buf_slice(text);
    json_put_name(out, name);
    json_put_open(out, '[');
    for (struct slice line; slice_take_line(&rest, &line);) {
        json_put_element(out, line);
    }
    json_put_close(out, ']');
}

void support_put(const struct admin_options *admin, const struct settings *settings,
                 struct buf *out)
{
    struct buf text = {0};
    json_put_open(out, '{');
    json_put_time(out, "MadeAt", clock_wall_ms());
    put_versions(out);
    admin_put_status(admin, &text);
    json_put_raw(out, "Status", slice_trim(buf_slice(&text), "\n"));
    buf_clear(&text);
    settings_print(settings, &text);
    put_lines(out, "Settings", &text);
    buf_clear(&text);
    admin_put_metrics(admin, &text);
    put_lines(out, "Metrics", &text);
    buf_clear(&text);
    log_put_recent(&text);
    put_lines(out, "Log", &text);
    json_put_close(out, '}');
    buf_append_char(out, '\n');
    buf_fini(&text);
}
