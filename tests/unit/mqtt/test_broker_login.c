/* User name and password for a connection, also those of ApsaraMQ for MQTT. */
#include "mqtt/broker_login.h"

#include "mqtt/connect_params.h"
#include "support/settings_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define INSTANCE "instance_id = \"post-cn-1\"; device_id = \"{Instance}\"; "

/* A file with a secret in it, for one test. */
static char path[64];

static void write_secret(const char *text)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(fputs(text, file) < 0, 0);
    assert_int_equal(fclose(file), 0);
}

static int make_file(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "/tmp/test_broker_login.XXXXXX");
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
    (void)state;
    (void)unlink(path);
    return 0;
}

/* Settings with these lines in `broker.apsaramq`, in which %s is the file. */
static struct settings *settings_of(const char *instance, const char *lines)
{
    struct buf text = {0};
    buf_printf(&text,
               "instance = \"%s\"; broker: { profile = \"apsaramq\"; "
               "uris = (\"mqtts://broker.example\"); apsaramq: { " INSTANCE,
               instance);
    const char *mark = strstr(lines, "FILE");
    buf_printf(&text, "%.*s%s%s }; };" LIMITED_ROUTES, (int)(mark - lines), lines, path, mark + 4);
    struct settings *settings = settings_of_text(text.data);
    buf_fini(&text);
    return settings;
}

static void check_login(const struct settings *settings, const char *client_id,
                        const char *username, const char *password)
{
    struct broker_login login = {0};
    struct broker_login_fault fault = {0};
    assert_int_equal(broker_login_make(settings, slice_text(client_id), &login, &fault), STATUS_OK);
    assert_string_equal(login.username.data, username);
    assert_true(slice_equals_text(secret_slice(&login.password), password));
    assert_true(login.has_password);
    broker_login_fini(&login);
    broker_login_fault_fini(&fault);
}

static void check_fault(const struct settings *settings, const char *client_id, const char *setting,
                        const char *text)
{
    struct broker_login login = {0};
    struct broker_login_fault fault = {0};
    assert_int_not_equal(broker_login_make(settings, slice_text(client_id), &login, &fault),
                         STATUS_OK);
    assert_string_equal(fault.setting, setting);
    assert_string_equal(fault.file, path);
    assert_string_equal(fault.text.data, text);
    broker_login_fini(&login);
    broker_login_fault_fini(&fault);
}

/* Computed with other code, from the formula of the vendor's page. */
static void test_a_signature_is_that_of_the_client_id(void **state)
{
    (void)state;
    write_secret("XXXXX\n");
    struct settings *settings =
        settings_of("b1", "mode = \"signature\"; access_key_id = \"AK1\"; secret_file = \"FILE\";");
    assert_string_equal(settings->broker.client_id, "GID_bridge@@@b1");
    check_login(settings, "GID_Test@@@0001", "Signature|AK1|post-cn-1",
                "vI009IZJZVGRwBwZvnbwjfuXxVM=");
    check_login(settings, "GID_bridge@@@b1-in", "Signature|AK1|post-cn-1",
                "UY0NukuJYAZWz2JLVezgC6xO/ZI=");
    check_login(settings, "GID_bridge@@@b1-out", "Signature|AK1|post-cn-1",
                "FAT+AvtmEqTVgL5GXtm2zA9PNgc=");
    settings_free(settings);
}

static void test_a_device_has_a_credential_for_each_client_id(void **state)
{
    (void)state;
    write_secret("[GID_bridge@@@b1-in]\naccess_key_id = DC.in\naccess_key_secret = XXXXX\n"
                 "[GID_bridge@@@b1-out]\naccess_key_id = DC.out\naccess_key_secret = XXXXX\n");
    struct settings *settings = settings_of("b1", "credentials_file = \"FILE\";");
    check_login(settings, "GID_bridge@@@b1-in", "DeviceCredential|DC.in|post-cn-1",
                "UY0NukuJYAZWz2JLVezgC6xO/ZI=");
    check_login(settings, "GID_bridge@@@b1-out", "DeviceCredential|DC.out|post-cn-1",
                "FAT+AvtmEqTVgL5GXtm2zA9PNgc=");
    settings_free(settings);
}

static void test_a_token_is_read_again_for_each_connection(void **state)
{
    (void)state;
    write_secret("RW|first\n");
    struct settings *settings =
        settings_of("b1", "mode = \"token\"; access_key_id = \"AK1\"; token_file = \"FILE\";");
    check_login(settings, "GID_bridge@@@b1-in", "Token|AK1|post-cn-1", "RW|first");
    write_secret("RW|second");
    check_login(settings, "GID_bridge@@@b1-in", "Token|AK1|post-cn-1", "RW|second");
    settings_free(settings);
}

static void test_a_fault_names_setting_file_and_section_and_no_secret(void **state)
{
    (void)state;
    static const char setting[] = "broker.apsaramq.credentials_file";
    write_secret("[other]\naccess_key_id = a\naccess_key_secret = hidden\n");
    struct settings *settings = settings_of("b1", "credentials_file = \"FILE\";");
    check_fault(settings, "GID_bridge@@@b1-in", setting, "has no section [GID_bridge@@@b1-in]");
    write_secret("[GID_bridge@@@b1-in]\naccess_key_id = a\n");
    check_fault(settings, "GID_bridge@@@b1-in", setting,
                "has no access_key_secret in the section [GID_bridge@@@b1-in]");
    write_secret("[GID_bridge@@@b1-in]\naccess_key_secret hidden\n");
    check_fault(settings, "GID_bridge@@@b1-in", setting,
                "line 2: neither a section nor key = value");
    assert_int_equal(unlink(path), 0);
    check_fault(settings, "GID_bridge@@@b1-in", setting, "cannot be read (not_found)");
    settings_free(settings);
}

static void test_a_process_gets_the_login_of_its_own_client_id(void **state)
{
    (void)state;
    static const struct tls_files no_tls;
    static const struct connect_attempt first;
    static const enum wire_role roles[] = {WIRE_RECEIVER, WIRE_PUBLISHER};
    static const char *const ids[] = {"GID_bridge@@@b1-in", "GID_bridge@@@b1-out"};
    static const char *const passwords[] = {"UY0NukuJYAZWz2JLVezgC6xO/ZI=",
                                            "FAT+AvtmEqTVgL5GXtm2zA9PNgc="};
    write_secret("XXXXX");
    struct settings *settings =
        settings_of("b1", "mode = \"signature\"; access_key_id = \"AK1\"; secret_file = \"FILE\";");
    for (size_t i = 0; i < 2; i++) {
        struct connect_params params;
        struct buf frame = {0};
        const char *why = NULL;
        assert_int_equal(connect_params_init(&params, settings, &no_tls, roles[i], &first,
                                             (struct slice){0}, &why),
                         STATUS_OK);
        assert_true(slice_equals_text(params.client_id, ids[i]));
        assert_true(slice_equals_text(params.username, "Signature|AK1|post-cn-1"));
        assert_true(slice_equals_text(params.password, passwords[i]));
        /* The secret itself stays in the bridge. */
        wire_put_connect_params(&frame, &params);
        assert_null(memmem(frame.data, frame.length, "XXXXX", 5));
        buf_fini(&frame);
        connect_params_fini(&params);
    }
    settings_free(settings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_signature_is_that_of_the_client_id, make_file,
                                        remove_file),
        cmocka_unit_test_setup_teardown(test_a_device_has_a_credential_for_each_client_id,
                                        make_file, remove_file),
        cmocka_unit_test_setup_teardown(test_a_token_is_read_again_for_each_connection, make_file,
                                        remove_file),
        cmocka_unit_test_setup_teardown(test_a_fault_names_setting_file_and_section_and_no_secret,
                                        make_file, remove_file),
        cmocka_unit_test_setup_teardown(test_a_process_gets_the_login_of_its_own_client_id,
                                        make_file, remove_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
