#include "host.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <strings.h>

#define NAME_BYTES_MAX 255

/* The host of "host:port" or "[host]:port", the port being optional, as a C string. False: it has
 * neither form, or it is too long. */
static bool split(struct slice text, char out_host[NAME_BYTES_MAX + 1], bool *out_has_brackets)
{
    size_t length = text.length;
    const char *end = NULL;
    *out_has_brackets = length > 0 && text.data[0] == '[';
    if (*out_has_brackets) {
        text = slice_skip(text, 1);
        end = memchr(text.data, ']', text.length);
        if (end == NULL) {
            return false;
        }
    } else if (length > 0) {
        end = memchr(text.data, ':', length);
    }
    size_t host_length = end == NULL ? text.length : (size_t)(end - text.data);
    struct slice rest = slice_skip(text, host_length + (*out_has_brackets ? 1 : 0));
    if (host_length == 0 || host_length > NAME_BYTES_MAX ||
        memchr(text.data, '\0', host_length) != NULL || (rest.length > 0 && rest.data[0] != ':')) {
        return false;
    }
    for (size_t i = 1; i < rest.length; i++) {
        if (rest.data[i] < '0' || rest.data[i] > '9') {
            return false;
        }
    }
    memcpy(out_host, text.data, host_length);
    out_host[host_length] = '\0';
    return true;
}

bool host_is_allowed(struct slice host, struct slice listen)
{
    char name[NAME_BYTES_MAX + 1];
    char own_name[NAME_BYTES_MAX + 1];
    bool has_brackets;
    bool own_has_brackets;
    struct in6_addr address;
    if (!slice_is_present(host)) {
        return true;
    }
    if (!split(host, name, &has_brackets)) {
        return false;
    }
    if (has_brackets) {
        return inet_pton(AF_INET6, name, &address) == 1;
    }
    return inet_pton(AF_INET, name, &address) == 1 || strcasecmp(name, "localhost") == 0 ||
           (split(listen, own_name, &own_has_brackets) && !own_has_brackets &&
            strcasecmp(name, own_name) == 0);
}
