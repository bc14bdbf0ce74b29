#include "uri.h"

#include "base/slice.h"

#include <string.h>

#define DEFAULT_PORT "5432"

static const char *option_of(const PQconninfoOption *options, const char *keyword)
{
    for (const PQconninfoOption *option = options; option->keyword != NULL; option++) {
        if (strcmp(option->keyword, keyword) == 0) {
            return option->val == NULL ? "" : option->val;
        }
    }
    return "";
}

/* One host of a list that commas separate. */
static bool is_local(struct slice host)
{
    return host.length == 0 || host.data[0] == '/' || host.data[0] == '@' ||
           slice_equals_text(host, "localhost") || slice_equals_text(host, "::1") ||
           (host.length > 4 && memcmp(host.data, "127.", 4) == 0);
}

static bool are_local(const char *hosts)
{
    for (const char *host = hosts;; host++) {
        size_t length = strcspn(host, ",");
        if (!is_local(slice_of(host, length))) {
            return false;
        }
        host += length;
        if (*host == '\0') {
            return true;
        }
    }
}

/* hostaddr, where it is given, is where the connection goes. */
static bool is_off_host(const PQconninfoOption *options)
{
    const char *address = option_of(options, "hostaddr");
    return !are_local(address[0] != '\0' ? address : option_of(options, "host"));
}

static enum status check_mode(const char *mode, bool is_off, struct buf *out_why)
{
    if (is_off && mode[0] != '\0' && strcmp(mode, "verify-full") != 0) {
        buf_printf(out_why,
                   "ledger.store: sslmode=%s does not verify the server: use verify-full, which "
                   "is the default of this bridge for a server on another host",
                   mode);
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

/* ---- lists of hosts ---- */

static size_t count_elements(const char *list)
{
    size_t count = 1;
    for (const char *c = list; *c != '\0'; c++) {
        count += *c == ',' ? 1 : 0;
    }
    return count;
}

/* Copies the element of the list into `out`, and `otherwise` where it is empty: NULL refuses that,
 * unless the whole list is empty. A list with one element stands for all, as the port may. */
static enum status copy_element(const char *list, size_t index, const char *otherwise, char *out,
                                size_t size)
{
    const char *element = list;
    for (size_t i = 0; i < index && count_elements(list) > 1; i++) {
        element = strchr(element, ',') + 1;
    }
    size_t length = strcspn(element, ",");
    if (length == 0 && otherwise != NULL) {
        element = otherwise;
        length = strlen(otherwise);
    } else if (length == 0 && list[0] != '\0') {
        return STATUS_INVALID;
    }
    if (length >= size) {
        return STATUS_INVALID;
    }
    memcpy(out, element, length);
    out[length] = '\0';
    return STATUS_OK;
}

static bool fits(const char *list, size_t count)
{
    return list[0] == '\0' || count_elements(list) == count;
}

/* As libpq: a list of addresses has the same order as one of names, and a port may be of all. */
static enum status split_hosts(const PQconninfoOption *options, struct postgres_hosts *out,
                               struct buf *out_why)
{
    const char *names = option_of(options, "host");
    const char *addresses = option_of(options, "hostaddr");
    const char *ports = option_of(options, "port");
    size_t count = count_elements(addresses[0] != '\0' ? addresses : names);
    enum status status = STATUS_OK;
    out->count = count;
    if (count == 1) {
        return STATUS_OK; /* all of it is as the URI says */
    }
    if (count > POSTGRES_HOSTS_MAX || !fits(names, count) || !fits(addresses, count) ||
        !(fits(ports, count) || fits(ports, 1))) {
        buf_printf(out_why,
                   "ledger.store: its lists of hosts, addresses and ports are not equally "
                   "long, or have more than %d elements",
                   POSTGRES_HOSTS_MAX);
        return STATUS_INVALID;
    }
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        struct postgres_host *host = &out->hosts[i];
        status = copy_element(names, i, NULL, host->name, sizeof host->name);
        if (status == STATUS_OK) {
            status = copy_element(addresses, i, NULL, host->address, sizeof host->address);
        }
        if (status == STATUS_OK) {
            status = copy_element(ports, i, DEFAULT_PORT, host->port, sizeof host->port);
        }
    }
    if (status != STATUS_OK) {
        buf_append_text(out_why,
                        "ledger.store: a host or address of its list is empty, or one or a "
                        "port is too long");
    }
    return status;
}

enum status postgres_read_hosts(const char *uri, struct postgres_hosts *out_hosts,
                                struct buf *out_why)
{
    char *error = NULL;
    PQconninfoOption *options = PQconninfoParse(uri, &error);
    PQfreemem(error); /* not shown: it may quote the URI with its password */
    *out_hosts = (struct postgres_hosts){0};
    if (options == NULL) {
        buf_append_text(out_why, "ledger.store is no valid URI: use "
                                 "\"postgresql://USER@HOST:PORT/DATABASE?OPTION=VALUE\"");
        return STATUS_INVALID;
    }
    out_hosts->is_off = is_off_host(options);
    enum status status = check_mode(option_of(options, "sslmode"), out_hosts->is_off, out_why);
    if (status == STATUS_OK) {
        status = split_hosts(options, out_hosts, out_why);
    }
    PQconninfoFree(options);
    return status;
}

enum status postgres_check_uri(const char *uri, struct buf *out_why)
{
    struct postgres_hosts hosts;
    return postgres_read_hosts(uri, &hosts, out_why);
}
