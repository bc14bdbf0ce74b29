/*
 * A get runs the program. Every run finishes in ended(), when the kernel reports its end. An error
 * before that stores the reason and kills the program with all the processes that it started.
 */
#include "argv.h"
#include "base/mem.h"
#include "common.h"
#include "profiles.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEPTH_MAX 16

struct external_source {
    struct credential_source source; /* first: a source is cast back to this */
    const struct credential_context *context;
    struct argv argv;
    const char *why_no_argv; /* what is wrong with the command; NULL: nothing */
    int64_t timeout_ms;
    /* The current run. */
    struct loop_process *process; /* NULL: none */
    struct loop_watch *watch;
    struct loop_timer *timer;
    int fd;
    struct buf output; /* allocated in full size: growing would leave copies */
    const char *why;   /* why it was killed, else NULL */
    credentials_got_fn *got;
    void *arg;
};

static const struct credential_form form_ak = {
    .id = "access_key_id", .secret = "access_key_secret", .expiration = "expiration"};
static const struct credential_form form_sts = {.id = "access_key_id",
                                                .secret = "access_key_secret",
                                                .token = "sts_token",
                                                .expiration = "expiration",
                                                .needs_token = true};

/* --- the output --- */

static enum status read_object(const struct json *object, struct credentials *out,
                               struct buf *out_why)
{
    struct slice mode = json_text(json_member(object, "mode"));
    bool is_ak = slice_is_present(mode) && slice_equals_text(mode, "AK");
    if (!is_ak && !(slice_is_present(mode) && slice_equals_text(mode, "StsToken"))) {
        buf_append_text(out_why, "mode must be \"AK\" or \"StsToken\"");
        return STATUS_INVALID;
    }
    struct credential_form form = is_ak ? form_ak : form_sts;
    /* Some programs print an empty text if there is none. */
    struct slice expiration = json_text(json_member(object, "expiration"));
    if (slice_is_present(expiration) && expiration.length == 0) {
        form.expiration = NULL;
    }
    return credentials_read_object(object, &form, out, out_why);
}

static enum status read_output(struct slice output, struct credentials *out, struct buf *out_why)
{
    struct json_fault fault = {0};
    struct buf why = {0};
    struct json *root = json_parse(output, DEPTH_MAX, &fault);
    enum status status = STATUS_INVALID;
    if (root == NULL) {
        buf_printf(&why, "%s at byte %zu", fault.what, fault.offset);
    } else {
        status = read_object(root, out, &why);
    }
    if (status != STATUS_OK) {
        buf_printf(out_why, "the output of process_command: %s", why.data);
    }
    json_free_secret(root);
    buf_fini(&why);
    return status;
}

/* --- the run --- */

static void stop_reading(struct external_source *external)
{
    if (external->fd >= 0) {
        loop_watch_free(external->watch);
        close(external->fd);
    }
    external->watch = NULL;
    external->fd = -1;
}

static void wipe_output(struct external_source *external)
{
    secret_wipe(external->output.data, external->output.capacity);
    buf_fini(&external->output);
}

static void give_up(struct external_source *external, const char *why)
{
    external->why = external->why == NULL ? why : external->why;
    stop_reading(external);
    loop_process_kill_group(external->process, SIGKILL);
}

/* Reads what is there; false: nothing more will come. */
static bool read_some(struct external_source *external)
{
    struct buf *output = &external->output;
    while (output->length <= EXTERNAL_OUTPUT_BYTES_MAX) {
        ssize_t count = read(external->fd, output->data + output->length,
                             EXTERNAL_OUTPUT_BYTES_MAX + 1 - output->length);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count <= 0) {
            return count < 0 && errno == EAGAIN;
        }
        output->length += (size_t)count;
    }
    return false;
}

static void output_ready(void *arg, int events)
{
    struct external_source *external = arg;
    (void)events;
    if (read_some(external)) {
        return;
    }
    if (external->output.length > EXTERNAL_OUTPUT_BYTES_MAX) {
        give_up(external, "process_command printed more than 65536 bytes");
    } else {
        stop_reading(external);
    }
}

static void timeout_due(void *arg)
{
    give_up(arg, "process_command did not end in time (60 s) and was killed");
}

static enum status read_result(struct external_source *external, int exit_status, int signal_number,
                               struct credentials *out, struct buf *out_why)
{
    if (external->why != NULL) {
        buf_append_text(out_why, external->why);
    } else if (external->output.length > EXTERNAL_OUTPUT_BYTES_MAX) {
        buf_append_text(out_why, "process_command printed more than 65536 bytes");
    } else if (signal_number != 0) {
        buf_printf(out_why, "process_command was ended by signal %d", signal_number);
    } else if (exit_status != 0) {
        buf_printf(out_why, "process_command ended with exit status %d; run it by hand to see why",
                   exit_status);
    } else {
        return read_output(buf_slice(&external->output), out, out_why);
    }
    return STATUS_INVALID;
}

static void ended(void *arg, int exit_status, int signal_number)
{
    struct external_source *external = arg;
    credentials_got_fn *got = external->got;
    struct credentials taken = {0};
    struct buf why = {0};
    loop_timer_stop(external->timer);
    loop_process_free(external->process);
    external->process = NULL;
    if (external->fd >= 0) {
        /* A process that it left running may hold the pipe open: do not wait for its end. */
        (void)read_some(external);
        stop_reading(external);
    }
    enum status status = read_result(external, exit_status, signal_number, &taken, &why);
    wipe_output(external);
    if (status == STATUS_OK) {
        credentials_set_provider(&taken, "external");
        taken.refresh_at_ms = taken.expires_at_ms == INT64_MAX
                                  ? external->context->now_ms()
                                  : taken.expires_at_ms - EXTERNAL_LEAD_MS;
    }
    credential_finish(got, external->arg, status, &taken, &why);
}

/* 0, or an errno value. */
static int spawn(struct external_source *external)
{
    int ends[2];
    int error = 0;
    /* Our own descriptors are closed on exec already; these were open when the bridge started. */
    (void)close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return errno;
    }
    (void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
    const int fds[] = {-1, ends[1], -1};
    struct loop_process_options options = {
        .path = external->argv.words[0],
        .argv = external->argv.words,
        .envp = environ,
        .fds = fds,
        .fd_count = 3,
        .leads_group = true,
    };
    external->process =
        loop_process_start(external->context->loop, &options, ended, external, &error);
    close(ends[1]);
    if (external->process == NULL) {
        close(ends[0]);
        return error;
    }
    external->fd = ends[0];
    return 0;
}

static void external_get(struct credential_source *source, credentials_got_fn *got, void *arg)
{
    struct external_source *external = (struct external_source *)source;
    struct buf why = {0};
    assert(external->process == NULL);
    int error = external->why_no_argv == NULL ? spawn(external) : 0;
    if (external->why_no_argv != NULL || error != 0) {
        if (error == 0) {
            buf_printf(&why, "process_command %s", external->why_no_argv);
        } else {
            buf_printf(&why, "process_command cannot be started: %s", strerror(error));
        }
        got(arg, STATUS_INVALID, NULL, why.data);
        buf_fini(&why);
        return;
    }
    external->got = got;
    external->arg = arg;
    external->why = NULL;
    /* In full size: growing would leave copies in freed memory. */
    buf_reserve(&external->output, EXTERNAL_OUTPUT_BYTES_MAX + 1);
    external->watch = loop_watch_new(external->context->loop, external->fd, output_ready, external);
    loop_watch_set(external->watch, LOOP_READ);
    if (external->timer == NULL) {
        external->timer = loop_timer_new(external->context->loop, timeout_due, external);
    }
    loop_timer_start(external->timer, external->timeout_ms);
}

static void external_free(struct credential_source *source)
{
    struct external_source *external = (struct external_source *)source;
    if (external->process != NULL) {
        loop_process_kill_group(external->process, SIGKILL);
        loop_process_free(external->process);
    }
    stop_reading(external);
    loop_timer_free(external->timer);
    wipe_output(external);
    argv_fini(&external->argv);
    free(external);
}

struct credential_source *credentials_external_new(const struct credential_context *context,
                                                   const char *command, int64_t timeout_ms)
{
    static const struct credential_source_ops ops = {
        .name = "external", .get = external_get, .free = external_free};
    struct external_source *external = mem_zalloc(1, sizeof *external);
    external->source.ops = &ops;
    external->context = context;
    external->timeout_ms = timeout_ms;
    external->fd = -1;
    (void)argv_init(&external->argv, slice_text(command), &external->why_no_argv);
    return &external->source;
}
