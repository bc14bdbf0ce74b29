/*
 * Sends one request to the control socket of a running bridge (app/control_request.h) and prints
 * the answer. The request is read here first, as the bridge reads it: so a wrong value is a wrong
 * call.
 */
#include "app/control_request.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "ledger/view.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#define READ_BYTES    65536
#define ANSWER_WAIT_S 60 /* longer than anything that the bridge waits for */

struct options {
    struct cli_config config;
    const char *socket;
    const char *as;
    const char *request_id;
    const char *note;
};

static const struct cli_option OPTIONS[] = {
    CLI_CONFIG_OPTIONS(offsetof(struct options, config),
                       "The configuration file of the bridge: it names the control socket."),
    {'s', "socket", "PATH", offsetof(struct options, socket),
     "The control socket itself; then --config is not needed."},
    {'a', "as", "STATUS", offsetof(struct options, as),
     "For resolve: succeeded, failed or unknown."},
    {'r', "request-id", "ID", offsetof(struct options, request_id),
     "For resolve --as succeeded: the RequestId of the call that succeeded."},
    {'n', "note", "TEXT", offsetof(struct options, note),
     "For resolve: how you know it. The audit file gets it; with failed and unknown, also the "
     "senders."},
    {0},
};

static const struct cli_usage USAGE = {
    .synopsis = "ctl --config FILE | --socket PATH ORDER",
    .about =
        "Orders something of a running bridge, as root or as the bridge's own user.\n"
        "  status            prints its state, as the page /status has it\n"
        "  level LEVEL       sets the level of its log until the next reload or restart:\n"
        "                    error, warn, info or debug\n"
        "  ack REASON        confirms that the report of a loss was seen: session_lost or\n"
        "                    ledger_may_have_lost\n"
        "  reload            reads the configuration file again, with certificates, keys and\n"
        "                    passwords, as SIGHUP: everything or nothing, and says what changed\n"
        "  leave             has the bridge leave as run --leave: it unsubscribes, takes and\n"
        "                    answers what the broker holds, ends its session there, and ends\n"
        "  support FILE      writes a new file with versions, settings (secrets masked), state,\n"
        "                    metrics, the last lines of the log and statistics of the ledger\n"
        "  retry TOKEN       has a command whose outcome is unknown called again with its token\n"
        "  resolve TOKEN --as succeeded --request-id ID | --as failed | --as unknown,\n"
        "                    --note TEXT\n"
        "                    records the outcome that you have found out for such a command.\n"
        "                    After both, everybody who has sent the command gets the outcome\n"
        "Run it in the bridge's working directory if the file names the ledger by a relative\n"
        "path. Exits 0 if it was done, 1 if it is not possible, 69 if no bridge is there.",
    .options = OPTIONS,
    .operands_max = 2,
};

/* The words of the command line. */
static const struct order {
    const char *name;
    const char *operand; /* the field of the second word; NULL: the bridge does not need it */
    const char *help;    /* of the second word; NULL: there is none */
} ORDERS[] = {
    {"status", NULL, NULL},
    {"level", "Level", "LEVEL"},
    {"ack", "What", "REASON"},
    {"reload", NULL, NULL},
    {"leave", NULL, NULL},
    {"support", NULL, "FILE"},
    {"retry", "ClientToken", "TOKEN"},
    {"resolve", "ClientToken", "TOKEN"},
};

static const struct order *find_order(const char *name)
{
    for (size_t i = 0; i < sizeof ORDERS / sizeof ORDERS[0]; i++) {
        if (strcmp(name, ORDERS[i].name) == 0) {
            return &ORDERS[i];
        }
    }
    return NULL;
}

/* Makes the request of the command line. Returns EX_OK or EX_USAGE. */
static int make_request(const struct options *options, char **operands, int operand_count,
                        struct buf *out)
{
    struct buf what = {0};
    struct control_request request;
    const struct order *order = operand_count == 0 ? NULL : find_order(operands[0]);
    if (operand_count == 0) {
        buf_append_text(&what, "an order is needed");
    } else if (order == NULL) {
        buf_printf(&what, "unknown order %s", operands[0]);
    } else if (operand_count == 1 && order->help != NULL) {
        buf_printf(&what, "%s needs %s", order->name, order->help);
    } else if (operand_count == 2 && order->help == NULL) {
        buf_printf(&what, "unexpected argument %s", operands[1]);
    } else {
        json_put_open(out, '{');
        json_put_text(out, "Do", slice_text(order->name));
        if (order->operand != NULL) {
            json_put_text(out, order->operand, slice_text(operands[1]));
        }
        json_put_text_if(out, "As", slice_text(options->as));
        json_put_text_if(out, "RequestId", slice_text(options->request_id));
        json_put_text_if(out, "Note", slice_text(options->note));
        json_put_close(out, '}');
        (void)control_request_read(buf_slice(out), &request, &what);
        buf_append_char(out, '\n');
    }
    int code = what.length == 0 ? EX_OK : cli_wrong_call("ctl", what.data);
    buf_fini(&what);
    return code;
}

/* A connection to the bridge, or -1 with the reason in *out_why. */
static int connect_to(const char *path, struct buf *out_why)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct timeval wait = {.tv_sec = ANSWER_WAIT_S};
    if (path == NULL) {
        buf_append_text(out_why, "the configuration has control.socket = \"none\"");
        return -1;
    }
    if (strlen(path) >= sizeof address.sun_path) {
        buf_printf(out_why, "the path of the control socket is too long: %s", path);
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        bool is_denied = errno == EACCES || errno == EPERM;
        bool is_elsewhere = errno == ENOENT && path[0] != '/';
        buf_printf(out_why, "no bridge answers at %s: %s%s", path, strerror(errno),
                   is_denied ? "; only root and the bridge's own user may use it"
                   : is_elsewhere
                       ? "; the path is relative: call ctl in the directory in which the "
                         "bridge runs"
                       : "");
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    return fd;
}

/* Sends the line and reads the answer; false if the bridge ended or was too slow. */
static bool exchange(int fd, const struct buf *request, struct buf *out_answer)
{
    bool is_sent =
        send(fd, request->data, request->length, MSG_NOSIGNAL) == (ssize_t)request->length;
    bool is_whole = false;
    ssize_t got = is_sent ? 1 : 0;
    while (got > 0 && !is_whole && out_answer->length <= CONTROL_ANSWER_BYTES_MAX) {
        char *room = buf_reserve(out_answer, READ_BYTES);
        /* With a time limit it is not resumed after Ctrl-Z and fg. */
        got = TEMP_FAILURE_RETRY(recv(fd, room, READ_BYTES, 0));
        out_answer->length += got > 0 ? (size_t)got : 0;
        is_whole = out_answer->length > 0 && out_answer->data[out_answer->length - 1] == '\n';
    }
    return is_whole;
}

static int read_answer(const struct buf *answer, struct buf *out_output)
{
    struct json_fault fault;
    struct json *root = json_parse(buf_slice(answer), 1, &fault);
    const struct json *done = json_member(root, "Done");
    struct slice output = json_text(json_member(root, "Output"));
    int code = EX_UNAVAILABLE;
    if (done == NULL || !slice_is_present(output)) {
        fputs("ecs-mqtt-bridge ctl: what answered is not a bridge\n", stderr);
    } else if (json_kind(done) == JSON_TRUE) {
        buf_append(out_output, output);
        code = EX_OK;
    } else {
        fprintf(stderr, "ecs-mqtt-bridge ctl: %.*s\n", (int)output.length, output.data);
        code = 1;
    }
    json_free(root);
    return code;
}

/* The paths; control is NULL for no socket, store is NULL where only the socket is known. Returns
 * EX_OK, EX_USAGE or EX_CONFIG. The bridge itself finds errors in other settings. */
static int find_paths(const struct options *options, struct settings_paths *out_paths)
{
    struct settings_report report = {0};
    const struct settings_source source = {options->config.path,
                                           {options->config.set.items, options->config.set.count}};
    enum status status = STATUS_OK;
    if (options->socket != NULL) {
        out_paths->control = mem_strdup(options->socket);
        return EX_OK;
    }
    if (source.path == NULL) {
        return cli_wrong_call("ctl", "--config FILE or --socket PATH is needed");
    }
    status = settings_find_paths(&source, out_paths, &report);
    if (status != STATUS_OK) {
        fputs(report.errors.data, stderr);
    }
    settings_report_fini(&report);
    return status == STATUS_OK ? EX_OK : EX_CONFIG;
}

/* Sends the request to the bridge at this path, and reads its answer. Returns EX_OK, 1 or
 * EX_UNAVAILABLE; what is wrong is on standard error. */
static int ask(const char *path, const struct buf *request, struct buf *out_output)
{
    struct buf answer = {0};
    struct buf why = {0};
    int code = EX_UNAVAILABLE;
    int fd = connect_to(path, &why);
    if (fd < 0) {
        fprintf(stderr, "ecs-mqtt-bridge ctl: %s\n", why.data);
    } else if (!exchange(fd, request, &answer)) {
        fputs("ecs-mqtt-bridge ctl: the bridge did not answer\n", stderr);
    } else {
        code = read_answer(&answer, out_output);
    }
    if (fd >= 0) {
        close(fd);
    }
    buf_fini(&answer);
    buf_fini(&why);
    return code;
}

/* A new file that only its owner may read. */
static int write_file(const char *path, const struct buf *bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool is_written = fd >= 0;
    for (size_t done = 0; is_written && done < bytes->length;) {
        ssize_t count = write(fd, bytes->data + done, bytes->length - done);
        is_written = count > 0;
        done += is_written ? (size_t)count : 0;
    }
    if (fd >= 0 && close(fd) != 0) {
        is_written = false;
    }
    if (!is_written) {
        fprintf(stderr, "ecs-mqtt-bridge ctl: %s cannot be written: %s\n", path, strerror(errno));
        return 1;
    }
    printf("%s is written. It holds no secret; look through it before you pass it on.\n", path);
    return EX_OK;
}

/* The bridge's answer beside the statistics of the ledger, which are read here, so that the bridge
 * does not wait for them. */
static int write_support(const char *path, const struct ledger_source *source,
                         const struct buf *answer)
{
    struct buf out = {0};
    struct buf stats = {0};
    struct buf why = {0};
    json_put_open(&out, '{');
    json_put_raw(&out, "Bridge", slice_trim(buf_slice(answer), "\n"));
    if (source->store == NULL) {
        json_put_text(&out, "LedgerError", slice_text("--config was not given"));
    } else if (ledger_stats(source, &stats, &why) == STATUS_OK) {
        json_put_raw(&out, "Ledger", slice_trim(buf_slice(&stats), "\n"));
    } else {
        json_put_text(&out, "LedgerError", buf_slice(&why));
    }
    json_put_close(&out, '}');
    buf_append_char(&out, '\n');
    int code = write_file(path, &out);
    buf_fini(&out);
    buf_fini(&stats);
    buf_fini(&why);
    return code;
}

int cli_ctl(int argc, char **argv)
{
    struct options options = {0};
    struct settings_paths paths = {0};
    struct buf request = {0};
    struct buf output = {0};
    int code;
    if (!cli_read_options(&USAGE, argc, argv, &options, &code)) {
        return code;
    }
    char **operands = argv + optind;
    code = make_request(&options, operands, argc - optind, &request);
    if (code == EX_OK) {
        code = find_paths(&options, &paths);
    }
    if (code == EX_OK) {
        code = ask(paths.control, &request, &output);
    }
    if (code == EX_OK && strcmp(operands[0], "support") == 0) {
        const struct ledger_source source = {paths.store, paths.password_file, NULL};
        code = write_support(operands[1], &source, &output);
    } else if (code == EX_OK) {
        fwrite(output.data, 1, output.length, stdout);
    }
    free(paths.control);
    free(paths.store);
    free(paths.password_file);
    buf_fini(&request);
    buf_fini(&output);
    return code;
}
