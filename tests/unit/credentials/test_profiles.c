/* Profiles in the files of the vendor's tools, and CloudSSO, which only they name. */
#include "base/mem.h"
#include "credentials/profiles.h"
#include "support/credential_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define KEY_SECRET "key-" SECRET_WORD
#define SESSION    "session-" SECRET_WORD
#define TOKEN      "token-" SECRET_WORD "+/="
#define ARN        "acs:ram::123456789012:role/bridge"

#define KEY           "\"access_key_id\":\"LTAI-cli\",\"access_key_secret\":\"" KEY_SECRET "\""
#define ROLE          "\"ram_role_arn\":\"" ARN "\",\"ram_session_name\":\"cli-session\""
#define ONLY(profile) "{\"current\":\"a\",\"profiles\":[{\"name\":\"a\"," profile "}]}"

#define CLI_FILE ".aliyun/config.json"
#define INI_FILE ".alibabacloud/credentials"
/* Long after and long before any test. */
#define FAR_S  "4071006245"
#define PAST_S "1600000000"

static void get_cli(struct fixture *fixture, const char *content)
{
    fixture_file(fixture, CLI_FILE, 0600, content);
    fixture_get_once(fixture, credentials_cli_profile_open(&fixture->context));
}

static void get_ini(struct fixture *fixture, const char *content)
{
    fixture_file(fixture, INI_FILE, 0600, content);
    fixture_get_once(fixture, credentials_profile_open(&fixture->context));
}

/* --- the command line's file --- */

static void test_a_key_or_a_session_comes_from_the_current_profile(void **state)
{
    struct fixture *fixture = *state;
    get_cli(fixture, ONLY("\"mode\":\"AK\"," KEY));
    fixture_assert_got(fixture, "LTAI-cli", KEY_SECRET, NULL, "cli_profile/static_ak");
    assert_true(fixture->got.expires_at_ms == INT64_MAX);
    get_cli(fixture, ONLY("\"mode\":\"StsToken\",\"sts_token\":\"t-" SECRET_WORD "\"," KEY));
    fixture_assert_got(fixture, "LTAI-cli", KEY_SECRET, "t-" SECRET_WORD, "cli_profile/static_sts");
}

static void test_a_role_of_a_profile_is_assumed(void **state)
{
    struct fixture *fixture = *state;
    fixture->answer =
        (struct fixture_answer){200, FIXTURE_STS("STS.role"), false, KEY_SECRET, NULL};
    get_cli(fixture, ONLY("\"mode\":\"RamRoleArn\",\"expired_seconds\":1800,\"external_id\":\"x7\","
                          "\"policy\":\"{}\"," KEY "," ROLE));
    fixture_assert_got(fixture, "STS.role", SESSION, TOKEN, "cli_profile/ram_role_arn/static_ak");
    assert_true(fixture->got.expires_at_ms == FIXTURE_EXPIRES_MS);
    assert_string_equal(fixture_parameter(fixture, "RoleArn"), ARN);
    assert_string_equal(fixture_parameter(fixture, "RoleSessionName"), "cli-session");
    assert_string_equal(fixture_parameter(fixture, "DurationSeconds"), "1800");
    assert_string_equal(fixture_parameter(fixture, "ExternalId"), "x7");
    assert_string_equal(fixture_parameter(fixture, "Policy"), "{}");
}

static void test_a_role_is_assumed_with_another_profile(void **state)
{
    struct fixture *fixture = *state;
    fixture->answer =
        (struct fixture_answer){200, FIXTURE_STS("STS.role"), false, KEY_SECRET, NULL};
    get_cli(fixture,
            "{\"current\":\"b\",\"profiles\":[{\"name\":\"b\",\"mode\":\"ChainableRamRoleArn\","
            "\"source_profile\":\"a\"," ROLE "},{\"name\":\"a\",\"mode\":\"StsToken\","
            "\"sts_token\":\"t-" SECRET_WORD "\"," KEY "}]}");
    fixture_assert_got(fixture, "STS.role", SESSION, TOKEN, "cli_profile/ram_role_arn/static_sts");
    assert_string_equal(fixture_parameter(fixture, "SecurityToken"), "t-" SECRET_WORD);
    assert_string_equal(fixture_parameter(fixture, "AccessKeyId"), "LTAI-cli");
}

/* The session of the first role signs the request for the second. */
static void test_a_chain_of_two_roles_makes_two_requests(void **state)
{
    struct fixture *fixture = *state;
    fixture->answer = (struct fixture_answer){200, FIXTURE_STS("STS.role"), false, NULL, NULL};
    get_cli(fixture,
            "{\"current\":\"c\",\"profiles\":[{\"name\":\"c\",\"mode\":\"ChainableRamRoleArn\","
            "\"source_profile\":\"a\"," ROLE "},{\"name\":\"a\",\"mode\":\"RamRoleArn\"," KEY
            "," ROLE "}]}");
    fixture_assert_got(fixture, "STS.role", SESSION, TOKEN,
                       "cli_profile/ram_role_arn/ram_role_arn/static_ak");
    assert_int_equal(peer_requests(fixture->peer), 2);
    assert_string_equal(fixture_parameter(fixture, "SecurityToken"), TOKEN);
    assert_string_equal(fixture_parameter(fixture, "AccessKeyId"), "STS.role");
}

static void test_a_chain_of_profiles_that_comes_back_to_itself_is_refused_without_a_request(
    void **state)
{
    struct fixture *fixture = *state;
    get_cli(fixture,
            "{\"current\":\"a\",\"profiles\":[{\"name\":\"a\",\"mode\":\"ChainableRamRoleArn\","
            "\"source_profile\":\"b\"," ROLE "},{\"name\":\"b\",\"mode\":"
            "\"ChainableRamRoleArn\",\"source_profile\":\"a\"," ROLE "}]}");
    fixture_assert_failed(fixture, STATUS_INVALID, "is already in the chain");
    assert_int_equal(peer_requests(fixture->peer), 0);
}

static void test_the_oidc_token_of_a_profile_is_used(void **state)
{
    struct fixture *fixture = *state;
    char text[1024];
    fixture->answer = (struct fixture_answer){200, FIXTURE_STS("STS.oidc"), false, NULL, NULL};
    snprintf(text, sizeof text,
             ONLY("\"mode\":\"OIDC\",\"oidc_provider_arn\":\"acs:ram::1:oidc-provider/k\","
                  "\"oidc_token_file\":\"%s\"," ROLE),
             fixture_file(fixture, "token", 0600, "jwt." SECRET_WORD "\n"));
    get_cli(fixture, text);
    fixture_assert_got(fixture, "STS.oidc", SESSION, TOKEN, "cli_profile/oidc_role_arn");
    assert_string_equal(fixture_parameter(fixture, "OIDCToken"), "jwt." SECRET_WORD);
    assert_string_equal(fixture_parameter(fixture, "RoleSessionName"), "cli-session");
}

static void test_the_program_of_a_profile_is_run(void **state)
{
    struct fixture *fixture = *state;
    get_cli(fixture, ONLY("\"mode\":\"External\",\"process_command\":\"printf %s "
                          "'{\\\"mode\\\":\\\"AK\\\",\\\"access_key_id\\\":\\\"LTAI-ext\\\","
                          "\\\"access_key_secret\\\":\\\"" KEY_SECRET "\\\"}'\""));
    fixture_assert_got(fixture, "LTAI-ext", KEY_SECRET, NULL, "cli_profile/external");
    get_cli(fixture, ONLY("\"mode\":\"External\",\"process_command\":\"false " SECRET_WORD "\""));
    fixture_assert_failed(fixture, STATUS_INVALID,
                          "profile \"a\": process_command ended with exit status 1");
}

static void test_a_profile_is_chosen_by_setting_variable_or_file(void **state)
{
    struct fixture *fixture = *state;
    static char third[] = "c";
    fixture_file(
        fixture, CLI_FILE, 0600,
        "{\"current\":\"a\",\"profiles\":["
        "{\"name\":\"a\",\"mode\":\"AK\",\"access_key_id\":\"one\",\"access_key_secret\":\"x\"},"
        "{\"name\":\"b\",\"mode\":\"AK\",\"access_key_id\":\"two\",\"access_key_secret\":\"x\"},"
        "{\"name\":\"c\",\"mode\":\"AK\",\"access_key_id\":\"three\",\"access_key_secret\":\"x\""
        "}]}");
    fixture_get_once(fixture, credentials_cli_profile_open(&fixture->context));
    fixture_assert_got(fixture, "one", "x", NULL, "cli_profile/static_ak");
    fixture_env("ALIBABA_CLOUD_PROFILE", "b");
    fixture_get_once(fixture, credentials_cli_profile_open(&fixture->context));
    fixture_assert_got(fixture, "two", "x", NULL, "cli_profile/static_ak");
    fixture->settings.profile = third;
    fixture_get_once(fixture, credentials_cli_profile_open(&fixture->context));
    fixture_assert_got(fixture, "three", "x", NULL, "cli_profile/static_ak");
    fixture->settings.profile = third + 1;
    fixture_env("ALIBABA_CLOUD_PROFILE", "d");
    fixture_get_once(fixture, credentials_cli_profile_open(&fixture->context));
    fixture_assert_failed(fixture, STATUS_NOT_FOUND, "there is no profile \"d\"");
}

static void test_the_file_is_chosen_by_setting_or_variable_and_can_be_turned_off(void **state)
{
    struct fixture *fixture = *state;
    char path[256];
    fixture_get_once(fixture, credentials_cli_profile_open(&fixture->context));
    fixture_assert_failed(fixture, STATUS_NOT_FOUND, "/.aliyun/config.json cannot be opened");
    fixture_env("ALIBABA_CLOUD_CONFIG_FILE",
                fixture_file(fixture, "elsewhere.json", 0600, ONLY("\"mode\":\"AK\"," KEY)));
    fixture_get_once(fixture, credentials_cli_profile_open(&fixture->context));
    fixture_assert_got(fixture, "LTAI-cli", KEY_SECRET, NULL, "cli_profile/static_ak");
    snprintf(path, sizeof path, "%s/nowhere.json", fixture->folder);
    fixture->settings.cli_profile_file = path;
    fixture_get_once(fixture, credentials_cli_profile_open(&fixture->context));
    fixture_assert_failed(fixture, STATUS_NOT_FOUND, "/nowhere.json cannot be opened");
    fixture->settings.cli_profile_file = fixture->settings.uri;
    fixture_env("ALIBABA_CLOUD_CLI_PROFILE_DISABLED", "True");
    fixture_get_once(fixture, credentials_cli_profile_open(&fixture->context));
    fixture_assert_failed(fixture, STATUS_NOT_FOUND, "ALIBABA_CLOUD_CLI_PROFILE_DISABLED");
}

static void test_a_changed_file_is_used_at_the_next_get(void **state)
{
    struct fixture *fixture = *state;
    struct credential_source *source = credentials_cli_profile_open(&fixture->context);
    fixture_file(fixture, CLI_FILE, 0600, ONLY("\"mode\":\"AK\"," KEY));
    fixture_get(fixture, source);
    assert_true(credentials_refused(source, 1));
    fixture_file(
        fixture, CLI_FILE, 0600,
        ONLY("\"mode\":\"AK\",\"access_key_id\":\"LTAI-new\",\"access_key_secret\":\"" KEY_SECRET
             "\""));
    fixture_get(fixture, source);
    fixture_assert_got(fixture, "LTAI-new", KEY_SECRET, NULL, "cli_profile/static_ak");
    credentials_source_free(source);
}

static void test_an_error_in_the_file_names_its_path(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *content;
        const char *error;
    } rows[] = {
        {"", "/.aliyun/config.json: "},
        {"{\"current\":\"" SECRET_WORD, "/.aliyun/config.json: "},
        {ONLY("\"mode\":\"OAuth\"," KEY), "profile \"a\": the mode \"OAuth\" is not supported"},
        {ONLY("\"mode\":\"RamRoleArn\",\"ram_role_arn\":\"x\"," KEY),
         "config.json: profile \"a\": the role's ARN must have the form"},
        {ONLY("\"mode\":\"RamRoleArn\",\"expired_seconds\":60," KEY "," ROLE),
         "900 to 43200 seconds"},
        {ONLY("\"mode\":\"RamRoleArn\",\"external_id\":\"x\"," KEY "," ROLE), "2 to 1224 bytes"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        get_cli(fixture, rows[i].content);
        fixture_assert_failed(fixture, STATUS_INVALID, rows[i].error);
    }
    assert_int_equal(peer_requests(fixture->peer), 0);
}

static void test_the_region_of_a_profile_selects_the_sts_endpoint(void **state)
{
    struct fixture *fixture = *state;
    fixture->settings.sts_endpoint = fixture->settings.uri;
    get_cli(fixture, ONLY("\"mode\":\"RamRoleArn\",\"sts_region\":\"a/b\"," KEY "," ROLE));
    fixture_assert_failed(fixture, STATUS_INVALID,
                          "config.json: profile \"a\": the STS region must be");
    fixture->answer =
        (struct fixture_answer){200, FIXTURE_STS("STS.role"), false, KEY_SECRET, NULL};
    char text[1024];
    snprintf(
        text, sizeof text,
        ONLY("\"mode\":\"RamRoleArn\",\"sts_region\":\"cn-beijing\",\"sts_endpoint\":\"%s\"," KEY
             "," ROLE),
        fixture->url);
    get_cli(fixture, text);
    fixture_assert_got(fixture, "STS.role", SESSION, TOKEN, "cli_profile/ram_role_arn/static_ak");
}

/* --- permissions of the file --- */

static void test_a_file_that_others_can_write_is_refused(void **state)
{
    struct fixture *fixture = *state;
    static const mode_t modes[] = {0620, 0602, 0666};
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        fixture_file(fixture, CLI_FILE, modes[i], ONLY("\"mode\":\"AK\"," KEY));
        fixture_get_once(fixture, credentials_cli_profile_open(&fixture->context));
        fixture_assert_failed(fixture, STATUS_INVALID,
                              "config.json can be written by others than its owner");
    }
}

/* Collects what is written to standard error. */
static size_t count_warnings(struct fixture *fixture, struct credential_source *source, int gets)
{
    char text[8192] = "";
    int pipe_fds[2];
    size_t count = 0;
    assert_int_equal(pipe(pipe_fds), 0);
    int kept = dup(STDERR_FILENO);
    dup2(pipe_fds[1], STDERR_FILENO);
    close(pipe_fds[1]);
    for (int i = 0; i < gets; i++) {
        fixture_get(fixture, source);
    }
    dup2(kept, STDERR_FILENO);
    close(kept);
    ssize_t length = read(pipe_fds[0], text, sizeof text - 1);
    close(pipe_fds[0]);
    assert_true(length >= 0);
    assert_null(strstr(text, SECRET_WORD));
    for (const char *at = text; (at = strstr(at, "secret_file_readable")) != NULL; at++) {
        count++;
    }
    return count;
}

static void test_one_warning_is_logged_for_a_file_that_others_can_read(void **state)
{
    struct fixture *fixture = *state;
    fixture_file(fixture, CLI_FILE, 0644, ONLY("\"mode\":\"AK\"," KEY));
    struct credential_source *source = credentials_cli_profile_open(&fixture->context);
    assert_int_equal(count_warnings(fixture, source, 3), 1);
    fixture_assert_got(fixture, "LTAI-cli", KEY_SECRET, NULL, "cli_profile/static_ak");
    credentials_source_free(source);
    fixture_file(fixture, CLI_FILE, 0400, ONLY("\"mode\":\"AK\"," KEY));
    source = credentials_cli_profile_open(&fixture->context);
    assert_int_equal(count_warnings(fixture, source, 2), 0);
    credentials_source_free(source);
}

static void test_a_file_that_cannot_be_read_is_reported(void **state)
{
    struct fixture *fixture = *state;
    static const uid_t nobody = 65534;
    bool is_root = geteuid() == 0;
    fixture_file(fixture, CLI_FILE, is_root ? 0600 : 0000, ONLY("\"mode\":\"AK\"," KEY));
    assert_int_equal(chmod(fixture->folder, 0755), 0);
    struct credential_source *source = credentials_cli_profile_open(&fixture->context);
    if (is_root) {
        assert_int_equal(seteuid(nobody), 0);
    }
    fixture_get(fixture, source);
    if (is_root) {
        assert_int_equal(seteuid(0), 0);
    }
    fixture_assert_failed(fixture, STATUS_INVALID,
                          "config.json cannot be opened: Permission denied");
    credentials_source_free(source);
}

static void test_links_are_followed_and_other_kinds_of_files_are_refused(void **state)
{
    struct fixture *fixture = *state;
    char link_path[256];
    char *target = mem_strdup(fixture_file(fixture, "target", 0600, ONLY("\"mode\":\"AK\"," KEY)));
    snprintf(link_path, sizeof link_path, "%s/link", fixture->folder);
    assert_int_equal(symlink(target, link_path), 0);
    free(target);
    fixture_env("ALIBABA_CLOUD_CONFIG_FILE", link_path);
    fixture_get_once(fixture, credentials_cli_profile_open(&fixture->context));
    fixture_assert_got(fixture, "LTAI-cli", KEY_SECRET, NULL, "cli_profile/static_ak");
    fixture_env("ALIBABA_CLOUD_CONFIG_FILE", fixture->folder);
    fixture_get_once(fixture, credentials_cli_profile_open(&fixture->context));
    fixture_assert_failed(fixture, STATUS_INVALID, "is not a regular file");
    unlink(link_path);
    assert_int_equal(mkfifo(link_path, 0600), 0);
    fixture_env("ALIBABA_CLOUD_CONFIG_FILE", link_path);
    fixture_get_once(fixture, credentials_cli_profile_open(&fixture->context));
    fixture_assert_failed(fixture, STATUS_INVALID, "/link is not a regular file");
}

static void test_the_size_of_a_file_has_a_limit(void **state)
{
    struct fixture *fixture = *state;
    struct buf text = {0};
    buf_append_text(&text, ONLY("\"mode\":\"AK\"," KEY));
    while (text.length < 65536) {
        buf_append_char(&text, '\n');
    }
    get_cli(fixture, text.data);
    fixture_assert_got(fixture, "LTAI-cli", KEY_SECRET, NULL, "cli_profile/static_ak");
    buf_append_char(&text, '\n');
    get_cli(fixture, text.data);
    fixture_assert_failed(fixture, STATUS_INVALID, "config.json is larger than 65536 bytes");
    buf_fini(&text);
}

static void count_file(void *arg, const char *path)
{
    assert_non_null(strstr(path, "/."));
    ++*(int *)arg;
}

static void test_a_source_reports_its_files(void **state)
{
    struct fixture *fixture = *state;
    int count = 0;
    struct credential_source *source = credentials_cli_profile_open(&fixture->context);
    credentials_files(source, count_file, &count);
    assert_int_equal(count, 1);
    fixture_env("ALIBABA_CLOUD_CLI_PROFILE_DISABLED", "true");
    credentials_files(source, count_file, &count);
    assert_int_equal(count, 1);
    credentials_source_free(source);
    source = credentials_profile_open(&fixture->context);
    credentials_files(source, count_file, &count);
    assert_int_equal(count, 2);
    credentials_source_free(source);
}

/* --- the ini file of the SDKs --- */

static void test_a_section_can_have_a_key(void **state)
{
    struct fixture *fixture = *state;
    get_ini(fixture, "[default]   # Default client\ntype = access_key   # kind\n"
                     "access_key_id = LTAI-ini\naccess_key_secret = " KEY_SECRET "\n");
    fixture_assert_got(fixture, "LTAI-ini", KEY_SECRET, NULL, "profile/static_ak");
}

static void test_a_section_can_have_a_role(void **state)
{
    struct fixture *fixture = *state;
    fixture->answer = (struct fixture_answer){200, FIXTURE_STS("STS.ini"), false, KEY_SECRET, NULL};
    fixture_env("ALIBABA_CLOUD_PROFILE", "r");
    get_ini(fixture, "[r]\ntype=ram_role_arn\naccess_key_id=LTAI-ini\naccess_key_secret=" KEY_SECRET
                     "\nrole_arn=" ARN "\nrole_session_name=ini-session\npolicy={\"a\":1}\n");
    fixture_assert_got(fixture, "STS.ini", SESSION, TOKEN, "profile/ram_role_arn/static_ak");
    assert_string_equal(fixture_parameter(fixture, "RoleSessionName"), "ini-session");
    assert_string_equal(fixture_parameter(fixture, "DurationSeconds"), "3600");
    assert_string_equal(fixture_parameter(fixture, "Policy"), "{\"a\":1}");
}

static void test_another_file_and_section_can_be_configured_and_are_read_for_each_get(void **state)
{
    struct fixture *fixture = *state;
    fixture_env(
        "ALIBABA_CLOUD_CREDENTIALS_FILE",
        fixture_file(fixture, "keys", 0600,
                     "[default]\ntype=access_key\naccess_key_id=one\naccess_key_secret=x\n"));
    struct credential_source *source = credentials_profile_open(&fixture->context);
    fixture_get(fixture, source);
    fixture_assert_got(fixture, "one", "x", NULL, "profile/static_ak");
    fixture_file(fixture, "keys", 0600,
                 "[default]\ntype=access_key\naccess_key_id=two\naccess_key_secret=x\n");
    assert_true(credentials_refused(source, 1));
    fixture_get(fixture, source);
    fixture_assert_got(fixture, "two", "x", NULL, "profile/static_ak");
    credentials_source_free(source);
}

static void test_an_error_in_a_section_contains_no_values(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *content;
        enum status status;
        const char *error;
    } rows[] = {
        {"[other]\n", STATUS_NOT_FOUND, "/credentials has no section [default]"},
        {"[default]\n" SECRET_WORD "\n", STATUS_INVALID,
         "/credentials:2: neither a section nor key = value"},
        {"[default]\naccess_key_id=x\n", STATUS_INVALID, "[default]: type must be access_key"},
        {"[default]\ntype=" SECRET_WORD "\n", STATUS_INVALID, "[default]: type must be access_key"},
        {"[default]\ntype=access_key\naccess_key_id=x\n", STATUS_INVALID,
         "access_key_secret is missing, which the type access_key needs"},
        {"[default]\ntype=access_key\naccess_key_id=x\naccess_key_secret=\n", STATUS_INVALID,
         "access_key_secret is missing"},
        {"[default]\ntype=access_key\naccess_key_id=x\naccess_key_secret=a " SECRET_WORD "\n",
         STATUS_INVALID, "access_key_secret holds a character"},
        {"[default]\ntype=ram_role_arn\naccess_key_id=x\naccess_key_secret=" SECRET_WORD "\n",
         STATUS_INVALID, "role_arn is missing"},
        {"[default]\ntype=ram_role_arn\naccess_key_id=x\naccess_key_secret=" SECRET_WORD
         "\nrole_arn=y\n",
         STATUS_INVALID, "credentials: [default]: the role's ARN must have the form"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        get_ini(fixture, rows[i].content);
        fixture_assert_failed(fixture, rows[i].status, rows[i].error);
    }
}

/* --- CloudSSO --- */

#define SSO(url, expires)                                                                        \
    ONLY("\"mode\":\"CloudSSO\",\"cloud_sso_sign_in_url\":\"" url "\",\"cloud_sso_account_id\":" \
         "\"123\",\"cloud_sso_access_config\":\"ac-1\",\"access_token\":\"sso." SECRET_WORD      \
         "\",\"cloud_sso_access_token_expire\":" expires)

static void get_sso(struct fixture *fixture, const char *expires)
{
    char text[1024];
    snprintf(text, sizeof text, SSO("%s/device/login?x=y", "%s"), fixture->url, expires);
    get_cli(fixture, text);
}

static void test_a_valid_access_token_is_exchanged_for_credentials(void **state)
{
    struct fixture *fixture = *state;
    struct buf request = {0};
    fixture->answer = (struct fixture_answer){
        200, "{\"CloudCredential\":" FIXTURE_KEYS("STS.sso") ",\"RequestId\":\"R\"}", false, NULL,
        NULL};
    get_sso(fixture, FAR_S);
    fixture_assert_got(fixture, "STS.sso", SESSION, TOKEN, "cli_profile/cloud_sso");
    assert_true(fixture->got.expires_at_ms == FIXTURE_EXPIRES_MS);
    peer_last_request(fixture->peer, &request);
    assert_int_equal(strncmp(request.data, "POST /cloud-credentials HTTP/1.1\r\n", 34), 0);
    assert_non_null(strstr(request.data, "authorization: Bearer sso." SECRET_WORD "\r\n"));
    assert_non_null(strstr(request.data, "content-type: application/json\r\n"));
    assert_non_null(strstr(request.data, "\r\n\r\n{\"AccountId\":\"123\","
                                         "\"AccessConfigurationId\":\"ac-1\"}"));
    buf_fini(&request);
}

static void test_an_expired_access_token_is_an_error_that_says_what_to_do(void **state)
{
    struct fixture *fixture = *state;
    get_sso(fixture, PAST_S);
    fixture_assert_failed(fixture, STATUS_INVALID,
                          "has expired; sign in again with `aliyun configure");
    get_sso(fixture, "0");
    fixture_assert_failed(fixture, STATUS_INVALID,
                          "has expired; sign in again with `aliyun configure");
    assert_int_equal(peer_requests(fixture->peer), 0);
}

static void test_a_refusal_by_cloud_sso_is_reported(void **state)
{
    struct fixture *fixture = *state;
    fixture->answer = (struct fixture_answer){
        401, "{\"Code\":\"InvalidToken\",\"Message\":\"sso." SECRET_WORD " no\"}", false, NULL,
        NULL};
    get_sso(fixture, FAR_S);
    fixture_assert_failed(
        fixture, STATUS_INVALID,
        "CloudSSO answered with HTTP status 401, InvalidToken: *** no; sign in again");
    fixture->answer = (struct fixture_answer){500, "", false, NULL, NULL};
    get_sso(fixture, FAR_S);
    fixture_assert_failed(fixture, STATUS_INVALID, "CloudSSO answered with HTTP status 500");
    fixture->answer = (struct fixture_answer){200, "{}", false, NULL, NULL};
    get_sso(fixture, FAR_S);
    fixture_assert_failed(fixture, STATUS_INVALID,
                          "the answer of CloudSSO: CloudCredential is missing");
    get_cli(fixture, SSO("http://sso.example.com/", FAR_S));
    fixture_assert_failed(fixture, STATUS_INVALID,
                          "cloud_sso_sign_in_url must begin with https://");
    get_cli(fixture, SSO("nothing", FAR_S));
    fixture_assert_failed(fixture, STATUS_INVALID, "cloud_sso_sign_in_url is not a URL");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define FIXTURE_TEST(test) cmocka_unit_test_setup_teardown(test, fixture_set_up, fixture_tear_down)
        FIXTURE_TEST(test_a_key_or_a_session_comes_from_the_current_profile),
        FIXTURE_TEST(test_a_role_of_a_profile_is_assumed),
        FIXTURE_TEST(test_a_role_is_assumed_with_another_profile),
        FIXTURE_TEST(test_a_chain_of_two_roles_makes_two_requests),
        FIXTURE_TEST(
            test_a_chain_of_profiles_that_comes_back_to_itself_is_refused_without_a_request),
        FIXTURE_TEST(test_the_oidc_token_of_a_profile_is_used),
        FIXTURE_TEST(test_the_program_of_a_profile_is_run),
        FIXTURE_TEST(test_a_profile_is_chosen_by_setting_variable_or_file),
        FIXTURE_TEST(test_the_file_is_chosen_by_setting_or_variable_and_can_be_turned_off),
        FIXTURE_TEST(test_a_changed_file_is_used_at_the_next_get),
        FIXTURE_TEST(test_an_error_in_the_file_names_its_path),
        FIXTURE_TEST(test_the_region_of_a_profile_selects_the_sts_endpoint),
        FIXTURE_TEST(test_a_file_that_others_can_write_is_refused),
        FIXTURE_TEST(test_one_warning_is_logged_for_a_file_that_others_can_read),
        FIXTURE_TEST(test_a_file_that_cannot_be_read_is_reported),
        FIXTURE_TEST(test_links_are_followed_and_other_kinds_of_files_are_refused),
        FIXTURE_TEST(test_the_size_of_a_file_has_a_limit),
        FIXTURE_TEST(test_a_source_reports_its_files),
        FIXTURE_TEST(test_a_section_can_have_a_key),
        FIXTURE_TEST(test_a_section_can_have_a_role),
        FIXTURE_TEST(test_another_file_and_section_can_be_configured_and_are_read_for_each_get),
        FIXTURE_TEST(test_an_error_in_a_section_contains_no_values),
        FIXTURE_TEST(test_a_valid_access_token_is_exchanged_for_credentials),
        FIXTURE_TEST(test_an_expired_access_token_is_an_error_that_says_what_to_do),
        FIXTURE_TEST(test_a_refusal_by_cloud_sso_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
