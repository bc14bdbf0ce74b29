/* Any bytes are a line on the control socket. What is accepted keeps all limits; what is refused
 * has a reason that can be sent as an answer. */
#include "app/control_request.h"
#include "base/json.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct control_request request;
    struct buf why = {0};
    struct buf answer = {0};
    enum status status = control_request_read(slice_of(data, size), &request, &why);
    assert((status == STATUS_OK) == (why.length == 0));
    if (status == STATUS_OK) {
        assert(request.level >= LOG_LEVEL_ERROR && request.level <= LOG_LEVEL_DEBUG);
        assert(strlen(request.token) <= COMMAND_TOKEN_BYTES_MAX);
        assert((request.order == CONTROL_RETRY || request.order == CONTROL_RESOLVE) ==
               (request.token[0] != '\0'));
        assert((request.order == CONTROL_RESOLVE) == (request.note[0] != '\0'));
        assert((request.order == CONTROL_RESOLVE && request.status == OUTCOME_SUCCEEDED) ==
               (request.request_id[0] != '\0'));
    }
    struct json_fault fault;
    control_answer_put(status == STATUS_OK, buf_slice(&why), &answer);
    assert(answer.data[answer.length - 1] == '\n');
    struct json *root = json_parse(buf_slice(&answer), 1, &fault);
    assert(root != NULL);
    json_free(root);
    buf_fini(&answer);
    buf_fini(&why);
    return 0;
}
