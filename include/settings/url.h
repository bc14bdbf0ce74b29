/*
 * url - the addresses in the settings, split and checked:
 * scheme://[user[:password]@]host[:port][/path].
 *
 * libcurl's URL parser (curl_url) does the work. A URL that libcurl would have to rewrite is
 * refused: it must have a lower-case scheme, exactly two slashes, a port without leading zeros, IP
 * addresses in their shortest form ("127.1" is refused, "127.0.0.1" passes) and no
 * percent-encoding in the host. So all parts of the program read the same host from one text. A
 * host is a DNS name (letters, digits, '-', '_' and dots), an IPv4 address or an IPv6 address in
 * brackets, without a zone.
 *
 * Thread: any; pure. Reasons (*out_why) are constant phrases that never hold any of the text.
 */
#ifndef SETTINGS_URL_H
#define SETTINGS_URL_H

#include "base/slice.h"

#include <stdbool.h>

struct url {
    struct slice scheme;
    struct slice userinfo; /* absent where there is no '@' */
    struct slice host;     /* without the brackets */
    int port;              /* 0..65535; -1 where the text names none */
    struct slice path;     /* from the first '/', '?' or '#' on; absent where there is none */
};

/* What a URL is for. url.c has a row for each use that says what is allowed in it. */
enum url_use {
    URL_BROKER,       /* mqtt, mqtts, ws or wss; a path with ws and wss only; no user */
    URL_ENDPOINT,     /* scheme://host[:port], https, or http to loopback; the host may
                         contain {RegionId} and then is not loopback */
    URL_ENDPOINT_ANY, /* the same, with http to any host (api.allow_http) */
    URL_STS,          /* as URL_ENDPOINT, without {RegionId} */
    URL_PROXY,        /* http, https, socks4, socks4a, socks5 or socks5h; a user may be named */
    URL_METADATA,     /* http://100.100.100.200, or http to loopback; no path */
    URL_CREDENTIALS,  /* http or https, no user; a path and a query may follow */
    URL_TRACES,       /* the same */
};

/* Splits a URL; the parts point into `text`. `*out_url` is untouched on failure. */
bool url_split(const char *text, struct url *out_url, const char **out_why);
/* Whether the URL is allowed for this use; `*out_why` is untouched where it is. */
bool url_is_valid(const char *text, enum url_use use, const char **out_why);
/*
 * Splits "host:port", as for an address to listen on; the port must be there. `*out_host` has no
 * brackets.
 */
bool url_split_listen(const char *text, struct slice *out_host, int *out_port,
                      const char **out_why);
/* localhost, 127.0.0.0/8 or ::1; brackets round the IPv6 address are allowed. */
bool url_is_loopback_host(struct slice host);
/* The default port of a broker: mqtt 1883, mqtts 8883, ws 80, wss 443; -1 for another scheme. */
int url_broker_port(struct slice scheme);

#endif
