/*
 * The steps are those of libpq's conninfo_uri_parse(), so that both see the same password, the same
 * hosts and the same sslmode.
 */
#include "settings/store_uri.h"

#include "settings/url.h"

#include <stdio.h>
#include <string.h>

#define PREFIX "postgresql://"
#define MASK   "***"

bool store_uri_is_shared(const char *store)
{
    return strncmp(store, PREFIX, strlen(PREFIX)) == 0;
}

static int digit_of(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c == 0 ? NULL : strchr(digits, c >= 'A' && c <= 'F' ? c + 'a' - 'A' : c);
    return at == NULL ? -1 : (int)(at - digits);
}

/* False where a '%' is not followed by two hexadecimal digits, or they are 00. */
static bool decode(struct slice text, struct buf *out)
{
    for (size_t i = 0; i < text.length; i++) {
        char c = text.data[i];
        if (c == '%') {
            int high = i + 2 < text.length ? digit_of(text.data[i + 1]) : -1;
            int low = high < 0 ? -1 : digit_of(text.data[i + 2]);
            if (low < 0 || high + low == 0) {
                return false;
            }
            c = (char)(high * 16 + low);
            i += 2;
        }
        buf_append_char(out, c);
    }
    return true;
}

static bool is_local(struct slice host)
{
    return host.length == 0 || host.data[0] == '/' || host.data[0] == '@' ||
           url_is_loopback_host(host);
}

/* The hosts are separated by commas; without any the server is on this host. */
static bool are_local(struct slice hosts)
{
    while (hosts.length > 0) {
        const char *comma = memchr(hosts.data, ',', hosts.length);
        size_t length = comma == NULL ? hosts.length : (size_t)(comma - hosts.data);
        if (!is_local(slice_of(hosts.data, length))) {
            return false;
        }
        hosts = slice_skip(hosts, length + (comma != NULL));
    }
    return true;
}

/* What was read so far; `why` is set at the first fault. */
struct reading {
    struct store_uri uri;
    struct buf hosts;
    struct buf addresses; /* hostaddr: where the connections go in truth */
    const char *why;
};

static void decode_into(struct reading *reading, struct slice text, struct buf *out)
{
    buf_clear(out);
    if (!decode(text, out)) {
        reading->why = "has a '%' that is not followed by two hexadecimal digits other than 00";
    }
}

/* user[:password]@ where there is an '@' in front of the path. Returns what follows. */
static const char *read_user(struct reading *reading, const char *text)
{
    const char *at = text + strcspn(text, "@/");
    const char *colon = memchr(text, ':', (size_t)(at - text));
    if (*at != '@') {
        return text;
    }
    reading->uri.has_password = colon != NULL && colon + 1 < at;
    return at + 1;
}

/* host[:port][,...]; returns what follows. */
static const char *read_hosts(struct reading *reading, const char *text)
{
    struct buf hosts = {0};
    for (;; text++) {
        size_t length = strcspn(text, ":/?,");
        const char *host = text;
        if (*text == '[') {
            host++;
            length = strcspn(host, "]");
            text = host + length + 1;
            if (length == 0 || host[length] == '\0' || strchr(":/?,", *text) == NULL) {
                reading->why = "has brackets without an IPv6 address in them";
                break;
            }
        } else {
            text += length;
        }
        buf_append(&hosts, slice_of(host, length));
        text += *text == ':' ? strcspn(text, "/?,") : 0;
        if (*text != ',') {
            break;
        }
        buf_append_char(&hosts, ',');
    }
    decode_into(reading, buf_slice(&hosts), &reading->hosts);
    buf_fini(&hosts);
    return text;
}

static void set(struct buf *out, struct slice value)
{
    buf_clear(out);
    buf_append(out, value);
}

static void read_option(struct reading *reading, struct slice option)
{
    const char *equals = memchr(option.data, '=', option.length);
    struct buf name = {0};
    struct buf value = {0};
    if (equals == NULL ||
        memchr(equals + 1, '=', option.length - (size_t)(equals + 1 - option.data)) != NULL) {
        reading->why = "has an option that is not name=value (write %3D for a '=' in a value)";
        return;
    }
    size_t length = (size_t)(equals - option.data);
    decode_into(reading, slice_of(option.data, length), &name);
    decode_into(reading, slice_skip(option, length + 1), &value);
    struct slice word = buf_slice(&name);
    if (slice_equals_text(word, "password")) {
        reading->uri.has_password = value.length > 0;
    } else if (slice_equals_text(word, "sslmode")) {
        set(&reading->uri.sslmode, buf_slice(&value));
    } else if (slice_equals_text(word, "ssl") && slice_equals_text(buf_slice(&value), "true")) {
        set(&reading->uri.sslmode, slice_text("require"));
    } else if (slice_equals_text(word, "host")) {
        set(&reading->hosts, buf_slice(&value));
    } else if (slice_equals_text(word, "hostaddr")) {
        set(&reading->addresses, buf_slice(&value));
    }
    buf_fini(&name);
    buf_fini(&value);
}

static void read_options(struct reading *reading, const char *text)
{
    while (*text != '\0') {
        size_t length = strcspn(text, "&");
        read_option(reading, slice_of(text, length));
        text += length + (text[length] == '&');
    }
}

bool store_uri_read(const char *store, struct store_uri *out_uri, const char **out_why)
{
    struct reading reading = {0};
    if (!store_uri_is_shared(store)) {
        *out_why = "does not begin with " PREFIX;
        return false;
    }
    const char *text = read_user(&reading, store + strlen(PREFIX));
    text = read_hosts(&reading, text);
    if (reading.why == NULL) {
        struct buf database = {0};
        size_t length = strcspn(text, "?");
        decode_into(&reading, slice_of(text, length), &database);
        read_options(&reading, text + length + (text[length] == '?'));
        buf_fini(&database);
    }
    reading.uri.is_off_host =
        !are_local(buf_slice(reading.addresses.length > 0 ? &reading.addresses : &reading.hosts));
    buf_fini(&reading.hosts);
    buf_fini(&reading.addresses);
    if (reading.why != NULL) {
        *out_why = reading.why;
        store_uri_fini(&reading.uri);
        return false;
    }
    *out_uri = reading.uri;
    return true;
}

void store_uri_fini(struct store_uri *uri)
{
    buf_fini(&uri->sslmode);
}

/* Whether an option's value may be a password: its name is that of one, or cannot be read. */
static bool is_secret_option(struct slice name)
{
    struct buf word = {0};
    bool is_read = decode(name, &word);
    bool is_secret = !is_read || slice_equals_text(buf_slice(&word), "password") ||
                     slice_equals_text(buf_slice(&word), "sslpassword");
    buf_fini(&word);
    return is_secret;
}

void store_uri_mask(const char *store, struct buf *out)
{
    if (strncmp(store, "postgres", strlen("postgres")) != 0) {
        buf_append_text(out, store);
        return;
    }
    /* A password may hold an '@', '/' or '?' that should be encoded: the last '@' counts. */
    const char *start = store + strcspn(store, ":/");
    start += strspn(start, ":/");
    const char *at = strrchr(start, '@');
    const char *colon = at == NULL ? NULL : memchr(start, ':', (size_t)(at - start));
    if (colon != NULL) {
        buf_append(out, slice_of(store, (size_t)(colon + 1 - store)));
        buf_append_text(out, MASK);
        store = at;
    }
    for (size_t length = strcspn(store, "?"); *store != '\0'; length = strcspn(store, "&")) {
        const char *equals = memchr(store, '=', length);
        size_t shown = length;
        if (equals != NULL && is_secret_option(slice_of(store, (size_t)(equals - store)))) {
            shown = (size_t)(equals + 1 - store);
        }
        buf_append(out, slice_of(store, shown));
        buf_append_text(out, shown < length ? MASK : "");
        store += length;
        if (*store != '\0') {
            buf_append_char(out, *store++);
        }
    }
}
