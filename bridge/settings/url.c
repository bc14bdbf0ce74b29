/*
 * The text is cut at fixed marks (://, /, @, the last colon behind the host), then each part is
 * checked by itself; what the use of a URL forbids is decided by the three functions at the end.
 */
#include "settings/url.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <strings.h>

#define HOST_BYTES_MAX  253 /* RFC 1035, section 2.3.4, as text */
#define LABEL_BYTES_MAX 63
#define REGION_MARK     "{RegionId}"
#define METADATA_HOST   "100.100.100.200"

static struct slice cut(struct slice text, size_t from)
{
    return slice_of(text.data + from, text.length - from);
}

static bool begins_with(struct slice text, const char *prefix)
{
    size_t length = strlen(prefix);
    return text.length >= length && memcmp(text.data, prefix, length) == 0;
}

static bool is_one_of(struct slice word, const char *const words[])
{
    for (size_t i = 0; words[i] != NULL; i++) {
        if (slice_equals_text(word, words[i])) {
            return true;
        }
    }
    return false;
}

static bool has_space_or_control(const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c <= ' ' || c == 0x7f) {
            return true;
        }
    }
    return false;
}

static bool label_byte_is_valid(char c)
{
    return isalnum((unsigned char)c) || c == '-' || c == '_';
}

/* A DNS name; "{RegionId}" counts as one byte of a label. IPv4 addresses are DNS names by their
 * form. */
static bool name_is_valid(struct slice host)
{
    size_t label = 0;
    if (host.length == 0 || host.length > HOST_BYTES_MAX) {
        return false;
    }
    for (size_t i = 0; i < host.length; i++) {
        if (host.data[i] == '.' && label == 0) {
            return false;
        }
        if (host.data[i] == '.') {
            label = 0;
            continue;
        }
        if (begins_with(cut(host, i), REGION_MARK)) {
            i += strlen(REGION_MARK) - 1;
        } else if (!label_byte_is_valid(host.data[i])) {
            return false;
        }
        label++;
        if (label > LABEL_BYTES_MAX) {
            return false;
        }
    }
    return label > 0;
}

static bool address_of(int family, struct slice host, void *out_address)
{
    char text[INET6_ADDRSTRLEN];
    if (host.length == 0 || host.length >= sizeof text) {
        return false;
    }
    memcpy(text, host.data, host.length);
    text[host.length] = '\0';
    return inet_pton(family, text, out_address) == 1;
}

static bool parse_port(struct slice digits, int *out_port)
{
    int port = 0;
    if (digits.length == 0 || digits.length > 5) {
        return false;
    }
    for (size_t i = 0; i < digits.length; i++) {
        if (!isdigit((unsigned char)digits.data[i])) {
            return false;
        }
        port = port * 10 + (digits.data[i] - '0');
    }
    if (port > 65535) {
        return false;
    }
    *out_port = port;
    return true;
}

/* Splits "host", "host:port", "[v6]" and "[v6]:port". */
static bool split_host(struct slice text, struct slice *out_host, int *out_port,
                       const char **out_why)
{
    struct slice host = text;
    struct slice rest;
    struct in6_addr address;
    const char *end;
    bool is_bracketed = text.length > 0 && text.data[0] == '[';
    int port = -1;

    end = text.length == 0 ? NULL : memchr(text.data, is_bracketed ? ']' : ':', text.length);
    if (is_bracketed && end == NULL) {
        *out_why = "has an IPv6 address without its closing bracket";
        return false;
    }
    if (is_bracketed) {
        host = slice_of(text.data + 1, (size_t)(end - text.data) - 1);
        rest = cut(text, host.length + 2);
    } else {
        host.length = end == NULL ? text.length : (size_t)(end - text.data);
        rest = cut(text, host.length);
    }
    if (is_bracketed ? !address_of(AF_INET6, host, &address) : !name_is_valid(host)) {
        *out_why = host.length == 0 ? "has no host"
                                    : "has a host that is neither a DNS name nor an IP address";
        return false;
    }
    if (rest.length > 0 && (rest.data[0] != ':' || !parse_port(cut(rest, 1), &port))) {
        *out_why = "has a port that is no number up to 65535 (IPv6 addresses stand in brackets)";
        return false;
    }
    *out_host = host;
    *out_port = port;
    return true;
}

bool url_split(const char *text, struct url *out_url, const char **out_why)
{
    struct url url = {.port = -1};
    struct slice rest;
    const char *mark = strstr(text, "://");
    if (mark == NULL || mark == text) {
        *out_why = "has no scheme:// in front";
        return false;
    }
    if (has_space_or_control(text)) {
        *out_why = "holds a space or a control character";
        return false;
    }
    url.scheme = slice_of(text, (size_t)(mark - text));
    rest = slice_text(mark + 3);
    size_t authority = strcspn(rest.data, "/?#");
    if (authority < rest.length) {
        url.path = cut(rest, authority);
    }
    rest.length = authority;
    const char *at = memrchr(rest.data, '@', rest.length);
    if (at != NULL) {
        url.userinfo = slice_of(rest.data, (size_t)(at - rest.data));
        rest = cut(rest, url.userinfo.length + 1);
    }
    if (!split_host(rest, &url.host, &url.port, out_why)) {
        return false;
    }
    *out_url = url;
    return true;
}

bool url_split_listen(const char *text, struct slice *out_host, int *out_port, const char **out_why)
{
    struct slice host;
    int port;
    if (!split_host(slice_text(text), &host, &port, out_why)) {
        return false;
    }
    if (port < 0) {
        *out_why = "has no port";
        return false;
    }
    *out_host = host;
    *out_port = port;
    return true;
}

bool url_is_loopback_host(struct slice host)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (host.length >= 2 && host.data[0] == '[' && host.data[host.length - 1] == ']') {
        host = slice_of(host.data + 1, host.length - 2);
        return address_of(AF_INET6, host, &v6) && IN6_IS_ADDR_LOOPBACK(&v6);
    }
    if (host.length == strlen("localhost") &&
        strncasecmp(host.data, "localhost", host.length) == 0) {
        return true;
    }
    if (address_of(AF_INET, host, &v4)) {
        return (ntohl(v4.s_addr) >> 24) == 127;
    }
    return address_of(AF_INET6, host, &v6) && IN6_IS_ADDR_LOOPBACK(&v6);
}

int url_broker_port(struct slice scheme)
{
    static const struct {
        const char *scheme;
        int port;
    } ports[] = {{"mqtt", 1883}, {"mqtts", 8883}, {"ws", 80}, {"wss", 443}};
    for (size_t i = 0; i < sizeof ports / sizeof ports[0]; i++) {
        if (slice_equals_text(scheme, ports[i].scheme)) {
            return ports[i].port;
        }
    }
    return -1;
}

static bool has_placeholder(const struct url *url)
{
    return memchr(url->host.data, '{', url->host.length) != NULL;
}

/* Whether nothing is wrong; *out_why is left alone then. */
static bool url_result(const char *why, const char **out_why)
{
    if (why != NULL) {
        *out_why = why;
    }
    return why == NULL;
}

bool url_endpoint_is_valid(const char *text, bool allow_http, const char **out_why)
{
    struct url url;
    const char *why = NULL;
    if (!url_split(text, &url, &why)) {
        *out_why = why;
        return false;
    }
    bool is_http = slice_equals_text(url.scheme, "http");
    if (!is_http && !slice_equals_text(url.scheme, "https")) {
        why = "has a scheme other than https and http";
    } else if (slice_is_present(url.userinfo)) {
        why = "names a user";
    } else if (slice_is_present(url.path)) {
        why = "has a path behind the host";
    } else if (url.port == 0) {
        why = "has port 0";
    } else if (is_http && !allow_http && !url_is_loopback_host(url.host)) {
        why = "is plain http to a host that is not loopback";
    }
    return url_result(why, out_why);
}

bool url_broker_is_valid(const char *text, const char **out_why)
{
    struct url url;
    const char *why = NULL;
    if (!url_split(text, &url, &why)) {
        *out_why = why;
        return false;
    }
    if (url_broker_port(url.scheme) < 0) {
        why = "has a scheme other than mqtt, mqtts, ws and wss";
    } else if (slice_is_present(url.userinfo)) {
        why = "names a user (use broker.username and broker.password_file)";
    } else if (has_placeholder(&url)) {
        why = "has a placeholder in its host";
    } else if (slice_is_present(url.path) && !begins_with(url.scheme, "ws")) {
        why = "has a path, which only ws:// and wss:// know";
    } else if (url.port == 0) {
        why = "has port 0";
    }
    return url_result(why, out_why);
}

bool url_proxy_is_valid(const char *text, const char **out_why)
{
    static const char *const schemes[] = {"http",   "https",   "socks4", "socks4a",
                                          "socks5", "socks5h", NULL};
    struct url url;
    const char *why = NULL;
    if (!url_split(text, &url, &why)) {
        *out_why = why;
        return false;
    }
    if (!is_one_of(url.scheme, schemes)) {
        why = "has a scheme that is no proxy's";
    } else if (has_placeholder(&url)) {
        why = "has a placeholder in its host";
    } else if (slice_is_present(url.path)) {
        why = "has a path behind the host";
    } else if (url.port == 0) {
        why = "has port 0";
    }
    return url_result(why, out_why);
}

bool url_metadata_is_valid(const char *text, const char **out_why)
{
    struct url url;
    const char *why = NULL;
    if (!url_split(text, &url, &why)) {
        *out_why = why;
        return false;
    }
    if (!slice_equals_text(url.scheme, "http")) {
        why = "has a scheme other than http";
    } else if (slice_is_present(url.userinfo)) {
        why = "names a user";
    } else if (slice_is_present(url.path)) {
        why = "has a path behind the host";
    } else if (url.port == 0) {
        why = "has port 0";
    } else if (!slice_equals_text(url.host, METADATA_HOST) && !url_is_loopback_host(url.host)) {
        why = "has a host other than " METADATA_HOST " that is not loopback";
    }
    return url_result(why, out_why);
}

bool url_credentials_is_valid(const char *text, const char **out_why)
{
    struct url url;
    const char *why = NULL;
    if (!url_split(text, &url, &why)) {
        *out_why = why;
        return false;
    }
    if (!slice_equals_text(url.scheme, "http") && !slice_equals_text(url.scheme, "https")) {
        why = "has a scheme other than https and http";
    } else if (slice_is_present(url.userinfo)) {
        why = "names a user";
    } else if (has_placeholder(&url)) {
        why = "has a placeholder in its host";
    } else if (url.port == 0) {
        why = "has port 0";
    }
    return url_result(why, out_why);
}
