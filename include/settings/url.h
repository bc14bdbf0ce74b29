/*
 * url - the addresses of the settings, taken apart and checked:
 * scheme://[user[:password]@]host[:port][/path].
 *
 * Schemes are lower case. A host is a DNS name (letters, digits, '-', '_' and dots), an IPv4
 * address or an IPv6 address in brackets. A query or a fragment is part of the path. Rules: RFC
 * 3986, section 3, without percent-encoding in the host.
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

/* Takes a URL apart; the parts point into `text`. `*out_url` is untouched on failure. */
bool url_split(const char *text, struct url *out_url, const char **out_why);
/*
 * Takes "host:port" apart, as for an address to listen on; the port must be there. `*out_host` has
 * no brackets.
 */
bool url_split_listen(const char *text, struct slice *out_host, int *out_port,
                      const char **out_why);
/* localhost, 127.0.0.0/8 or ::1; brackets round the host are taken too. */
bool url_is_loopback_host(struct slice host);
/* The port a broker is on by custom: mqtt 1883, mqtts 8883, ws 80, wss 443; -1 for another scheme.
 */
int url_broker_port(struct slice scheme);

/*
 * Whether the URL is an API endpoint: scheme://host[:port] and nothing else, https, or http to
 * loopback (anywhere with `allow_http`). "{RegionId}" may stand in the host and is no loopback.
 */
bool url_endpoint_is_valid(const char *url, bool allow_http, const char **out_why);
/* Whether the URL is a broker: mqtt, mqtts, ws or wss, host, optional port; a path with ws and wss
 * only; no user. */
bool url_broker_is_valid(const char *url, const char **out_why);
/* Whether the URL is a proxy: http, https, socks4, socks4a, socks5 or socks5h, optional user, host,
 * optional port. */
bool url_proxy_is_valid(const char *url, const char **out_why);
/* Whether the URL is a metadata service: http://100.100.100.200, or http to loopback, and nothing
 * else. */
bool url_metadata_is_valid(const char *url, const char **out_why);
/* Whether the URL may be asked for credentials: http or https, no user; a path and a query may
 * follow. */
bool url_credentials_is_valid(const char *url, const char **out_why);

#endif
