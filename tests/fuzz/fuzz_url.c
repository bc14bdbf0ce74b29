/*
 * The input is checked as a URL for every use. The parts of a URL point into the text; a URL that
 * is accepted for a use fulfils the rules of that use; a refused one has a reason.
 */
#include "base/mem.h"
#include "settings/url.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void check_part(const char *text, struct slice part)
{
    if (slice_is_present(part)) {
        assert(part.data >= text && part.data + part.length <= text + strlen(text));
    }
}

static void check_url(const char *text, const struct url *url)
{
    check_part(text, url->scheme);
    check_part(text, url->userinfo);
    check_part(text, url->host);
    check_part(text, url->path);
    assert(url->scheme.length > 0 && url->host.length > 0);
    assert(url->port >= -1 && url->port <= 65535);
    assert(!slice_is_present(url->path) || strchr("/?#", url->path.data[0]) != NULL);
    for (size_t i = 0; i < url->host.length; i++) {
        char c = url->host.data[i];
        assert((unsigned char)c > ' ' && (unsigned char)c < 0x7f && strchr("/@?#[]%", c) == NULL);
    }
}

static void check_claims(const char *text, bool is_url, const struct url *url)
{
    const char *why = NULL;
    if (url_is_valid(text, URL_ENDPOINT, &why)) {
        assert(strncmp(text, "https://", 8) == 0 || (is_url && url_is_loopback_host(url->host)));
        assert(strchr(text, '@') == NULL && url_is_valid(text, URL_ENDPOINT_ANY, &why));
    } else {
        assert(why != NULL);
    }
    if (url_is_valid(text, URL_BROKER, &why)) {
        assert(is_url && !slice_is_present(url->userinfo) && url_broker_port(url->scheme) > 0);
    }
    if (url_is_valid(text, URL_PROXY, &why)) {
        assert(is_url && !slice_is_present(url->path));
    }
    if (url_is_valid(text, URL_STS, &why)) {
        assert(url_is_valid(text, URL_ENDPOINT, &why));
    }
    if (url_is_valid(text, URL_METADATA, &why)) {
        assert(slice_equals_text(url->host, "100.100.100.200") || url_is_loopback_host(url->host));
    }
    if (url_is_valid(text, URL_CREDENTIALS, &why)) {
        assert(is_url && !slice_is_present(url->userinfo));
    }
}

static void check_listen(const char *text)
{
    struct slice host;
    const char *why = NULL;
    int port = -2;
    if (url_split_listen(text, &host, &port, &why)) {
        check_part(text, host);
        assert(port >= 0 && port <= 65535);
    } else {
        assert(why != NULL && port == -2);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = mem_dup(data, size);
    struct url url;
    const char *why = NULL;
    bool is_url = url_split(text, &url, &why);
    if (is_url) {
        check_url(text, &url);
    } else {
        assert(why != NULL);
    }
    check_claims(text, is_url, &url);
    check_listen(text);
    free(text);
    return 0;
}
