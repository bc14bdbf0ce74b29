/*
 * Reads any bytes as the command line's configuration file, for the current profile and for one by
 * name. A chain that is accepted must have the keys of its modes and end with a profile that names
 * no other; an error must have a text of one line.
 */
#include "credentials/cli_chain.h"

#include <assert.h>
#include <stdint.h>

static void check_profile(const struct cli_profile *profile, bool is_last)
{
    assert(slice_is_present(profile->name) && profile->name.length > 0);
    assert((profile->mode == CLI_CHAINABLE_RAM_ROLE_ARN) == !is_last);
    assert(profile->mode != CLI_AK || slice_is_present(profile->access_key_secret));
    assert(profile->mode != CLI_STS_TOKEN || slice_is_present(profile->sts_token));
    assert(profile->mode != CLI_EXTERNAL || slice_is_present(profile->process_command));
    assert(profile->mode != CLI_CLOUD_SSO || slice_is_present(profile->access_token));
    assert(profile->mode != CLI_OIDC || slice_is_present(profile->oidc_token_file));
    assert(is_last || slice_is_present(profile->ram_role_arn));
    assert(profile->expired_seconds >= 0 && profile->cloud_sso_access_token_expire >= 0);
}

static void check_chain(const struct json *document, const char *wanted)
{
    struct cli_profile profiles[CLI_CHAIN_MAX];
    size_t count = 0;
    struct buf why = {0};
    enum status status = cli_chain_read(document, wanted, profiles, &count, &why);
    assert((status == STATUS_OK) == (why.length == 0));
    assert(status != STATUS_OK || (count > 0 && count <= CLI_CHAIN_MAX));
    assert(strchr(buf_slice(&why).data, '\n') == NULL);
    for (size_t i = 0; i < count; i++) {
        check_profile(&profiles[i], i + 1 == count);
    }
    buf_fini(&why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json_fault fault;
    struct json *document = json_parse(slice_of(data, size), CLI_DEPTH_MAX, &fault);
    if (document == NULL) {
        return 0;
    }
    check_chain(document, NULL);
    check_chain(document, "b");
    json_free_secret(document);
    return 0;
}
