/*
 * libcurl splits the URL and checks its parts, and then prints it again. The scheme, user, host and
 * port must come out as they went in: that refuses every form that libcurl accepts and other
 * readers could understand differently. What a URL may contain for its use is a row of a table.
 */
#include "settings/url.h"

#include "base/buf.h"

#include <arpa/inet.h>
#include <assert.h>
#include <ctype.h>
#include <curl/curl.h>
#include <stdlib.h>
#include <strings.h>

#define HOST_BYTES_MAX  253 /* RFC 1035, section 2.3.4, as text */
#define LABEL_BYTES_MAX 63
#define REGION_MARK     "{RegionId}"
#define METADATA_HOST   "100.100.100.200"

/* ---- Splitting ---- */

static const char *parser_why(CURLUcode code)
{
    switch (code) {
    case CURLUE_OK:
        return NULL;
    case CURLUE_NO_HOST:
        return "has no host";
    case CURLUE_BAD_PORT_NUMBER:
        return "has a port that is not a number up to 65535 (IPv6 addresses need brackets)";
    case CURLUE_BAD_IPV6:
        return "has brackets without a valid IPv6 address in them";
    case CURLUE_BAD_HOSTNAME:
        return "has a host that is neither a DNS name nor an IP address";
    case CURLUE_MALFORMED_INPUT:
        return "contains a space or a control character";
    default:
        return "is not a valid URL";
    }
}

/* The host that libcurl reads, where scheme, user, host and port are as libcurl prints them. */
static const char *parse(const char *text, size_t authority_end, char **out_host, char **out_port)
{
    CURLU *parser = curl_url();
    char *printed = NULL;
    assert(parser != NULL); /* out of memory */
    const char *why = parser_why(
        curl_url_set(parser, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME | CURLU_PATH_AS_IS));
    if (why == NULL) {
        CURLUcode code = curl_url_get(parser, CURLUPART_URL, &printed, 0);
        why = parser_why(code == CURLUE_OK ? curl_url_get(parser, CURLUPART_HOST, out_host, 0)
                                           : code);
        (void)curl_url_get(parser, CURLUPART_PORT, out_port, 0); /* not every URL has one */
        if (why == NULL &&
            (strncasecmp(printed, text, authority_end) != 0 || printed[authority_end] != '/')) {
            why = "is not in its plain form (lower-case scheme, \"://\", no empty port or leading "
                  "zeros, the shortest form of an IP address, no % in the host)";
        }
    }
    curl_free(printed);
    curl_url_cleanup(parser);
    return why;
}

/* libcurl leaves the rules for DNS names to the resolver. */
static bool is_dns_name(struct slice host)
{
    size_t label = 0;
    for (size_t i = 0; i < host.length; i++) {
        char c = host.data[i];
        bool is_dot = c == '.';
        if (is_dot ? label == 0 : !isalnum((unsigned char)c) && c != '-' && c != '_') {
            return false;
        }
        label = is_dot ? 0 : label + 1;
        if (label > LABEL_BYTES_MAX) {
            return false;
        }
    }
    return label > 0 && host.length <= HOST_BYTES_MAX;
}

/* Fills in user, host and port; `authority` is the part between "://" and the path. */
static const char *split_authority(struct slice authority, const char *host, const char *port,
                                   struct url *url)
{
    size_t length = strlen(host);
    const char *at = memrchr(authority.data, '@', authority.length);
    const char *start = authority.data;
    const char *end = authority.data + authority.length;
    if (at != NULL) {
        url->userinfo = slice_of(start, (size_t)(at - start));
        start = at + 1;
    }
    size_t rest = (size_t)(end - start);
    bool is_whole = rest == length || (rest > length && start[length] == ':'); /* no IPv6 zone */
    bool is_bracketed = host[0] == '[';
    url->host = is_bracketed ? slice_of(start + 1, length - 2) : slice_of(start, length);
    url->port = port == NULL ? -1 : (int)strtol(port, NULL, 10);
    return is_whole && (is_bracketed || is_dns_name(url->host)) ? NULL
                                                                : parser_why(CURLUE_BAD_HOSTNAME);
}

static const char *split(const char *text, struct url *url)
{
    const char *mark = strstr(text, "://");
    char *host = NULL;
    char *port = NULL;
    if (mark == NULL || mark == text) {
        return "does not begin with scheme://";
    }
    const char *start = mark + 3;
    struct slice authority = slice_of(start, strcspn(start, "/?#"));
    const char *path = start + authority.length;
    const char *at = memchr(start, '@', authority.length);
    if (at != NULL && at != memrchr(start, '@', authority.length)) {
        return "has more than one '@' (write %40 for one in a user name or a password)";
    }
    if (memchr(start, '\\', authority.length) != NULL) {
        return "has a backslash in front of the path"; /* some parsers read it as a slash */
    }
    *url = (struct url){.scheme = slice_of(text, (size_t)(mark - text)),
                        .path = *path == '\0' ? (struct slice){0} : slice_text(path)};
    for (size_t i = 0; i < url->scheme.length; i++) {
        if (isupper((unsigned char)text[i])) {
            return "has a scheme in upper case";
        }
    }
    const char *why = parse(text, (size_t)(path - text), &host, &port);
    if (why == NULL) {
        why = split_authority(authority, host, port, url);
    }
    curl_free(host);
    curl_free(port);
    return why;
}

/* Whether there is no reason to refuse the URL; else *out_why is set. */
static bool is_good(const char *why, const char **out_why)
{
    if (why != NULL) {
        *out_why = why;
    }
    return why == NULL;
}

bool url_split(const char *text, struct url *out_url, const char **out_why)
{
    struct url url;
    bool is_split = is_good(split(text, &url), out_why);
    if (is_split) {
        *out_url = url;
    }
    return is_split;
}

bool url_split_listen(const char *text, struct slice *out_host, int *out_port, const char **out_why)
{
    static const char scheme[] = "http://";
    struct url url = {0};
    struct buf whole = {0};
    buf_printf(&whole, "%s%s", scheme, text);
    const char *why = split(whole.data, &url);
    if (why == NULL && (slice_is_present(url.userinfo) || slice_is_present(url.path))) {
        why = "is more than host:port";
    } else if (why == NULL && url.port < 0) {
        why = "has no port";
    }
    if (why == NULL) {
        size_t offset = (size_t)(url.host.data - whole.data) - strlen(scheme);
        *out_host = slice_of(text + offset, url.host.length);
        *out_port = url.port;
    }
    buf_fini(&whole);
    return is_good(why, out_why);
}

/* ---- What a URL may be used for ---- */

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

bool url_is_loopback_host(struct slice host)
{
    static const char name[] = "localhost";
    struct in_addr v4;
    struct in6_addr v6;
    if (host.length >= 2 && host.data[0] == '[' && host.data[host.length - 1] == ']') {
        host = slice_of(host.data + 1, host.length - 2);
        return address_of(AF_INET6, host, &v6) && IN6_IS_ADDR_LOOPBACK(&v6);
    }
    if (address_of(AF_INET, host, &v4)) {
        return (ntohl(v4.s_addr) >> 24) == 127;
    }
    return (host.length == strlen(name) && strncasecmp(host.data, name, host.length) == 0) ||
           (address_of(AF_INET6, host, &v6) && IN6_IS_ADDR_LOOPBACK(&v6));
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

#define SCHEMES_MAX 6
#define HAS_USER    "contains a user name"
#define HAS_PATH    "has a path behind the host"
#define PLAIN_HTTP  "is plain http to a host that is not on loopback"
#define WEB_SCHEMES \
    .schemes = {"https", "http"}, .why_not_scheme = "has a scheme other than https and http"
#define WEB_SERVICE WEB_SCHEMES, .why_no_user = HAS_USER, .why_no_path = HAS_PATH

/* A reason is the message for a URL that has this part; a part without a reason is allowed. */
static const struct policy {
    const char *schemes[SCHEMES_MAX];
    const char *why_not_scheme;
    const char *why_no_user;
    const char *why_no_path;
    const char *why_no_http;     /* with http to a host that is not loopback... */
    const char *http_host;       /* ...except this one */
    bool is_path_for_web_socket; /* ws and wss may have a path in spite of why_no_path */
    bool has_region;             /* the host may contain {RegionId} */
} policies[] = {
    [URL_BROKER] = {.schemes = {"mqtt", "mqtts", "ws", "wss"},
                    .why_not_scheme = "has a scheme other than mqtt, mqtts, ws and wss",
                    .why_no_user =
                        "contains a user name (use broker.username and broker.password_file)",
                    .why_no_path = "has a path, which only ws:// and wss:// can have",
                    .is_path_for_web_socket = true},
    [URL_ENDPOINT] = {WEB_SERVICE, .why_no_http = PLAIN_HTTP, .has_region = true},
    [URL_ENDPOINT_ANY] = {WEB_SERVICE, .has_region = true},
    [URL_STS] = {WEB_SERVICE, .why_no_http = PLAIN_HTTP},
    [URL_PROXY] = {.schemes = {"http", "https", "socks4", "socks4a", "socks5", "socks5h"},
                   .why_not_scheme = "has a scheme that is not supported for a proxy",
                   .why_no_path = HAS_PATH},
    [URL_METADATA] = {.schemes = {"http"},
                      .why_not_scheme = "has a scheme other than http",
                      .why_no_user = HAS_USER,
                      .why_no_path = HAS_PATH,
                      .why_no_http =
                          "has a host other than " METADATA_HOST " that is not on loopback",
                      .http_host = METADATA_HOST},
    [URL_CREDENTIALS] = {WEB_SCHEMES, .why_no_user = HAS_USER},
    [URL_TRACES] = {WEB_SCHEMES, .why_no_user = HAS_USER},
};

static bool has_scheme(const struct policy *policy, struct slice scheme)
{
    for (size_t i = 0; i < SCHEMES_MAX && policy->schemes[i] != NULL; i++) {
        if (slice_equals_text(scheme, policy->schemes[i])) {
            return true;
        }
    }
    return false;
}

static const char *policy_why(const struct policy *policy, const struct url *url)
{
    bool is_http = slice_equals_text(url->scheme, "http");
    bool may_have_path = policy->is_path_for_web_socket && (slice_equals_text(url->scheme, "ws") ||
                                                            slice_equals_text(url->scheme, "wss"));
    bool is_far = !url_is_loopback_host(url->host) &&
                  (policy->http_host == NULL || !slice_equals_text(url->host, policy->http_host));
    if (!has_scheme(policy, url->scheme)) {
        return policy->why_not_scheme;
    }
    if (slice_is_present(url->userinfo) && policy->why_no_user != NULL) {
        return policy->why_no_user;
    }
    if (slice_is_present(url->path) && !may_have_path && policy->why_no_path != NULL) {
        return policy->why_no_path;
    }
    if (url->port == 0) {
        return "has port 0";
    }
    return is_http && is_far ? policy->why_no_http : NULL;
}

bool url_is_valid(const char *text, enum url_use use, const char **out_why)
{
    const struct policy *policy = &policies[use];
    struct buf filled = {0};
    struct url url;
    const char *mark;
    /* {RegionId} becomes the letter x, which no loopback address contains. */
    while (policy->has_region && (mark = strstr(text, REGION_MARK)) != NULL) {
        buf_append(&filled, slice_of(text, (size_t)(mark - text)));
        buf_append_char(&filled, 'x');
        text = mark + strlen(REGION_MARK);
    }
    buf_append_text(&filled, text);
    const char *why = split(filled.length == 0 ? "" : filled.data, &url);
    if (why == NULL) {
        why = policy_why(policy, &url);
    }
    buf_fini(&filled);
    return is_good(why, out_why);
}
