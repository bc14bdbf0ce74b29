/* The error table and the values made from it. */
#include "errors.h"

#include "base.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct error_row error_rows[] = {
    /* Listed for StartDiskReplicaGroup. */
    {400, "OperationDenied.StandbyDeviceAttached", "The secondary disk is attached."},
    {403, "OperationDenied", "The operation is not allowed."},
    {403, "OperationDenied.InvalidStatus", "The operation is not allowed in current status."},
    {403, "OperationDenied.ManualSyncLimit",
     "One shot start manual syncing too frequently, please try again later."},
    {403, "OperationDenied.NoPairInGroup",
     "The operation is not allowed because no pair in the group."},
    {403, "OperationDenied.PairGroupStatusConflict",
     "The operation is not allowed due to pair and group status are not consistent."},
    {403, "OperationDenied.PairGroupAZoneConflict",
     "The operation is not allowed due to pair and group having different RegionId or ZoneId."},
    {403, "OperationDenied.PairNotInGroup",
     "The operation is not allowed because pair is not in any group."},
    {403, "Forbidden", "User is not authorized to operate."},
    {403, "Forbidden.Action", "User is not authorized to operate this action."},
    {404, "NoSuchResource", "The specified resource does not exist."},
    {500, "InternalError",
     "The request processing has failed due to some unknown error, exception or failure."},
    {504, "RequestTimeout", "The request is timeout, please try again later."},
    /* Listed for sibling actions, and possible here, too. */
    {403, "LastTokenProcessing", "The last token request is processing."},
    {429, "BLOCK.LimitedRequest", "Request was denied due to user flow control."},
    {403, "InvalidAccountStatus.NotEnoughBalance", "Your account does not have enough balance."},
    {403, "NoPermission.SLR", "The service-linked role could not be created."},
    {403, "InvalidIdempotenceParameter.Mismatch",
     "Request uses a client token in a previous request but is not identical to that request."},
    {400, "IdempotentParameterMismatch",
     "Request uses a client token in a previous request but is not identical to that request."},
    {409, "OperationConflict", "Request was denied due to conflict with a previous request."},
    {400, "InvalidParameter", "The specified parameter is not valid."},
    {400, "InvalidParameter.Conflict", "The specified parameters conflict with each other."},
    {400, "InvalidParameter.Format", "The specified parameter is not well formatted."},
    {400, "MissingParameter", "A parameter is mandatory for this action."},
    /* Of the gateway. */
    {400, "MissingRegionId", "RegionId is mandatory for this action."},
    {400, "MissingReplicaGroupId", "ReplicaGroupId is mandatory for this action."},
    {400, "MissingReplicaPairId", "ReplicaPairId is mandatory for this action."},
    {400, "MissingAction", "Action is mandatory for this action."},
    {400, "MissingVersion", "Version is mandatory for this action."},
    {400, "MissingSignatureNonce", "SignatureNonce is mandatory for this action."},
    {400, "MissingAccessKeyId", "AccessKeyId is mandatory for this action."},
    {400, "MissingSecurityToken", "SecurityToken is mandatory for this action."},
    {400, "Throttling", "Request was denied due to request throttling."},
    {400, "Throttling.User", "Request was denied due to user flow control."},
    {400, "Throttling.Api", "Request was denied due to api flow control."},
    {503, "ServiceUnavailable", "The request has failed due to a temporary failure of the server."},
    {503, "ServiceUnavailable.RegionMaintaining", "The region is under maintenance."},
    {400, "SignatureNonceUsed", "Specified signature nonce was used already."},
    {400, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired."},
    {400, "InvalidTimeStamp.Format", "Specified time stamp or date value is not well formatted."},
    {400, "IllegalTimestamp", "The input parameter Timestamp that is mandatory is missing."},
    {400, "IncompleteSignature", "The request signature does not conform to Aliyun standards."},
    {400, "SignatureDoesNotMatch", "Specified signature is not matched with our calculation."},
    {404, "InvalidAccessKeyId.NotFound", "Specified access key is not found."},
    {400, "InvalidAccessKeyId.Inactive", "Specified access key is disabled."},
    {403, "Forbidden.AccessKeyDisabled", "The Access Key is disabled."},
    {400, "InvalidSecurityToken.Expired", "Specified SecurityToken is expired."},
    {400, "InvalidSecurityToken.Malformed", "Specified SecurityToken is malformed."},
    {400, "InvalidSecurityToken.MismatchWithAccessKey",
     "Specified SecurityToken does not belong to the access key."},
    {404, "InvalidAction.NotFound",
     "Specified api is not found, please check your url and method."},
    {404, "InvalidApi.NotFound", "Specified api is not found, please check your url and method."},
    {400, "InvalidVersion", "Specified parameter Version is not valid."},
    {404, "InvalidProduct.NotFound", "Cannot find product according to your specified domain."},
    {400, "InvalidProtocol.NeedSsl", "Your request is denied as lack of ssl protect."},
    {400, "UnsupportedHTTPMethod", "This http method is not supported."},
};

const size_t error_row_count = sizeof error_rows / sizeof error_rows[0];

const struct error_row *error_find(const char *code)
{
    for (size_t i = 0; i < error_row_count; i++) {
        if (strcmp(error_rows[i].code, code) == 0) {
            return &error_rows[i];
        }
    }
    return NULL;
}

void problem_set_free(struct problem *problem, unsigned http, const char *code, const char *message)
{
    char *copy = base_copy(message, strlen(message));
    problem_fini(problem);
    problem->http = http;
    base_fill(problem->code, sizeof problem->code, code);
    problem->message = copy;
}

bool problem_set(struct problem *problem, const char *code, const char *format, ...)
{
    const struct error_row *row = error_find(code);
    assert(row);
    if (!format) {
        problem_set_free(problem, row->http, row->code, row->message);
        return false;
    }
    char *message = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&message, format, arguments);
    va_end(arguments);
    if (length < 0) {
        abort();
    }
    problem_set_free(problem, row->http, row->code, message);
    free(message);
    return false;
}

void problem_fini(struct problem *problem)
{
    free(problem->message);
    *problem = (struct problem){0};
}
